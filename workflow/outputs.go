package workflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// scopeOutputs resolves the outputs of a Steps or DAG template from those of its children.
func (t *turn) scopeOutputs(n *Node, tmpl *template) (*Values, error) {
	if len(tmpl.Outputs.Parameters) == 0 && len(tmpl.Outputs.Artifacts) == 0 {
		return nil, nil
	}
	scope := expr.Chain(&childScope{t: t, scope: n, tmpl: tmpl}, t.inputScope(n))
	out := &Values{}
	for i := range tmpl.Outputs.Parameters {
		p := &tmpl.Outputs.Parameters[i]
		value, err := outputParameter(p, scope)
		if err != nil {
			return nil, fmt.Errorf("resolving outputs.parameters.%s: %w", p.Name, err)
		}
		global, err := expr.Substitute(p.GlobalName, scope, expr.Strict)
		if err != nil {
			return nil, fmt.Errorf("resolving the globalName of outputs.parameters.%s: %w", p.Name, err)
		}
		out.Parameters = append(out.Parameters, Param{Name: p.Name, Value: value, Global: global})
	}
	for i := range tmpl.Outputs.Artifacts {
		a, ok, err := resolveArtifact(&tmpl.Outputs.Artifacts[i], scope, t.opener(&call{caller: n}).find)
		if err != nil {
			return nil, fmt.Errorf("resolving outputs.artifacts.%s: %w", tmpl.Outputs.Artifacts[i].Name, err)
		}
		if ok {
			if a.GlobalName, err = expr.Substitute(tmpl.Outputs.Artifacts[i].GlobalName, scope, expr.Strict); err != nil {
				return nil, fmt.Errorf("resolving the globalName of outputs.artifacts.%s: %w", a.Name, err)
			}
			out.Artifacts = append(out.Artifacts, a)
		}
	}
	return out, nil
}

func outputParameter(p *spec.Parameter, scope expr.Scope) (string, error) {
	if p.ValueFrom == nil {
		if p.Value == nil {
			return "", fmt.Errorf("it has neither value nor valueFrom")
		}
		return substitute(p.Value.String(), scope)
	}
	var value *string
	var err error
	switch {
	case p.ValueFrom.Parameter != "":
		var text string
		if text, err = expr.Substitute(p.ValueFrom.Parameter, scope, expr.Strict); err == nil {
			value = &text
		}
	case p.ValueFrom.Expression != "":
		value, err = evalText(p.ValueFrom.Expression, scope)
	default:
		err = fmt.Errorf("valueFrom names no source that a steps or dag template has")
	}
	switch {
	case value != nil && err == nil:
		return *value, nil
	case p.ValueFrom.Default != nil:
		return p.ValueFrom.Default.String(), nil
	case err == nil:
		err = errors.New("the expression gave nil and there is no default")
	}
	return "", err
}

// evalText evaluates an expression to text, nil for nil.
func evalText(expression string, scope expr.Scope) (*string, error) {
	v, err := expr.Eval(expression, scope)
	if err != nil || v == nil {
		return nil, err
	}
	text, ok := v.(string)
	if !ok {
		data, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("encoding the expression's value: %w", err)
		}
		text = string(data)
	}
	return &text, nil
}

// resolveArtifact resolves an artifact argument or a scope's output artifact to a location. It
// is not ok when the artifact is optional and absent.
func resolveArtifact(a *spec.Artifact, scope expr.Scope, find func(string) (*spec.Artifact, error)) (spec.Artifact, bool, error) {
	var found *spec.Artifact
	var err error
	switch {
	case a.FromExpression != "":
		found, err = artifactFromExpression(a.FromExpression, scope, find)
	case a.From != "":
		name := fromName(a)
		if found, err = find(name); err == nil && found == nil {
			err = fmt.Errorf("%s was not found", name)
		}
	case !a.HasLocation():
		err = fmt.Errorf("it has no location and no from")
	default:
		out, err := substituteArtifact(a, scope)
		return out, err == nil, err
	}
	if err != nil {
		return spec.Artifact{}, false, optionalOr(a.Optional, err)
	}
	out := spec.Artifact{Name: a.Name, ArtifactLocation: found.ArtifactLocation, Archive: found.Archive}
	if a.SubPath != "" {
		part, err := expr.Substitute(a.SubPath, scope, expr.Strict)
		if err == nil {
			out.ArtifactLocation, err = out.Below(part)
		}
		if err != nil {
			return spec.Artifact{}, false, fmt.Errorf("resolving subPath: %w", err)
		}
	}
	return out, true, nil
}

// fromName is what an artifact's from names.
func fromName(a *spec.Artifact) string {
	return strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(a.From), "{{"), "}}"))
}

func optionalOr(optional bool, err error) error {
	if optional {
		return nil
	}
	return err
}

// findArtifact finds what a from names: an input of the caller, an output of one of its
// children, or one of the run's.
func (t *turn) findArtifact(name string, c *call) (*spec.Artifact, error) {
	if rest, ok := strings.CutPrefix(name, "workflow.outputs.artifacts."); ok {
		a, _ := t.delta.State.Outputs.Artifact(rest)
		return a, nil
	}
	if rest, ok := strings.CutPrefix(name, "workflow.artifacts."); ok {
		return runArtifact(t.v.Run, rest), nil
	}
	if c.caller == nil {
		return nil, fmt.Errorf("%s is not known here", name)
	}
	if rest, ok := strings.CutPrefix(name, "inputs.artifacts."); ok {
		a, _ := c.caller.Inputs.Artifact(rest)
		return a, nil
	}
	kind, rest, _ := strings.Cut(name, ".")
	child, output, ok := strings.Cut(rest, ".outputs.artifacts.")
	if !ok || (kind != "steps" && kind != "tasks") {
		return nil, fmt.Errorf("%q names no artifact", name)
	}
	n := t.child(c.caller, kind, child)
	if n == nil {
		return nil, fmt.Errorf("%s.%s has not run", kind, child)
	}
	a, _ := n.Outputs.Artifact(output)
	return a, nil
}

func runArtifact(run *Run, name string) *spec.Artifact {
	for i := range run.Arguments.Artifacts {
		if run.Arguments.Artifacts[i].Name == name {
			return &run.Arguments.Artifacts[i]
		}
	}
	return nil
}
