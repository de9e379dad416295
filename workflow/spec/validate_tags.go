package spec

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"argosy/workflow/expr"
)

// scope is what the tags at one place of a workflow may name.
type scope struct {
	v        *validator
	template *Template                            // whose inputs and outputs are meant; nil outside of templates
	kind     string                               // "steps" or "tasks": what the template is made of
	visible  func(name string) (c *call, ok bool) // the steps or tasks that may be named
	ended    func(name string) bool               // of tasks: those that have; nil: all that are visible
	names    []string                             // of all steps or tasks
	loop     *call                                // the step or task whose items are meant
	outer    *scope                               // of the step or task that an inline template belongs to
	hook     bool                                 // what is checked is a hook
}

// simpleTag finds {{name}}, but not {{=expression}}.
var simpleTag = regexp.MustCompile(`\{\{\s*([^{}=\s][^{}]*?)\s*\}\}`)

// tags checks every text within value, whose path is given.
func (v *validator) tags(s *scope, value any, path, where string) {
	data, err := json.Marshal(value)
	if err != nil {
		v.fail(path, "%s cannot be encoded: %s", where, err)
		return
	}
	if !strings.Contains(string(data), "{{") {
		return
	}
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		v.fail(path, "%s cannot be decoded: %s", where, err)
		return
	}
	v.walkTags(s, tree, path, where)
}

func (v *validator) walkTags(s *scope, value any, path, where string) {
	switch x := value.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(x)) {
			v.text(s, k, keyPath(path, k), where)
			v.walkTags(s, x[k], keyPath(path, k), where)
		}
	case []any:
		for i, e := range x {
			v.walkTags(s, e, fmt.Sprintf("%s[%d]", path, i), where)
		}
	case string:
		v.text(s, x, path, where)
	}
}

// text checks the tags of one text.
func (v *validator) text(s *scope, text, path, where string) {
	if !strings.Contains(text, "{{") {
		return
	}
	if at := expr.Unclosed(text); at != nil {
		v.fail(path, "%s %s", where, cause(at))
		return
	}
	if err := expr.Check(text); err != nil && len(v.warnings) < maxErrors {
		v.warn(path, "%s %s", where, cause(err)) // Argo finds it when it runs
	}
	for _, m := range simpleTag.FindAllStringSubmatch(text, -1) {
		if tag := m[1]; !s.resolves(tag) {
			v.fail(path, "%s failed to resolve {{%s}}", where, tag).Hint = s.hint(tag)
		}
	}
	v.expressionNames(s, text, path, where)
}

// expressionNames warns of names in expressions that are nothing. It is no error, for an
// expression may ask what is there, and have an answer for nothing.
func (v *validator) expressionNames(s *scope, text, path, where string) {
	if !strings.Contains(text, "{{=") || len(v.warnings) >= maxErrors {
		return
	}
	for _, name := range expr.References(text) {
		if !s.resolvesPart(name) {
			v.warn(path, "%s nothing is called %s here", where, name)
		}
	}
}

// resolvesPart says that a name, or what it is a member of, may be something.
func (s *scope) resolvesPart(name string) bool {
	switch name {
	case "item", "inputs", "inputs.parameters", "inputs.artifacts", "steps", "tasks", "workflow":
		return true
	}
	if s.resolves(name) {
		return true
	}
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return false
	}
	switch parent := name[:dot]; parent {
	case "inputs", "inputs.parameters", "inputs.artifacts", "steps", "tasks", "workflow", "workflow.parameters":
		return false
	default:
		return s.resolvesPart(parent)
	}
}

// resolves says that a tag names something, or is none of Argo's and stays as it is.
func (s *scope) resolves(tag string) bool {
	root, rest, dotted := strings.Cut(tag, ".")
	if !dotted {
		return true // Argo looks at no others
	}
	switch root {
	case "item":
		if s.item(rest) {
			return true
		}
	case "inputs":
		if s.input(rest) {
			return true
		}
	case "steps", "tasks":
		if rest == "name" || s.child(root, rest) {
			return true
		}
	case "workflow":
		if tag == "workflow.failures" && s.v.main[s.template] && !s.hook {
			return false
		}
		return s.v.global(tag)
	case "pod":
		if rest == "name" && s.template != nil && s.template.IsPodType() {
			return true
		}
	default:
		return true // outputs.X names the template's own; other roots are not ours
	}
	return s.outer != nil && s.outer.resolves(tag)
}

func (s *scope) item(field string) bool {
	c := s.loop
	if c == nil || !c.loops() {
		return false
	}
	if field == "" || c.withParam != "" {
		return true
	}
	for _, i := range c.withItems {
		if slices.Contains(i.Keys(), field) || i.hasElement(field) {
			return true
		}
		if strings.Contains(i.String(), "{{") {
			return true // what it is shows when its own tags are filled
		}
	}
	return false
}

func (s *scope) input(rest string) bool {
	if s.template == nil {
		return false
	}
	kind, name, _ := strings.Cut(rest, ".")
	switch {
	case rest == "parameters":
		return len(s.template.Inputs.Parameters) > 0
	case kind == "parameters":
		return s.template.Inputs.GetParameterByName(name) != nil
	case kind == "artifacts":
		return s.template.Inputs.GetArtifactByName(name) != nil ||
			(s.template.IsLeaf() && s.template.Inputs.GetArtifactByName(strings.TrimSuffix(name, ".path")) != nil)
	}
	return false
}

func (s *scope) child(kind, rest string) bool {
	if kind != s.kind || s.visible == nil {
		return false
	}
	name, property, _ := strings.Cut(rest, ".")
	c, ok := s.visible(name)
	if !ok && kind == "steps" && property == "status" && s.loop != nil && s.loop.name == name {
		return true // Argo lets a step name its own
	}
	if ok && property == "status" && s.ended != nil && !s.ended(name) {
		return false
	}
	return ok && c.has(property)
}

// has says that a step or task has such a property when it has ended.
func (c *call) has(property string) bool {
	t := c.callee
	if t == nil {
		return true // it is not known before the run
	}
	output, name, _ := strings.Cut(strings.TrimPrefix(property, "outputs."), ".")
	switch property {
	case "id", "status", "startedAt", "finishedAt", "hostNodeName":
		return true
	case "ip":
		return t.IsDaemon()
	case "outputs.result", "exitCode":
		return t.hasResult()
	case "outputs.parameters":
		return c.aggregates()
	}
	switch {
	case !strings.HasPrefix(property, "outputs."):
		return false
	case output == "parameters":
		return t.Outputs.GetParameterByName(name) != nil
	case output == "artifacts":
		return t.Outputs.GetArtifactByName(name) != nil
	}
	return false
}

// global says that a workflow.* tag names something.
func (v *validator) global(tag string) bool {
	switch tag {
	case "workflow.name", "workflow.namespace", "workflow.uid", "workflow.mainEntrypoint", "workflow.serviceAccountName",
		"workflow.status", "workflow.failures", "workflow.duration", "workflow.scheduledTime",
		"workflow.labels", "workflow.labels.json",
		"workflow.annotations", "workflow.annotations.json", "workflow.creationTimestamp":
		return true
	case "workflow.priority":
		return v.spec.Priority != nil || v.spec.WorkflowTemplateRef != nil
	case "workflow.parameters", "workflow.parameters.json":
		return v.stored || v.spec.WorkflowTemplateRef != nil || len(v.spec.Arguments.Parameters) > 0
	}
	if strings.HasPrefix(tag, "workflow.creationTimestamp.") {
		return true
	}
	if name, ok := strings.CutPrefix(tag, "workflow.labels."); ok {
		return v.metadata == nil || v.metadata.labels[name]
	}
	if name, ok := strings.CutPrefix(tag, "workflow.annotations."); ok {
		return v.metadata == nil || v.metadata.annotations[name]
	}
	if name, ok := strings.CutPrefix(tag, "workflow.parameters."); ok {
		return v.stored || v.spec.WorkflowTemplateRef != nil || v.spec.Arguments.GetParameterByName(name) != nil
	}
	return strings.HasPrefix(tag, "workflow.outputs.") && (v.anyGlobal || v.globals[tag])
}

// hint finds what the author may have meant by a tag that names nothing.
func (s *scope) hint(tag string) string {
	if s.v.full {
		return ""
	}
	root, rest, _ := strings.Cut(tag, ".")
	var known []string
	switch root {
	case "inputs":
		if s.template == nil {
			return ""
		}
		for i := range s.template.Inputs.Parameters {
			known = append(known, "inputs.parameters."+s.template.Inputs.Parameters[i].Name)
		}
		for i := range s.template.Inputs.Artifacts {
			known = append(known, "inputs.artifacts."+s.template.Inputs.Artifacts[i].Name)
		}
	case "workflow":
		if rest == "failures" {
			return "it is known only to exit handlers and hooks"
		}
		for i := range s.v.spec.Arguments.Parameters {
			known = append(known, "workflow.parameters."+s.v.spec.Arguments.Parameters[i].Name)
		}
		known = append(known, slices.Collect(maps.Keys(s.v.globals))...)
		known = append(known, "workflow.name", "workflow.namespace", "workflow.uid", "workflow.status", "workflow.failures")
	case "item":
		if s.loop == nil || !s.loop.loops() {
			return "item is known only in a step or task with withItems, withParam or withSequence"
		}
		for _, i := range s.loop.withItems {
			for _, k := range i.Keys() {
				known = append(known, "item."+k)
			}
		}
	case "steps", "tasks":
		return s.childHint(root, rest)
	}
	return didYouMean(tag, known)
}

func (s *scope) childHint(root, rest string) string {
	name, property, _ := strings.Cut(rest, ".")
	if s.kind != "" && root != s.kind {
		return fmt.Sprintf("a template of %s names them %s.%s", s.kind, s.kind, rest)
	}
	if s.visible == nil {
		return "a template sees only its own steps or tasks: pass the value as an input"
	}
	c, ok := s.visible(name)
	switch {
	case ok:
	case !slices.Contains(s.names, name):
		return didYouMean(name, s.names)
	default:
		return fmt.Sprintf("step %q has not run by then", name)
	}
	if property == "status" && s.ended != nil && !s.ended(name) {
		return fmt.Sprintf("the task does not depend on %q", name)
	}
	prefix := root + "." + name + "."
	var known []string
	for i := range c.callee.Outputs.Parameters {
		known = append(known, prefix+"outputs.parameters."+c.callee.Outputs.Parameters[i].Name)
	}
	for i := range c.callee.Outputs.Artifacts {
		known = append(known, prefix+"outputs.artifacts."+c.callee.Outputs.Artifacts[i].Name)
	}
	known = append(known, prefix+"status")
	if c.callee.hasResult() {
		known = append(known, prefix+"outputs.result", prefix+"exitCode")
	}
	return didYouMean(prefix+property, known)
}
