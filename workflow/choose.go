package workflow

import (
	"fmt"
	"strings"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// artifactFromExpression is the artifact that an expression chooses among those that it
// names; one that will never be is nil in it.
func artifactFromExpression(text string, scope expr.Scope, find func(string) (*spec.Artifact, error)) (*spec.Artifact, error) {
	s := &artifactScope{find: find, found: map[string]*spec.Artifact{}}
	v, err := expr.Eval(text, expr.Chain(s, scope))
	if err != nil {
		return nil, err
	}
	name, _ := v.(string)
	if a := s.found[name]; a != nil {
		return a, nil
	}
	return nil, fmt.Errorf("evaluating %q: the result is not an artifact", text)
}

// artifactScope names artifacts. In the expression each is only its name.
type artifactScope struct {
	find  func(string) (*spec.Artifact, error)
	found map[string]*spec.Artifact
}

func (s *artifactScope) Lookup(name string) (any, expr.State) {
	artifact := strings.HasPrefix(name, "inputs.artifacts.") || strings.HasPrefix(name, "workflow.artifacts.") ||
		strings.Contains(name, ".outputs.artifacts.")
	if !artifact || strings.HasSuffix(name, ".path") {
		return nil, expr.Unknown
	}
	a, err := s.find(name)
	switch {
	case err != nil:
		return nil, expr.Unknown
	case a == nil:
		return nil, expr.Absent
	}
	s.found[name] = a
	return name, expr.Known
}
