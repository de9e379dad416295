package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// finder looks stored specs up, once each. What went wrong other than that there is none is
// in err.
type finder struct {
	ctx       context.Context
	objects   Objects
	namespace string
	found     map[spec.WorkflowTemplateRef]*spec.WorkflowSpec
	err       error
}

func (s *Service) finder(ctx context.Context, namespace string) *finder {
	return &finder{ctx: ctx, objects: s.objects, namespace: namespace, found: map[spec.WorkflowTemplateRef]*spec.WorkflowSpec{}}
}

// spec is a spec.Find.
func (f *finder) spec(name string, clusterScope bool) *spec.WorkflowSpec {
	ref := spec.WorkflowTemplateRef{Name: name, ClusterScope: clusterScope}
	s, known := f.found[ref]
	if known || f.err != nil {
		return s
	}
	kind, namespace := spec.KindWorkflowTemplate, f.namespace
	if clusterScope {
		kind, namespace = spec.KindClusterWorkflowTemplate, ""
	}
	stored, err := f.objects.Get(f.ctx, kind, namespace, name)
	if err == nil {
		var t spec.WorkflowTemplate
		if err = json.Unmarshal(stored.JSON, &t); err == nil {
			s = &t.Spec
		}
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		f.err = fmt.Errorf("reading %s %s: %w", kind, name, err)
	}
	f.found[ref] = s
	return s
}

// lookUp gives the run's arguments that come from config maps their values. One that has
// none keeps its source, and the run ends for it, as Argo's would.
func (s *Service) lookUp(ctx context.Context, run *workflow.Run) error {
	from := func(p spec.Parameter) bool {
		return p.Value == nil && p.ValueFrom != nil && p.ValueFrom.ConfigMapKeyRef != nil
	}
	if !slices.ContainsFunc(run.Arguments.Parameters, from) {
		return nil
	}
	run.Arguments.Parameters = slices.Clone(run.Arguments.Parameters) // the admission is shared
	for i := range run.Arguments.Parameters {
		p := &run.Arguments.Parameters[i]
		if !from(*p) {
			continue
		}
		m, err := s.configMap(ctx, run.Namespace, p.ValueFrom.ConfigMapKeyRef.Name)
		if err != nil {
			return err
		}
		if value, err := workflow.FromConfigMap(p.ValueFrom, m); err == nil {
			p.Value, p.ValueFrom = spec.AnyStringPtr(value), nil
		}
	}
	return nil
}

// configMap reads a config map, nil if there is none.
func (s *Service) configMap(ctx context.Context, namespace, name string) (*workflow.ConfigMap, error) {
	stored, err := s.objects.Get(ctx, spec.KindConfigMap, namespace, name)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	var m *workflow.ConfigMap
	if err == nil {
		m, err = workflow.DecodeConfigMap(stored.JSON)
	}
	if err != nil {
		return nil, fmt.Errorf("reading config map %s: %w", name, err)
	}
	return m, nil
}
