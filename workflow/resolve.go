package workflow

import (
	"encoding/json"
	"fmt"
	"strings"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// Resolve returns the template of a leaf with everything substituted: what an executor runs.
// Input parameters carry their values and input artifacts their locations. want says that
// the run uses outputs.result. Workers call it: the queue carries a reference, not a template.
func (p *Plan) Resolve(run *Run, n *Node) (resolved *spec.Template, want bool, err error) {
	tmpl, err := p.template(n.Template)
	if err != nil {
		return nil, false, fmt.Errorf("resolving node %q: %w", n.Key.Name(run.Name), err)
	}
	scope := &strictRoots{Scope: &nodeScope{plan: p, run: run, node: n}, unresolved: map[string]bool{}}
	if resolved, err = tmpl.filled(scope); err != nil {
		return nil, false, fmt.Errorf("resolving template %q: %w", n.Template, err)
	}
	if len(scope.unresolved) > 0 {
		return nil, false, fmt.Errorf("resolving template %q: failed to resolve {{%s}}", n.Template, strings.Join(sortedNames(scope.unresolved), "}}, {{"))
	}
	for i := range resolved.Inputs.Parameters {
		in := &resolved.Inputs.Parameters[i]
		if v, ok := n.Inputs.Parameter(in.Name); ok {
			value := spec.AnyString(v)
			in.Value = &value
		}
	}
	artifacts := resolved.Inputs.Artifacts[:0]
	for _, in := range resolved.Inputs.Artifacts {
		given, ok := n.Inputs.Artifact(in.Name)
		if !ok {
			continue // optional and absent
		}
		in.ArtifactLocation = given.ArtifactLocation
		if given.Archive != nil { // how it was packed decides how it is unpacked
			in.Archive = given.Archive
		}
		artifacts = append(artifacts, in)
	}
	resolved.Inputs.Artifacts = artifacts
	return resolved, n.WantResult, nil
}

// filled is the template with its texts filled.
func (t *template) filled(scope expr.Scope) (*spec.Template, error) {
	if t.mold != nil {
		if filled, ok, err := t.mold.fill(scope); ok || err != nil {
			return filled, err
		}
	}
	data, err := expr.SubstituteJSON(t.json, scope, expr.Lenient)
	if err != nil {
		return nil, err
	}
	filled := &spec.Template{}
	if err := json.Unmarshal(data, filled); err != nil {
		return nil, fmt.Errorf("decoding: %w", err)
	}
	return filled, nil
}

// strictRoots notes the names that a scope should know and does not. Names with any other
// root are not ours: their tags stay in the text.
type strictRoots struct {
	expr.Scope
	unresolved map[string]bool
}

func (s *strictRoots) Lookup(name string) (any, expr.State) {
	v, state := s.Scope.Lookup(name)
	if state == expr.Known || state == expr.Absent {
		// An expression asks for the longest chain first: what reached too far is answered now.
		for longer := range s.unresolved {
			if strings.HasPrefix(longer, name+".") {
				delete(s.unresolved, longer)
			}
		}
	} else {
		switch root, _, _ := strings.Cut(name, "."); root {
		case "inputs", "outputs", "workflow", "steps", "tasks", "item", "node", "pod", "retries", "lastRetry":
			s.unresolved[name] = true
		}
	}
	return v, state
}
