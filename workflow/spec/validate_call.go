package spec

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"argosy/workflow/expr"
)

// call is what a step and a task of a DAG have in common.
type call struct {
	path, where  string
	name         string
	template     string
	inline       *Template
	ref          *TemplateRef
	arguments    *Arguments
	withItems    []Item
	withParam    string
	withSequence *Sequence
	when         string
	onExit       string
	hooks        LifecycleHooks
	text         any // the step or task without its inline template and hooks, for its tags
	callee       *Template
}

// loops says that the call runs once per item of something.
func (c *call) loops() bool {
	return c.withItems != nil || c.withParam != "" || c.withSequence != nil
}

// aggregates says that the outputs of all its items have a name: Argo's rules forget those of
// a sequence.
func (c *call) aggregates() bool { return len(c.withItems) > 0 || c.withParam != "" }

func stepCall(s *WorkflowStep, path, where string) *call {
	text := *s
	text.Inline, text.Hooks, text.OnExit = nil, nil, ""
	return &call{
		path: path, where: where, name: s.Name, template: s.Template, inline: s.Inline, ref: s.TemplateRef,
		arguments: &s.Arguments, withItems: s.WithItems, withParam: s.WithParam, withSequence: s.WithSequence,
		when: s.When, onExit: s.OnExit, hooks: s.Hooks, text: text,
	}
}

func taskCall(t *DAGTask, path, where string) *call {
	text := *t
	text.Inline, text.Hooks, text.OnExit = nil, nil, ""
	return &call{
		path: path, where: where, name: t.Name, template: t.Template, inline: t.Inline, ref: t.TemplateRef,
		arguments: &t.Arguments, withItems: t.WithItems, withParam: t.WithParam, withSequence: t.WithSequence,
		when: t.When, onExit: t.OnExit, hooks: t.Hooks, text: text,
	}
}

// resolve finds the template that a call runs. It returns nil when that is not known before
// the run, or when there is none, which it reports.
func (v *validator) resolve(path, where, name string, inline *Template, ref *TemplateRef) *Template {
	n := 0
	for _, set := range []bool{name != "", inline != nil, ref != nil} {
		if set {
			n++
		}
	}
	switch {
	case n == 0:
		v.fail(path, "%s template, templateRef or inline is required", where)
	case n > 1:
		v.fail(path, "%s only one of template, templateRef and inline can be given", where)
	case inline != nil:
		return inline
	case ref != nil:
		return v.resolveRef(ref, path+".templateRef", where)
	case strings.Contains(name, "{{"):
	default:
		if t := v.find(name); t != nil {
			return t
		}
		v.undefined(path+".template", where+" ", name)
	}
	return nil
}

func (v *validator) resolveRef(ref *TemplateRef, path, where string) *Template {
	switch {
	case ref.Name == "":
		v.fail(path, "%s templateRef.name is required", where)
		return nil
	case ref.Template == "":
		v.fail(path, "%s templateRef.template is required", where)
		return nil
	case v.o.Templates == nil || strings.Contains(ref.Name+ref.Template, "{{"):
		return nil
	}
	stored := v.o.Templates(ref.Name, ref.ClusterScope)
	if stored == nil {
		v.fail(path+".name", "%s %s \"%s\" not found", where, storedKind(ref.ClusterScope), ref.Name)
		return nil
	}
	t := stored.Template(ref.Template)
	if t == nil {
		var names []string
		for i := range stored.Templates {
			names = append(names, stored.Templates[i].Name)
		}
		v.fail(path+".template", "%s template '%s' is not found in %s \"%s\"", where, ref.Template, storedKind(ref.ClusterScope), ref.Name).
			Hint = v.near(ref.Template, names)
	}
	return t
}

// call checks one step or task, whose tags see s.
func (v *validator) call(c *call, s *scope) {
	inner := &scope{v: v, template: s.template, outer: s.outer, visible: s.visible, ended: s.ended, kind: s.kind, names: s.names, loop: c}
	v.loop(c)
	v.tags(inner, c.text, c.path, c.where)
	if c.when != "" && expr.Check(c.when) == nil && len(v.warnings) < maxErrors { // else the tags have said so
		if err := expr.CheckWhen(c.when); err != nil {
			v.warn(c.path+".when", "%s %s", c.where, cause(err))
		}
	}
	v.callArguments(c.arguments, c.path+".arguments", c.where)
	for i := range c.arguments.Artifacts { // a from may do without braces
		a := &c.arguments.Artifacts[i]
		if a.From != "" && !strings.Contains(a.From, "{{") && !inner.resolves(a.From) {
			v.fail(fmt.Sprintf("%s.arguments.artifacts[%d].from", c.path, i), "%s failed to resolve {{%s}}", c.where, a.From).Hint = inner.hint(a.From)
		}
	}
	if c.callee != nil {
		v.supplied(c.callee, c.arguments, c.path, c.where+" ")
	}
	if c.inline != nil {
		v.template(c.inline, c.path+".inline", c.where+".inline", inner)
	}
	// Hooks see what the step or task itself gave, too.
	own := *inner
	own.hook = true
	own.visible = func(name string) (*call, bool) {
		if name == c.name {
			return c, true
		}
		return inner.visible(name)
	}
	v.hooks(c.hooks, c.path+".hooks", c.where+".hooks", &own)
	if c.onExit != "" && !strings.Contains(c.onExit, "{{") {
		if v.find(c.onExit) == nil {
			v.lazily(func() { v.undefined(c.path+".onExit", c.where+".onExit ", c.onExit) })
		}
	}
}

// lazily warns of what check finds: Argo finds it when it runs.
func (v *validator) lazily(check func()) {
	errs, full := v.errs, v.full
	v.errs, v.full = nil, false
	check()
	for _, e := range v.errs {
		if len(v.warnings) < maxErrors {
			v.warnings = append(v.warnings, Warning(*e))
		}
	}
	v.errs, v.full = errs, full
}

func (v *validator) hooks(hooks LifecycleHooks, path, where string, s *scope) {
	for _, name := range slices.Sorted(maps.Keys(hooks)) {
		h := hooks[name]
		at, label := keyPath(path, name), where+"."+name
		if name != ExitLifecycleEvent && h.Expression == "" {
			v.fail(at, "%s expression is required for hooks other than '%s'", label, ExitLifecycleEvent)
		}
		v.expression(at+".expression", h.Expression)
		v.lazily(func() {
			t := v.resolve(at, label, h.Template, nil, h.TemplateRef)
			v.callArguments(&h.Arguments, at+".arguments", label)
			if t != nil {
				v.supplied(t, &h.Arguments, at, label+" ")
			}
		})
		v.tags(s, h, at, label)
	}
}

// callArguments checks that arguments are whole.
func (v *validator) callArguments(a *Arguments, path, where string) {
	v.parameterNames(a.Parameters, path+".parameters")
	v.artifactNames(a.Artifacts, path+".artifacts")
	for i := range a.Parameters {
		p := &a.Parameters[i]
		at, name := fmt.Sprintf("%s.parameters[%d]", path, i), where+".arguments.parameters."+p.Name
		if p.Value == nil && p.ValueFrom == nil {
			v.fail(at, "%s.value or %s.valueFrom is required", name, name)
		}
		v.argumentSource(p.ValueFrom, at+".valueFrom", name)
	}
	v.argumentArtifacts(a.Artifacts, path+".artifacts", where+".arguments.artifacts.")
}

// argumentSource checks where an argument gets its value: nothing has run that could have
// written a file.
func (v *validator) argumentSource(f *ValueFrom, path, name string) {
	if f == nil {
		return
	}
	v.valueFrom(f, path, name)
	if f.ConfigMapKeyRef == nil && f.Supplied == nil && f.Event == "" {
		v.fail(path, "%s.valueFrom only allows: default, configMapKeyRef and supplied", name)
	}
}

func (v *validator) argumentArtifacts(list []Artifact, path, where string) {
	for i := range list {
		art := &list[i]
		at := fmt.Sprintf("%s[%d]", path, i)
		v.expression(at+".fromExpression", art.FromExpression)
		v.location(art, at, where+art.Name)
		switch {
		case art.From != "" && art.FromExpression != "":
			v.fail(at, "%s%s shouldn't have both `from` and `fromExpression` in Artifact", where, art.Name)
		case art.From == "" && art.FromExpression == "" && !art.HasLocation():
			v.fail(at, "%s%s: from, artifact location, or key is required", where, art.Name)
		}
	}
}

// supplied checks that a template gets all inputs that it cannot do without.
func (v *validator) supplied(t *Template, a *Arguments, path, where string) {
	prefix := where
	if t.Name != "" {
		prefix += "templates." + t.Name + " "
	}
	for i := range t.Inputs.Parameters {
		in := &t.Inputs.Parameters[i]
		arg := a.GetParameterByName(in.Name)
		switch {
		case arg != nil && arg.HasValue():
			v.offers(in, arg.Value, path)
		case in.HasValue():
		case arg != nil && where != "": // said already
		case arg != nil && (v.o.Lint || v.stored): // comes with the submission
		default:
			e := v.fail(path, "%sinputs.parameters.%s was not supplied", prefix, in.Name)
			e.Hint = suppliedHint(in.Name, t.Inputs.Parameters, a.Parameters)
		}
	}
	for i := range t.Inputs.Artifacts {
		in := &t.Inputs.Artifacts[i]
		if a.GetArtifactByName(in.Name) == nil && !in.Optional && !in.HasLocation() {
			v.fail(path, "%sinputs.artifacts.%s was not supplied", prefix, in.Name)
		}
	}
}

// suppliedHint finds an argument that no input takes and that is spelt almost like name.
func suppliedHint(name string, inputs, args []Parameter) string {
	for i := range args {
		if parameter(inputs, args[i].Name) == nil && didYouMean(args[i].Name, []string{name}) != "" {
			return fmt.Sprintf("the argument %q is not an input", args[i].Name)
		}
	}
	return ""
}

func (v *validator) loop(c *call) {
	n := 0
	for _, set := range []bool{c.withItems != nil, c.withParam != "", c.withSequence != nil} {
		if set {
			n++
		}
	}
	if n > 1 {
		v.fail(c.path, "%s only one of withItems, withParam, withSequence can be specified", c.where)
	}
	if q := c.withSequence; q != nil {
		at := c.path + ".withSequence"
		switch {
		case q.Count == nil && q.End == nil:
			v.fail(at, "%s must specify either 'count' or 'end' in withSequence", c.where)
		case q.Count != nil && q.End != nil:
			v.fail(at, "%s must specify either 'count' or 'end' in withSequence, not both", c.where)
		}
		if q.Format != "" && !strings.Contains(q.Format, "{{") && strings.HasPrefix(fmt.Sprintf(q.Format, 1), "%!") {
			v.fail(at+".format", "%s withSequence.format '%s' has no place for a number", c.where, q.Format)
		}
	}
	if c.withParam != "" && !strings.Contains(c.withParam, "{{") && !json.Valid([]byte(c.withParam)) {
		v.warn(c.path+".withParam", "%s withParam is not a JSON list", c.where)
	}
}
