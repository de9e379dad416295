package workflow

import (
	"fmt"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// resolveArguments gives a call's arguments their values, in the scope of the caller.
func (t *turn) resolveArguments(args *spec.Arguments, scope expr.Scope, c *call) (*Values, error) {
	out := &Values{}
	for i := range args.Parameters {
		p := &args.Parameters[i]
		value, ok, err := t.argument(p, scope)
		if err != nil {
			return nil, fmt.Errorf("resolving argument %q: %w", p.Name, err)
		}
		if ok {
			out.Parameters = append(out.Parameters, Param{Name: p.Name, Value: value})
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

// argument resolves one parameter. It is not ok when its value is an output that is absent
// for good: the input's default applies then.
func (t *turn) argument(p *spec.Parameter, scope expr.Scope) (string, bool, error) {
	switch {
	case p.Value != nil:
		text := p.Value.String()
		if name, ok := pureTag(text); ok {
			if _, state := scope.Lookup(name); state == expr.Absent {
				return "", false, nil
			}
		}
		value, err := expr.Substitute(text, scope, expr.Strict)
		return value, err == nil, err
	case p.ValueFrom != nil && p.ValueFrom.Expression != "":
		value, err := evalText(p.ValueFrom.Expression, scope)
		if (err != nil || value == nil) && p.ValueFrom.Default != nil {
			return p.ValueFrom.Default.String(), true, nil
		}
		if err != nil || value == nil {
			return "", false, err
		}
		return *value, true, nil
	case p.Default != nil:
		return p.Default.String(), true, nil
	}
	return "", false, nil
}

// pureTag returns the name when the text is one simple tag and nothing else.
func pureTag(text string) (string, bool) {
	if len(text) < 5 || text[:2] != "{{" || text[2] == '=' || text[len(text)-2:] != "}}" {
		return "", false
	}
	names := expr.References(text)
	if len(names) != 1 {
		return "", false
	}
	plain, err := expr.Substitute(text, expr.Map{names[0]: ""}, expr.Lenient)
	return names[0], err == nil && plain == ""
}

// bindInputs matches arguments with what the template declares, by name. Values already in
// the template apply where the caller gives none.
func bindInputs(tmpl *template, args *Values, scope expr.Scope) (*Values, error) {
	in := &Values{}
	for i := range tmpl.Inputs.Parameters {
		p := &tmpl.Inputs.Parameters[i]
		value, ok := args.Parameter(p.Name)
		switch {
		case ok:
		case p.Value != nil:
			v, err := expr.Substitute(p.Value.String(), scope, expr.Strict)
			if err != nil {
				return nil, fmt.Errorf("resolving inputs.parameters.%s: %w", p.Name, err)
			}
			value = v
		case p.Default != nil:
			v, err := expr.Substitute(p.Default.String(), scope, expr.Strict)
			if err != nil {
				return nil, fmt.Errorf("resolving the default of inputs.parameters.%s: %w", p.Name, err)
			}
			value = v
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
