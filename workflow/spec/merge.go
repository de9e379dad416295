package spec

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

// merge lays over on base, as Kubernetes merges a patch: fields of over win, and lists whose
// elements have names are merged by them.
func merge[T any](base, over *T) (*T, error) {
	var texts [2][]byte
	for i, v := range []*T{base, over} {
		data, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("merging: %w", err)
		}
		texts[i] = data
	}
	out := new(T)
	data, err := strategicpatch.StrategicMergePatch(texts[0], texts[1], *out)
	if err == nil {
		err = json.Unmarshal(data, out)
	}
	if err != nil {
		return nil, fmt.Errorf("merging: %w", err)
	}
	return out, nil
}

// WithDefaults returns the template with what templateDefaults add to it. It keeps its type.
func (t *Template) WithDefaults(defaults *Template) (*Template, error) {
	if defaults == nil {
		return t, nil
	}
	base := *defaults
	if typ := t.GetType(); typ != TemplateTypeUnknown {
		base.keepType(typ)
	}
	return merge(&base, t)
}

// keepType clears the template's type fields but that of the type.
func (t *Template) keepType(typ TemplateType) {
	kept := *t
	t.Container, t.ContainerSet, t.Script, t.Resource, t.DAG = nil, nil, nil, nil, nil
	t.Suspend, t.Data, t.HTTP, t.Plugin, t.Steps = nil, nil, nil, nil, nil
	switch typ {
	case TemplateTypeContainer:
		t.Container = kept.Container
	case TemplateTypeContainerSet:
		t.ContainerSet = kept.ContainerSet
	case TemplateTypeScript:
		t.Script = kept.Script
	case TemplateTypeResource:
		t.Resource = kept.Resource
	case TemplateTypeDAG:
		t.DAG = kept.DAG
	case TemplateTypeSuspend:
		t.Suspend = kept.Suspend
	case TemplateTypeData:
		t.Data = kept.Data
	case TemplateTypeHTTP:
		t.HTTP = kept.HTTP
	case TemplateTypePlugin:
		t.Plugin = kept.Plugin
	case TemplateTypeSteps:
		t.Steps = kept.Steps
	}
}

// Over returns what a workflow runs that has a workflowTemplateRef: the stored spec, with
// what the workflow itself says laid over it.
func (s *WorkflowSpec) Over(stored *WorkflowSpec) (*WorkflowSpec, error) {
	own, base := *s, *stored
	own.WorkflowTemplateRef = nil
	// A hook is taken whole: its fields belong together.
	own.Hooks, base.Hooks = nil, nil
	out, err := merge(&base, &own)
	if err != nil {
		return nil, err
	}
	for _, hooks := range []LifecycleHooks{stored.Hooks, s.Hooks} {
		for name, hook := range hooks {
			if out.Hooks == nil {
				out.Hooks = LifecycleHooks{}
			}
			out.Hooks[name] = hook
		}
	}
	for i := range out.Arguments.Parameters {
		p := &out.Arguments.Parameters[i]
		// Who gives a value does not want the one that the stored spec would look up.
		if given := s.Arguments.GetParameterByName(p.Name); given != nil && given.Value != nil {
			p.ValueFrom = nil
		}
	}
	out.Suspend = s.Suspend // a stored spec does not pause those who use it
	return out, nil
}
