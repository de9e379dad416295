package workflow

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// callScope is what a call's arguments, when and loop may name: the loop value, the
// caller's other children, and all that the caller's template may name.
func (t *turn) callScope(c *call, item json.RawMessage) expr.Scope {
	var scopes []expr.Scope
	if item != nil {
		scopes = append(scopes, itemScope{decodeItem(item)})
	}
	if c.caller != nil {
		tmpl := t.v.Plan.templates[c.caller.Template]
		scopes = append(scopes, &childScope{t: t, scope: c.caller, tmpl: tmpl}, t.inputScope(c.caller))
	} else {
		scopes = append(scopes, t.inputScope(&Node{Key: Root}))
	}
	return expr.Chain(scopes...)
}

// inputScope is what the template of a node may name during a turn.
func (t *turn) inputScope(n *Node) expr.Scope {
	return expr.Chain(&stateScope{t}, &nodeScope{plan: t.v.Plan, run: t.v.Run, node: n})
}

// itemScope names the loop value: item, and item.key of a map.
type itemScope struct{ value any }

func (s itemScope) Lookup(name string) (any, expr.State) {
	if name == "item" {
		return s.value, expr.Known
	}
	key, ok := strings.CutPrefix(name, "item.")
	if m, isMap := s.value.(map[string]any); ok && isMap {
		if v, ok := m[key]; ok {
			return itemText(v), expr.Known
		}
	}
	return nil, expr.Unknown
}

// stateScope names what changes while the run goes on.
type stateScope struct{ t *turn }

// dynamicName says that a name's value changes during a run, so that a node must keep the
// value that it was launched with.
func dynamicName(name string) bool {
	return strings.HasPrefix(name, "workflow.outputs.parameters.") || name == "workflow.duration" ||
		name == "workflow.status"
}

func (s *stateScope) Lookup(name string) (any, expr.State) {
	state := &s.t.delta.State
	switch {
	case name == "workflow.status":
		return string(state.Phase), expr.Known
	case name == "workflow.duration":
		return fmt.Sprintf("%f", (time.Duration(s.t.now-state.Started) * time.Millisecond).Seconds()), expr.Known
	case strings.HasPrefix(name, "workflow.outputs.parameters."):
		if v, ok := state.Outputs.Parameter(strings.TrimPrefix(name, "workflow.outputs.parameters.")); ok {
			return v, expr.Known
		}
		return nil, expr.Pending
	}
	return nil, expr.Unknown
}

// captureVars keeps the values of what a leaf's template uses of the run's state.
func (t *turn) captureVars(n *Node, tmpl *template) error {
	if tmpl.nodeType() != spec.NodeTypePod {
		return nil
	}
	for _, name := range tmpl.dynamic {
		v, state := (&stateScope{t}).Lookup(name)
		if state != expr.Known {
			return fmt.Errorf("failed to resolve {{%s}}: no node has exported it yet", name)
		}
		if n.Vars == nil {
			n.Vars = map[string]string{}
		}
		n.Vars[name] = itemText(v)
	}
	return nil
}

// nodeScope names what is fixed for a node: its inputs and the run itself. The worker uses
// the same scope to resolve a leaf's template.
type nodeScope struct {
	plan *Plan
	run  *Run
	node *Node
}

func (s *nodeScope) Lookup(name string) (any, expr.State) {
	if v, ok := s.node.Vars[name]; ok {
		return v, expr.Known
	}
	root, rest, _ := strings.Cut(name, ".")
	switch root {
	case "inputs":
		if rest == "parameters" {
			return paramsJSON(s.inputs()), expr.Known
		}
		if p, ok := strings.CutPrefix(rest, "parameters."); ok {
			if v, ok := s.node.Inputs.Parameter(p); ok {
				return v, expr.Known
			}
		}
		return s.path(name)
	case "outputs":
		return s.path(name)
	case "node":
		if rest == "name" {
			return s.node.Key.Name(s.run.Name), expr.Known
		}
	case "pod":
		if rest == "name" {
			return PodName(s.run.Name, s.node.Template, s.node.Key), expr.Known
		}
	case "retries":
		if n, ok := attemptIndex(s.node.Key); ok && rest == "" {
			return strconv.Itoa(n), expr.Known
		}
	case "workflow":
		return s.workflow(rest)
	}
	return nil, expr.Unknown
}

func (s *nodeScope) inputs() []Param {
	if s.node.Inputs == nil {
		return nil
	}
	return s.node.Inputs.Parameters
}

// path answers inputs.artifacts.X.path, outputs.artifacts.X.path and
// outputs.parameters.X.path from the node's own template.
func (s *nodeScope) path(name string) (any, expr.State) {
	name, ok := strings.CutSuffix(name, ".path")
	tmpl := s.plan.templates[s.node.Template]
	if !ok || tmpl == nil {
		return nil, expr.Unknown
	}
	artifacts := tmpl.Inputs.Artifacts
	if strings.HasPrefix(name, "outputs.") {
		artifacts = tmpl.Outputs.Artifacts
	}
	_, rest, _ := strings.Cut(name, ".")
	if a, ok := strings.CutPrefix(rest, "artifacts."); ok {
		for i := range artifacts {
			if artifacts[i].Name == a {
				return artifacts[i].Path, expr.Known
			}
		}
	}
	if p, ok := strings.CutPrefix(name, "outputs.parameters."); ok {
		for i := range tmpl.Outputs.Parameters {
			if q := &tmpl.Outputs.Parameters[i]; q.Name == p && q.ValueFrom != nil {
				return q.ValueFrom.Path, expr.Known
			}
		}
	}
	return nil, expr.Unknown
}

func (s *nodeScope) workflow(name string) (any, expr.State) {
	run := s.run
	switch name {
	case "name":
		return run.Name, expr.Known
	case "namespace":
		return run.Namespace, expr.Known
	case "uid":
		return run.ID, expr.Known
	case "serviceAccountName":
		return s.plan.Spec.ServiceAccountName, expr.Known
	case "mainEntrypoint":
		return s.plan.Spec.Entrypoint, expr.Known
	case "priority":
		if p := s.plan.Spec.Priority; p != nil {
			return strconv.Itoa(int(*p)), expr.Known
		}
		return "0", expr.Known
	case "parameters", "parameters.json":
		return paramsJSON(runParameters(run)), expr.Known
	case "labels", "labels.json":
		return mapJSON(run.Labels), expr.Known
	case "annotations", "annotations.json":
		return mapJSON(run.Annotations), expr.Known
	case "creationTimestamp", "creationTimestamp.RFC3339":
		return run.Created.Time().Format(time.RFC3339), expr.Known
	case "creationTimestamp.s":
		return strconv.FormatInt(int64(run.Created)/1000, 10), expr.Known
	}
	kind, key, _ := strings.Cut(name, ".")
	switch kind {
	case "parameters":
		for _, p := range runParameters(run) {
			if p.Name == key {
				return p.Value, expr.Known
			}
		}
	case "labels":
		if v, ok := run.Labels[key]; ok {
			return v, expr.Known
		}
	case "annotations":
		if v, ok := run.Annotations[key]; ok {
			return v, expr.Known
		}
	}
	return nil, expr.Unknown
}

func runParameters(run *Run) []Param {
	out := make([]Param, 0, len(run.Arguments.Parameters))
	for i := range run.Arguments.Parameters {
		p := &run.Arguments.Parameters[i]
		switch {
		case p.Value != nil:
			out = append(out, Param{Name: p.Name, Value: p.Value.String()})
		case p.Default != nil:
			out = append(out, Param{Name: p.Name, Value: p.Default.String()})
		}
	}
	return out
}

// paramsJSON renders parameters as Argo does: [{"name":"a","value":"b"}].
func paramsJSON(params []Param) string {
	type pair struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	pairs := make([]pair, len(params))
	for i, p := range params {
		pairs[i] = pair{p.Name, p.Value}
	}
	data, _ := json.Marshal(pairs)
	return string(data)
}

func mapJSON(m map[string]string) string {
	if m == nil {
		m = map[string]string{}
	}
	data, _ := json.Marshal(m)
	return string(data)
}

func attemptIndex(k Key) (int, bool) {
	s := k.Segment()
	if len(s) < 3 || s[0] != '(' || s[len(s)-1] != ')' {
		return 0, false
	}
	n, err := strconv.Atoi(s[1 : len(s)-1])
	return n, err == nil
}

// childScope names the children of a Steps or DAG node: steps.X... or tasks.X...
type childScope struct {
	t     *turn
	scope *Node
	tmpl  *template
}

func (s *childScope) Lookup(name string) (any, expr.State) {
	kind, rest, _ := strings.Cut(name, ".")
	if (kind != "steps" || s.tmpl.Steps == nil) && (kind != "tasks" || s.tmpl.DAG == nil) {
		return nil, expr.Unknown
	}
	child, property, ok := strings.Cut(rest, ".")
	if !ok || !s.tmpl.hasChild(child) {
		return nil, expr.Unknown
	}
	n := s.t.child(s.scope, kind, child)
	if !n.Fulfilled() {
		return nil, expr.Pending
	}
	if output, ok := strings.CutPrefix(property, "outputs."); ok {
		return s.t.childOutput(n, output)
	}
	run := s.t.v.Run.Name
	switch property {
	case "id":
		return n.Key.ID(run), expr.Known
	case "status":
		return string(n.Phase), expr.Known
	case "startedAt":
		return n.Started.Time().Format(time.RFC3339), expr.Known
	case "finishedAt":
		return n.Finished.Time().Format(time.RFC3339), expr.Known
	case "hostNodeName":
		return n.Host, expr.Known
	case "exitCode":
		if n.Outputs != nil && n.Outputs.ExitCode != nil {
			return strconv.Itoa(*n.Outputs.ExitCode), expr.Known
		}
	}
	return nil, expr.Unknown
}

func (t *template) hasChild(name string) bool {
	if t.dag != nil {
		_, ok := t.dag.index[name]
		return ok
	}
	_, ok := t.stepGroup(name)
	return ok
}

func (t *template) stepGroup(name string) (int, bool) {
	for g := range t.Steps {
		for i := range t.Steps[g].Steps {
			if t.Steps[g].Steps[i].Name == name {
				return g, true
			}
		}
	}
	return 0, false
}

// child finds a Steps or DAG node's child by its name in the spec, nil if it has not started.
func (t *turn) child(scope *Node, kind, name string) *Node {
	if kind == "tasks" {
		return t.node(scope.Key.Task(name))
	}
	g, ok := t.v.Plan.templates[scope.Template].stepGroup(name)
	if !ok {
		return nil
	}
	return t.node(scope.Key.Step(g, name))
}

// childOutput answers outputs.<name> of a child that has ended.
func (t *turn) childOutput(n *Node, name string) (any, expr.State) {
	if n.Type == spec.NodeTypeTaskGroup && n.Loop != nil {
		return t.aggregate(n, name)
	}
	parameter, isParameter := strings.CutPrefix(name, "parameters.")
	switch {
	case isParameter:
		if v, ok := n.Outputs.Parameter(parameter); ok {
			return v, expr.Known
		}
	case name == "result" && n.Outputs != nil && n.Outputs.Result != nil:
		return *n.Outputs.Result, expr.Known
	case name == "exitCode" && n.Outputs != nil && n.Outputs.ExitCode != nil:
		return strconv.Itoa(*n.Outputs.ExitCode), expr.Known
	case name == "parameters" && n.Outputs != nil:
		return paramsJSON(n.Outputs.Parameters), expr.Known
	}
	if n.Phase == spec.NodeSkipped || n.Phase == spec.NodeOmitted {
		if v, ok := t.v.Plan.outputDefault(n.Template, parameter); ok && isParameter {
			return v, expr.Known
		}
		return nil, expr.Absent
	}
	return nil, expr.Unknown
}

// outputDefault is what an output of a template that did not run is worth.
func (p *Plan) outputDefault(template, parameter string) (string, bool) {
	tmpl := p.templates[template]
	if tmpl == nil {
		return "", false
	}
	for i := range tmpl.Outputs.Parameters {
		q := &tmpl.Outputs.Parameters[i]
		if q.Name == parameter && q.ValueFrom != nil && q.ValueFrom.Default != nil {
			return q.ValueFrom.Default.String(), true
		}
	}
	return "", false
}

// aggregate answers for a loop: the values of its items as a JSON list. Items that were
// skipped give none.
func (t *turn) aggregate(n *Node, name string) (any, expr.State) {
	list, err := t.loopItems(t.site(n.Key))
	if err != nil {
		return nil, expr.Unknown
	}
	keys := make([]Key, list.n)
	for i := range keys {
		keys[i] = itemKey(n.Key, i, list.at(i))
	}
	t.need(keys...)
	parameter, isParameter := strings.CutPrefix(name, "parameters.")
	values := []any{}
	for _, k := range keys {
		item := t.node(k)
		if item == nil || item.Outputs == nil {
			continue
		}
		switch {
		case isParameter:
			if v, ok := item.Outputs.Parameter(parameter); ok {
				values = append(values, v)
			}
		case name == "parameters" && len(item.Outputs.Parameters) > 0:
			m := make(map[string]string, len(item.Outputs.Parameters))
			for _, p := range item.Outputs.Parameters {
				m[p.Name] = p.Value
			}
			values = append(values, m)
		case name == "result" && item.Outputs.Result != nil:
			values = append(values, asJSON(*item.Outputs.Result))
		}
	}
	if len(values) == 0 && isParameter && !t.v.Plan.declaresOutput(n.Template, parameter) {
		return nil, expr.Unknown
	}
	data, err := json.Marshal(values)
	if err != nil {
		return nil, expr.Unknown
	}
	return string(data), expr.Known
}

func (p *Plan) declaresOutput(template, parameter string) bool {
	tmpl := p.templates[template]
	return tmpl != nil && slices.ContainsFunc(tmpl.Outputs.Parameters, func(q spec.Parameter) bool { return q.Name == parameter })
}

// asJSON takes a result for the JSON that it may be.
func asJSON(text string) any {
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return text
}

// sortedNames lists a set in a stable order.
func sortedNames(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
