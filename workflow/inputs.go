package workflow

import (
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
func (t *turn) resolveArguments(args *spec.Arguments, scope expr.Scope, c *call) (*arguments, error) {
	out := &arguments{}
	for i := range args.Parameters {
		p := &args.Parameters[i]
		value, err := argument(p, scope)
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
		a, ok, err := t.artifact(&args.Artifacts[i], scope, c)
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
func argument(p *spec.Parameter, scope expr.Scope) (*string, error) {
	switch {
	case p.Value != nil:
		value, err := substitute(p.Value.String(), scope)
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
	filled, err := expr.Substitute(text, scope, expr.Strict)
	if !errors.Is(err, expr.ErrUnresolved) {
		return filled, err
	}
	strict := &strictRoots{Scope: scope, unresolved: map[string]bool{}}
	if filled, lenientErr := expr.Substitute(text, strict, expr.Lenient); lenientErr == nil && len(strict.unresolved) == 0 {
		return filled, nil
	}
	return "", err
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

// bindInputs matches arguments with what the template declares, by name. Values already in
// the template apply where the caller gives none.
func bindInputs(tmpl *template, args *arguments, scope expr.Scope) (*Values, error) {
	in := &Values{}
	for i := range tmpl.Inputs.Parameters {
		p := &tmpl.Inputs.Parameters[i]
		value, ok := args.Parameter(p.Name)
		switch {
		case ok:
		case p.Value != nil:
			v, err := substitute(p.Value.String(), scope)
			if err != nil {
				return nil, fmt.Errorf("resolving inputs.parameters.%s: %w", p.Name, err)
			}
			value = v
		case p.Default != nil:
			v, err := substitute(p.Default.String(), scope)
			if err != nil {
				return nil, fmt.Errorf("resolving the default of inputs.parameters.%s: %w", p.Name, err)
			}
			value = v
		case args.absent[p.Name] != nil:
			return nil, fmt.Errorf("inputs.parameters.%s was not supplied: %w", p.Name, args.absent[p.Name])
		default:
			return nil, fmt.Errorf("inputs.parameters.%s was not supplied", p.Name)
		}
		in.Parameters = append(in.Parameters, Param{Name: p.Name, Value: value})
	}
	for i := range tmpl.Inputs.Artifacts {
		a := tmpl.Inputs.Artifacts[i]
		given, ok := args.Artifact(a.Name)
		switch {
		case ok:
			located := *given
			located.Name = a.Name
			in.Artifacts = append(in.Artifacts, located)
		case a.HasLocation():
			in.Artifacts = append(in.Artifacts, spec.Artifact{Name: a.Name, ArtifactLocation: a.ArtifactLocation})
		case a.Optional:
		default:
			return nil, fmt.Errorf("inputs.artifacts.%s was not supplied", a.Name)
		}
	}
	if len(in.Parameters) == 0 && len(in.Artifacts) == 0 {
		return nil, nil
	}
	return in, nil
}
