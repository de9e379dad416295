package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"argosy/workflow/expr"
)

// Options say how much Validate may take for granted.
type Options struct {
	// Templates finds stored specs for templateRef and workflowTemplateRef. Without it such
	// references are taken on trust.
	Templates func(name string, clusterScope bool) *WorkflowSpec

	// Plugins says which plugins there are. Without it any may be.
	Plugins *Plugins

	// Lint lets the workflow's own arguments stay without a value: they may come with the
	// submission.
	Lint bool
}

// Validates says whether Validate looks at objects of a kind.
func Validates(kind string) bool {
	switch kind {
	case KindWorkflow, KindWorkflowTemplate, KindClusterWorkflowTemplate, KindCronWorkflow:
		return true
	}
	return false
}

// Validate finds what would keep a document from running, before anything runs. All errors
// are returned at once, in an ErrorList. Kinds that do not run pass.
func Validate(doc *Document, o Options) ([]Warning, error) {
	v := &validator{doc: doc, o: o, templates: map[string]int{}}
	switch obj := doc.Object.(type) {
	case *Workflow:
		v.spec, v.at = &obj.Spec, "spec"
		v.knowMetadata(obj.Labels, obj.Annotations)
		v.workflowName(obj.Name, obj.GenerateName)
	case *WorkflowTemplate:
		v.spec, v.at, v.stored = &obj.Spec, "spec", true
		v.storedName(obj.Name, obj.GenerateName, maxNameLength)
	case *ClusterWorkflowTemplate:
		v.spec, v.at, v.stored = &obj.Spec, "spec", true
		v.storedName(obj.Name, obj.GenerateName, maxNameLength)
	case *CronWorkflow:
		v.spec, v.at = &obj.Spec.WorkflowSpec, "spec.workflowSpec"
		v.storedName(obj.Name, obj.GenerateName, 52) // a run's name adds "-" and ten digits
		v.o.Lint = false                             // nobody is there to give it arguments
		v.cron(&obj.Spec)
	default:
		return nil, nil
	}
	v.workflow()
	slices.SortStableFunc(v.errs, byPlace)
	slices.SortStableFunc(v.warnings, func(a, b Warning) int { return byPlace((*Error)(&a), (*Error)(&b)) })
	return v.warnings, v.errs.err()
}

func byPlace(a, b *Error) int {
	return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}

type validator struct {
	doc       *Document
	o         Options
	spec      *WorkflowSpec
	at        string // the spec's path in the document
	stored    bool   // a template, whose arguments come with the run that uses it
	templates map[string]int
	names     []string // of templates, for hints
	globals   map[string]bool
	anyGlobal bool               // some output's global name is not known before the run
	main      map[*Template]bool // those that run before the workflow's end is known
	metadata  *knownMetadata     // nil where it is not known before the run
	errs      ErrorList
	full      bool // further errors are dropped
	warnings  []Warning
}

// fail notes an error, to which the caller may add a hint. Past the bound it notes nothing.
func (v *validator) fail(path, format string, args ...any) *Error {
	if len(v.errs) == maxErrors {
		v.full = true
		return &Error{}
	}
	e := v.doc.Errorf(path, format, args...)
	v.errs = append(v.errs, e)
	return e
}

// near is didYouMean for the error that was noted last; looking costs time.
func (v *validator) near(name string, candidates []string) string {
	if v.full {
		return ""
	}
	return didYouMean(name, candidates)
}

func (v *validator) warn(path, format string, args ...any) {
	v.warnings = append(v.warnings, Warning(*v.doc.Errorf(path, format, args...)))
}

func (v *validator) workflow() {
	for i := range v.spec.Templates {
		t := &v.spec.Templates[i]
		path := fmt.Sprintf("%s.templates[%d]", v.at, i)
		switch _, dup := v.templates[t.Name]; {
		case t.Name == "":
			v.fail(path, "the template has no name")
		case dup:
			v.fail(path+".name", "template name '%s' is not unique", t.Name)
		default:
			v.templates[t.Name] = i
			v.names = append(v.names, t.Name)
			v.fieldName(path+".name", t.Name)
		}
	}
	v.collectGlobals()
	v.main = map[*Template]bool{}
	v.reach(v.find(v.spec.Entrypoint))
	v.arguments()
	v.entry()
	for i := range v.spec.Templates {
		v.template(&v.spec.Templates[i], fmt.Sprintf("%s.templates[%d]", v.at, i), "templates."+v.spec.Templates[i].Name, nil)
	}
	v.retry(v.spec.RetryStrategy, v.at+".retryStrategy")
	v.metrics(v.spec.Metrics, v.at+".metrics", "spec")
	v.locks(v.spec.Synchronization, v.at+".synchronization", "spec")
	if v.spec.Parallelism != nil && *v.spec.Parallelism < 0 {
		v.fail(v.at+".parallelism", "spec.parallelism cannot be negative")
	}
	v.collection()
}

// arguments checks what the workflow itself is given.
func (v *validator) arguments() {
	path := v.at + ".arguments"
	v.parameterNames(v.spec.Arguments.Parameters, path+".parameters")
	v.artifactNames(v.spec.Arguments.Artifacts, path+".artifacts")
	for i := range v.spec.Arguments.Parameters {
		p := &v.spec.Arguments.Parameters[i]
		if !p.HasValue() && !v.o.Lint && !v.stored && v.spec.WorkflowTemplateRef == nil {
			v.fail(fmt.Sprintf("%s.parameters[%d]", path, i), "spec.arguments.%s.value or spec.arguments.%s.valueFrom is required", p.Name, p.Name)
		}
		v.argumentSource(p.ValueFrom, fmt.Sprintf("%s.parameters[%d].valueFrom", path, i), "spec.arguments."+p.Name)
		v.hasChoice(p, fmt.Sprintf("%s.parameters[%d]", path, i))
		v.enum(p, p.Value, fmt.Sprintf("%s.parameters[%d]", path, i), "spec.arguments."+p.Name)
	}
	if !v.stored {
		v.argumentArtifacts(v.spec.Arguments.Artifacts, path+".artifacts", "spec.arguments.")
	}
}

// knownMetadata is the labels and annotations that a run will have.
type knownMetadata struct{ labels, annotations map[string]bool }

// knowMetadata notes what a workflow has itself, unless a stored one adds to it.
func (v *validator) knowMetadata(labels, annotations map[string]string) {
	if v.spec.WorkflowTemplateRef != nil {
		return
	}
	v.metadata = &knownMetadata{labels: map[string]bool{}, annotations: map[string]bool{}}
	note := func(set map[string]bool, of map[string]string) {
		for k := range of {
			set[k] = true
		}
	}
	note(v.metadata.labels, labels)
	note(v.metadata.annotations, annotations)
	if m := v.spec.WorkflowMetadata; m != nil {
		note(v.metadata.labels, m.Labels)
		note(v.metadata.annotations, m.Annotations)
		for k := range m.LabelsFrom {
			v.metadata.labels[k] = true
		}
	}
}

// reach notes a template and all that it calls as running before the workflow's end.
func (v *validator) reach(t *Template) {
	for stack := []*Template{t}; len(stack) > 0; {
		t, stack = stack[len(stack)-1], stack[:len(stack)-1]
		if t == nil || v.main[t] {
			continue
		}
		v.main[t] = true
		for _, group := range t.Steps {
			for i := range group.Steps {
				stack = append(stack, group.Steps[i].Inline, v.find(group.Steps[i].Template))
			}
		}
		if t.DAG != nil {
			for i := range t.DAG.Tasks {
				stack = append(stack, t.DAG.Tasks[i].Inline, v.find(t.DAG.Tasks[i].Template))
			}
		}
	}
}

// entry checks where the run begins and what runs when it ends.
func (v *validator) entry() {
	if ref := v.spec.WorkflowTemplateRef; ref != nil {
		v.workflowTemplateRef(ref)
		return
	}
	if v.spec.Entrypoint == "" {
		if !v.stored {
			v.fail(v.at, "%s.entrypoint is required", v.at)
		}
	} else {
		v.begin(v.spec.Entrypoint, v.at+".entrypoint", !v.stored)
	}
	if v.spec.OnExit != "" {
		v.begin(v.spec.OnExit, v.at+".onExit", !v.stored)
	}
	v.hooks(v.spec.Hooks, v.at+".hooks", "hooks", &scope{v: v})
}

// begin checks a template that the workflow itself calls: its inputs come from the
// workflow's arguments.
func (v *validator) begin(name, path string, supplied bool) {
	if strings.Contains(name, "{{") {
		return
	}
	t := v.find(name)
	if t == nil {
		v.undefined(path, "", name)
		return
	}
	if supplied {
		v.supplied(t, &v.spec.Arguments, path, "")
	}
}

// find returns the template of that name, nil if there is none.
func (v *validator) find(name string) *Template {
	if i, ok := v.templates[name]; ok {
		return &v.spec.Templates[i]
	}
	return nil
}

func (v *validator) undefined(path, where, name string) {
	v.fail(path, "%stemplate name '%s' undefined", where, name).Hint = v.near(name, v.names)
}

func (v *validator) workflowTemplateRef(ref *WorkflowTemplateRef) {
	path := v.at + ".workflowTemplateRef"
	if ref.Name == "" {
		v.fail(path, "workflowTemplateRef has no name")
		return
	}
	if len(v.spec.Templates) > 0 {
		v.fail(v.at+".templates", "Templates is invalid field in spec if workflow referred WorkflowTemplate reference")
	}
	if v.o.Templates == nil {
		return
	}
	stored := v.o.Templates(ref.Name, ref.ClusterScope)
	if stored == nil {
		v.fail(path+".name", "%s \"%s\" not found", storedKind(ref.ClusterScope), ref.Name)
		return
	}
	entrypoint := v.spec.Entrypoint
	if entrypoint == "" {
		entrypoint = stored.Entrypoint
	}
	t := stored.Template(entrypoint)
	switch {
	case entrypoint == "":
		v.fail(path, "%s.entrypoint is required", v.at)
	case t == nil:
		v.fail(path, "template name '%s' undefined", entrypoint)
	default:
		merged := Arguments{
			Parameters: append(append([]Parameter{}, v.spec.Arguments.Parameters...), stored.Arguments.Parameters...),
			Artifacts:  append(append([]Artifact{}, v.spec.Arguments.Artifacts...), stored.Arguments.Artifacts...),
		}
		v.supplied(t, &merged, path, "")
	}
	for i := range stored.Arguments.Parameters {
		p := &stored.Arguments.Parameters[i]
		if given := v.spec.Arguments.GetParameterByName(p.Name); !p.HasValue() && given == nil && !v.o.Lint {
			v.fail(path, "spec.arguments.%s.value or spec.arguments.%s.valueFrom is required", p.Name, p.Name)
		}
	}
}

func storedKind(cluster bool) string {
	if cluster {
		return "cluster workflow template"
	}
	return "workflow template"
}

// collectGlobals notes the names that outputs export to the whole workflow.
func (v *validator) collectGlobals() {
	v.globals = map[string]bool{}
	v.anyGlobal = v.spec.WorkflowTemplateRef != nil || v.stored
	var collect func(t *Template)
	add := func(kind, name string) {
		switch {
		case strings.Contains(name, "{{"):
			v.anyGlobal = true
		case name != "":
			v.globals["workflow.outputs."+kind+"."+name] = true
		}
	}
	call := func(ref *TemplateRef, inline *Template) {
		v.anyGlobal = v.anyGlobal || ref != nil
		if inline != nil {
			collect(inline)
		}
	}
	collect = func(t *Template) {
		for i := range t.Outputs.Parameters {
			add("parameters", t.Outputs.Parameters[i].GlobalName)
		}
		for i := range t.Outputs.Artifacts {
			add("artifacts", t.Outputs.Artifacts[i].GlobalName)
		}
		for _, group := range t.Steps {
			for i := range group.Steps {
				call(group.Steps[i].TemplateRef, group.Steps[i].Inline)
			}
		}
		if t.DAG != nil {
			for i := range t.DAG.Tasks {
				call(t.DAG.Tasks[i].TemplateRef, t.DAG.Tasks[i].Inline)
			}
		}
	}
	for i := range v.spec.Templates {
		collect(&v.spec.Templates[i])
	}
}

// expression warns of a field that should be an expression as a whole, without braces, and is
// none: Argo finds it when it runs.
func (v *validator) expression(path, text string) {
	if text == "" || strings.Contains(text, "{{") || len(v.warnings) >= maxErrors {
		return
	}
	if err := expr.CheckExpression(text); err != nil {
		v.warn(path, "%s", cause(err))
	}
}

// cause leaves out what every error of a template text ends with.
func cause(err error) string {
	return strings.TrimSuffix(err.Error(), ": "+expr.ErrMalformed.Error())
}
