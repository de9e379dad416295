package spec

import (
	"fmt"
	"strings"
)

// Find returns a stored spec, nil if there is none of that name.
type Find func(name string, clusterScope bool) *WorkflowSpec

// Scopes of templates, as Argo names them in a run's status. Templates of the run's own spec
// have none here.
const (
	scopeNamespaced = "namespaced/"
	scopeCluster    = "cluster/"
)

// Scope is the scope of the templates of the spec that is referred to: it ends with a slash.
func (r *TemplateRef) Scope() string {
	if r.ClusterScope {
		return scopeCluster + r.Name + "/"
	}
	return scopeNamespaced + r.Name + "/"
}

// RefOfScope is the reference that a scope comes from; its template is not set.
func RefOfScope(scope string) *TemplateRef {
	name, cluster := strings.CutPrefix(scope, scopeCluster)
	return &TemplateRef{Name: strings.TrimSuffix(strings.TrimPrefix(name, scopeNamespaced), "/"), ClusterScope: cluster}
}

// Execution is the spec that a run follows: the workflow's own, or what Freeze made of it.
func (w *Workflow) Execution() *WorkflowSpec {
	if w.Status.StoredWorkflowSpec != nil {
		return w.Status.StoredWorkflowSpec
	}
	return &w.Spec
}

// Refers says that the workflow uses anything stored.
func (w *Workflow) Refers() bool {
	if w.Spec.WorkflowTemplateRef != nil || w.Spec.ArtifactRepositoryRef != nil {
		return true
	}
	refers := false
	for i := range w.Spec.Templates {
		w.Spec.Templates[i].calls(func(_ string, ref *TemplateRef) { refers = refers || ref != nil })
	}
	w.Spec.Hooks.calls(func(_ string, ref *TemplateRef) { refers = refers || ref != nil })
	return refers
}

// Freeze keeps all that the workflow refers to in its status, as it is now, so that later
// changes of stored specs do not reach the run: storedWorkflowTemplateSpec is what
// workflowTemplateRef leads to, with the workflow's own fields over it, and storedTemplates
// are the templates that templateRefs lead to, each by its scope and name.
func Freeze(w *Workflow, find Find) error {
	if ref := w.Spec.WorkflowTemplateRef; ref != nil {
		stored := find(ref.Name, ref.ClusterScope)
		if stored == nil {
			return fmt.Errorf("%s %q not found", storedKind(ref.ClusterScope), ref.Name)
		}
		joined, err := w.Spec.Over(stored)
		if err != nil {
			return fmt.Errorf("%s %q: %w", storedKind(ref.ClusterScope), ref.Name, err)
		}
		w.Status.StoredWorkflowSpec = joined
	}
	f := &freezer{find: find, kept: map[string]Template{}}
	s := w.Execution()
	for i := range s.Templates {
		s.Templates[i].calls(func(_ string, ref *TemplateRef) { f.follow(ref) })
	}
	s.Hooks.calls(func(_ string, ref *TemplateRef) { f.follow(ref) })
	if len(f.kept) > 0 {
		w.Status.StoredTemplates = f.kept
	}
	return f.err
}

// freezer collects templates by scope and name.
type freezer struct {
	find Find
	kept map[string]Template
	err  error // the first
}

// follow keeps the template of a reference, and all that
// it calls.
func (f *freezer) follow(ref *TemplateRef) {
	if ref == nil || f.err != nil {
		return
	}
	if strings.Contains(ref.Name, "{{") {
		f.err = fmt.Errorf("templateRef.name %q is not known before the run, which is not supported", ref.Name)
		return
	}
	stored := f.find(ref.Name, ref.ClusterScope)
	if stored == nil {
		f.err = fmt.Errorf("%s %q not found", storedKind(ref.ClusterScope), ref.Name)
		return
	}
	if strings.Contains(ref.Template, "{{") {
		for i := range stored.Templates { // it may be any of them
			f.keep(stored, &stored.Templates[i], ref.Scope())
		}
		return
	}
	t := stored.Template(ref.Template)
	if t == nil {
		f.err = fmt.Errorf("template %q not found in %s %q", ref.Template, storedKind(ref.ClusterScope), ref.Name)
		return
	}
	f.keep(stored, t, ref.Scope())
}

func (f *freezer) keep(in *WorkflowSpec, t *Template, scope string) {
	if _, done := f.kept[scope+t.Name]; done || f.err != nil {
		return
	}
	f.kept[scope+t.Name] = *t
	t.calls(func(name string, ref *TemplateRef) {
		switch {
		case ref != nil:
			f.follow(ref)
		case strings.Contains(name, "{{"):
			for i := range in.Templates {
				f.keep(in, &in.Templates[i], scope)
			}
		case name != "":
			callee := in.Template(name)
			if callee == nil {
				f.err = fmt.Errorf("template %q not found in %q", name, strings.TrimSuffix(scope, "/"))
				return
			}
			f.keep(in, callee, scope)
		}
	})
}

// calls gives every template that a template calls, by name or by reference, also those that
// its inline templates and its hooks call.
func (t *Template) calls(each func(name string, ref *TemplateRef)) {
	call := func(name string, ref *TemplateRef, inline *Template, onExit string, hooks LifecycleHooks) {
		each(name, ref)
		if inline != nil {
			inline.calls(each)
		}
		each(onExit, nil)
		hooks.calls(each)
	}
	for _, group := range t.Steps {
		for i := range group.Steps {
			s := &group.Steps[i]
			call(s.Template, s.TemplateRef, s.Inline, s.OnExit, s.Hooks)
		}
	}
	if t.DAG != nil {
		for i := range t.DAG.Tasks {
			k := &t.DAG.Tasks[i]
			call(k.Template, k.TemplateRef, k.Inline, k.OnExit, k.Hooks)
		}
	}
}

func (h LifecycleHooks) calls(each func(name string, ref *TemplateRef)) {
	for _, hook := range h {
		each(hook.Template, hook.TemplateRef)
	}
}
