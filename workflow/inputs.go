package workflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// arguments are what a call hands over.
type arguments struct {
	Values
	// absent has, by parameter, why it has no value: it is an output that will never be.
	absent map[string]error
}

// resolveArguments gives a call's arguments their values, in the scope of the caller.
func (o *opener) resolveArguments(args *spec.Arguments, scope expr.Scope) (*arguments, error) {
	out := &arguments{}
	for i := range args.Parameters {
		p := &args.Parameters[i]
		value, err := o.argument(p, scope)
		switch {
		case err != nil && pureTag(p) && errors.Is(err, expr.ErrAbsent):
			// The input's default applies, if it has one.
			if out.absent == nil {
				out.absent = map[string]error{}
			}
			out.absent[p.Name] = err
		case err != nil:
			return nil, fmt.Errorf("resolving argument %q: %w", p.Name, err)
		case value != nil:
			out.Parameters = append(out.Parameters, Param{Name: p.Name, Value: *value})
		}
	}
	for i := range args.Artifacts {
		a, ok, err := resolveArtifact(&args.Artifacts[i], scope, o.find)
		if err != nil {
			return nil, fmt.Errorf("resolving argument artifact %q: %w", args.Artifacts[i].Name, err)
		}
		if ok {
			out.Artifacts = append(out.Artifacts, a)
		}
	}
	return out, nil
}

// argument resolves one parameter; nil: it has no value, and the input's default applies.
func (o *opener) argument(p *spec.Parameter, scope expr.Scope) (*string, error) {
	switch {
	case p.Value != nil:
		value, err := substitute(p.Value.String(), scope)
		return &value, err
	case fromConfigMap(p):
		value, err := o.fromConfigMap(p.ValueFrom, scope)
		return &value, err
	case p.ValueFrom != nil && p.ValueFrom.Expression != "":
		value, err := evalText(p.ValueFrom.Expression, scope)
		if err != nil && p.ValueFrom.Default != nil {
			return new(p.ValueFrom.Default.String()), nil
		}
		return value, err
	case p.Default != nil:
		return new(p.Default.String()), nil
	}
	return nil, nil
}

// substitute fills the tags of a text. Tags whose names have a root that is none of ours stay
// as they are.
func substitute(text string, scope expr.Scope) (string, error) {
	return foreignStay(scope, func(s expr.Scope, m expr.Mode) (string, error) { return expr.Substitute(text, s, m) })
}

// substituteArtifact fills the tags of an artifact in the same way.
func substituteArtifact(a *spec.Artifact, scope expr.Scope) (out spec.Artifact, err error) {
	data, err := json.Marshal(a)
	if err == nil {
		data, err = foreignStay(scope, func(s expr.Scope, m expr.Mode) ([]byte, error) { return expr.SubstituteJSON(data, s, m) })
	}
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	return out, err
}

// foreignStay fills strictly, and if that fails, leniently towards names that are not ours.
func foreignStay[T any](scope expr.Scope, fill func(expr.Scope, expr.Mode) (T, error)) (T, error) {
	filled, err := fill(scope, expr.Strict)
	if !errors.Is(err, expr.ErrUnresolved) {
		return filled, err
	}
	strict := &strictRoots{Scope: scope, unresolved: map[string]bool{}}
	if lenient, lenientErr := fill(strict, expr.Lenient); lenientErr == nil && len(strict.unresolved) == 0 {
		return lenient, nil
	}
	return filled, err
}

// pureTag says that a parameter's value is one simple tag and nothing else.
func pureTag(p *spec.Parameter) bool {
	if p.Value == nil {
		return false
	}
	text := strings.TrimSpace(p.Value.String())
	if !strings.HasPrefix(text, "{{") || strings.HasPrefix(text, "{{=") || !strings.HasSuffix(text, "}}") {
		return false
	}
	return strings.Count(text, "{{") == 1
}

// bindInputs gives a node its inputs: arguments are matched with what the template declares,
// by name, and values already in the template apply where the caller gives none.
func (o *opener) bindInputs(n *Node, tmpl *template, args *arguments) error {
	if len(tmpl.Inputs.Parameters) == 0 && len(tmpl.Inputs.Artifacts) == 0 {
		return nil
	}
	in := &Values{}
	n.Inputs = in // what comes later may name what is bound
	scope := o.inputScope(n)
	for i := range tmpl.Inputs.Parameters {
		p := &tmpl.Inputs.Parameters[i]
		value, err := o.inputParameter(p, args, scope)
		if err != nil {
			return err
		}
		in.Parameters = append(in.Parameters, Param{Name: p.Name, Value: value})
	}
	for i := range tmpl.Inputs.Artifacts {
		a := &tmpl.Inputs.Artifacts[i]
		given, ok := args.Artifact(a.Name)
		switch {
		case ok:
			located := *given
			located.Name = a.Name
			in.Artifacts = append(in.Artifacts, located)
		case a.Optional && a.HTTP != nil && a.HTTP.URL == "": // Argo takes it for absent
		case a.HasLocation():
			located, err := substituteArtifact(&spec.Artifact{Name: a.Name, ArtifactLocation: a.ArtifactLocation}, scope)
			if err != nil {
				return fmt.Errorf("resolving inputs.artifacts.%s: %w", a.Name, err)
			}
			in.Artifacts = append(in.Artifacts, located)
		case a.Optional:
		default:
			return fmt.Errorf("inputs.artifacts.%s was not supplied", a.Name)
		}
	}
	if len(in.Parameters) == 0 && len(in.Artifacts) == 0 {
		n.Inputs = nil
	}
	return nil
}

func (o *opener) inputParameter(p *spec.Parameter, args *arguments, scope expr.Scope) (string, error) {
	if value, ok := args.Parameter(p.Name); ok {
		return value, nil
	}
	if fromConfigMap(p) {
		value, err := o.fromConfigMap(p.ValueFrom, scope)
		if err != nil {
			err = fmt.Errorf("unable to retrieve inputs.parameters.%s from ConfigMap: %w", p.Name, err)
		}
		return value, err
	}
	own := p.Value
	if own == nil {
		own = p.Default
	}
	switch absent := args.absent[p.Name]; {
	case own != nil:
		value, err := substitute(own.String(), scope)
		if err != nil {
			return "", fmt.Errorf("resolving inputs.parameters.%s: %w", p.Name, err)
		}
		return value, nil
	case absent != nil:
		return "", fmt.Errorf("inputs.parameters.%s was not supplied: %w", p.Name, absent)
	}
	return "", fmt.Errorf("inputs.parameters.%s was not supplied", p.Name)
}
