package workflow

import (
	"encoding/json"
	"fmt"
	"strings"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// Plan is a compiled workflow spec. It is immutable and shared by every run of that spec,
// in every process.
type Plan struct {
	// Source is the workflow that was compiled: its spec as it was written, and in its status
	// what that referred to. Spec is what runs follow.
	Source *spec.Workflow
	Spec   *spec.WorkflowSpec
	// templates are by name, those of stored specs by scope and name, and those that are
	// inline by their caller's and what follows in inlineName.
	templates map[string]*template
	pods      []byte // see PodSpec
	measured  bool   // it or a template has metrics
	failures  bool   // something asks for workflow.failures, which takes a node of every item
}

// template is a template with what follows from its text alone.
type template struct {
	*spec.Template
	inline  bool
	json    []byte          // leaves: the text to substitute
	refs    map[string]bool // every name that the template's texts mention
	dynamic []string        // those of refs whose values change during a run
	dag     *dagPlan
	steps   map[string]place // where each step is, by its name
	mold    *mold            // of a leaf, if it has one
	// lastRetry says that the template mentions how the attempt before ended.
	lastRetry bool
	// measuresResult says that its metrics do so of its result.
	measuresResult bool
}

// place is a step's position: its group, and there.
type place struct{ group, index int }

// step finds a step by what its key adds to its scope's: [group].name.
func (t *template) step(segment string) (group, index int, ok bool) {
	_, name, _ := strings.Cut(segment, "].")
	p, ok := t.steps[name]
	return p.group, p.index, ok
}

// Compile prepares a validated workflow for running. It refuses what Validate would have.
func Compile(wf *spec.Workflow) (*Plan, error) {
	p := &Plan{Source: wf, Spec: wf.Execution()}
	p.measured = p.Spec.Metrics != nil
	p.templates = make(map[string]*template, len(p.Spec.Templates)+len(wf.Status.StoredTemplates))
	for i := range p.Spec.Templates {
		if err := p.add(p.Spec.Templates[i].Name, &p.Spec.Templates[i]); err != nil {
			return nil, err
		}
	}
	for name, t := range wf.Status.StoredTemplates {
		if err := p.add(name, &t); err != nil {
			return nil, err
		}
	}
	if err := p.asksForFailures(); err != nil {
		return nil, err
	}
	if p.templates[p.Spec.Entrypoint] == nil {
		return nil, fmt.Errorf("compiling the workflow: entrypoint template %q is not defined", p.Spec.Entrypoint)
	}
	return p, p.compilePods()
}

// asksForFailures notes whether a template or a hook of the workflow does.
func (p *Plan) asksForFailures() error {
	data, err := json.Marshal(p.Spec.Hooks)
	var tree any
	if err == nil {
		err = json.Unmarshal(data, &tree)
	}
	if err != nil {
		return fmt.Errorf("compiling the workflow's hooks: %w", err)
	}
	refs := map[string]bool{}
	collectRefs(tree, refs)
	p.failures = refs["workflow.failures"]
	for _, t := range p.templates {
		p.failures = p.failures || t.refs["workflow.failures"]
	}
	return nil
}

// add compiles a template, and those that are inline in it.
func (p *Plan) add(name string, st *spec.Template) error {
	st, err := st.WithDefaults(p.Spec.TemplateDefaults)
	if err != nil {
		return fmt.Errorf("compiling template %q: %w", name, err)
	}
	if st.RetryStrategy == nil && p.Spec.RetryStrategy != nil {
		retried := *st
		retried.RetryStrategy, st = p.Spec.RetryStrategy, &retried
	}
	if at := p.located(st); at != st.ArchiveLocation {
		placed := *st
		placed.ArchiveLocation, st = at, &placed
	}
	t, err := compileTemplate(st)
	if err != nil {
		return fmt.Errorf("compiling template %q: %w", name, err)
	}
	p.templates[name] = t
	if st.Metrics != nil {
		p.measured = true
		t.measuresResult = mentionsResult(st.Metrics)
	}
	inline := func(call string, body *spec.Template) error {
		if body == nil {
			return nil
		}
		of := inlineName(name, call)
		if err := p.add(of, body); err != nil {
			return err
		}
		p.templates[of].inline = true
		return nil
	}
	for g := range st.Steps {
		for i := range st.Steps[g].Steps {
			if s := &st.Steps[g].Steps[i]; err == nil {
				err = inline(s.Name, s.Inline)
			}
		}
	}
	if st.DAG != nil {
		for i := range st.DAG.Tasks {
			if k := &st.DAG.Tasks[i]; err == nil {
				err = inline(k.Name, k.Inline)
			}
		}
	}
	return err
}

func compileTemplate(st *spec.Template) (*template, error) {
	// What turns carry out is nothing that a worker must resolve.
	work := *st
	work.RetryStrategy, work.Synchronization, work.Memoize, work.Metrics = nil, nil, nil, nil
	data, err := json.Marshal(&work)
	if err != nil {
		return nil, fmt.Errorf("encoding: %w", err)
	}
	t := &template{Template: st, json: data, refs: map[string]bool{}}
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		return nil, fmt.Errorf("decoding: %w", err)
	}
	collectRefs(tree, t.refs)
	for _, name := range sortedNames(t.refs) {
		if dynamicName(name) {
			t.dynamic = append(t.dynamic, name)
		}
		t.lastRetry = t.lastRetry || name == "lastRetry" || strings.HasPrefix(name, "lastRetry.")
	}
	if leaf(t.nodeType()) {
		t.mold = newMold(data)
	}
	for g := range st.Steps {
		for i := range st.Steps[g].Steps {
			name := st.Steps[g].Steps[i].Name
			if _, dup := t.steps[name]; dup {
				return nil, fmt.Errorf("there are two steps %q", name)
			}
			if t.steps == nil {
				t.steps = map[string]place{}
			}
			t.steps[name] = place{g, i}
		}
	}
	if st.DAG != nil {
		if t.dag, err = compileDAG(st.DAG); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func collectRefs(v any, into map[string]bool) {
	switch v := v.(type) {
	case string:
		for _, name := range expr.References(v) {
			into[name] = true
		}
	case []any:
		for _, e := range v {
			collectRefs(e, into)
		}
	case map[string]any:
		for key, e := range v {
			collectRefs(e, into)
			// These two are expressions as a whole, without braces.
			if s, ok := e.(string); ok && (key == "expression" || key == "fromExpression") {
				collectRefs("{{="+s+"}}", into)
			}
		}
	}
}

// template returns the named template.
func (p *Plan) template(name string) (*template, error) {
	if t := p.templates[name]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("template %q is not defined", name)
}

// wantsResult says that the scope's template mentions the result of its child.
func (t *template) wantsResult(kind, child string) bool {
	if t == nil {
		return false
	}
	prefix := kind + "." + child + ".outputs"
	return t.refs[prefix+".result"] || t.refs[prefix] || t.refs[kind+"."+child] || t.refs[kind]
}

// nodeType is the type that a node of the template has, retries aside.
func (t *template) nodeType() spec.NodeType {
	switch {
	case t.DAG != nil:
		return spec.NodeTypeDAG
	case t.Steps != nil:
		return spec.NodeTypeSteps
	case t.HTTP != nil:
		return spec.NodeTypeHTTP
	case t.Plugin != nil:
		return spec.NodeTypePlugin
	case t.Suspend != nil:
		return spec.NodeTypeSuspend
	}
	return spec.NodeTypePod
}

// leaf says that a node of the type is run by a worker.
func leaf(t spec.NodeType) bool {
	return t == spec.NodeTypePod || t == spec.NodeTypeHTTP || t == spec.NodeTypePlugin
}
