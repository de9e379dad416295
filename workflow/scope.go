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
	if c.hooked != nil {
		return t.hookScope(c.hooked)
	}
	var scopes []expr.Scope
	if item != nil {
		scopes = append(scopes, itemScope{decodeItem(item)})
	}
	if c.name != "" {
		scopes = append(scopes, expr.Map{c.kind + ".name": c.name})
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
func (t *turn) inputScope(n *Node) expr.Scope { return t.opener(nil).inputScope(n) }

// opener opens what a call launches during a turn.
func (t *turn) opener(c *call) *opener {
	return &opener{
		plan: t.v.Plan, run: t.v.Run, now: &stateScope{t},
		find:      func(name string) (*spec.Artifact, error) { return t.findArtifact(name, c) },
		configMap: t.configMap,
	}
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
		name == "workflow.status" || name == "workflow.failures"
}

func (s *stateScope) Lookup(name string) (any, expr.State) {
	state := &s.t.delta.State
	switch {
	case name == "workflow.status":
		return string(s.t.workflowStatus()), expr.Known
	case name == "workflow.failures":
		if !s.t.node(Root).Fulfilled() {
			return nil, expr.Pending
		}
		return s.t.failures(), expr.Known
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
	if !leaf(tmpl.nodeType()) {
		return nil
	}
	for _, name := range tmpl.dynamic {
		v, state := (&stateScope{t}).Lookup(name)
		if state == expr.Pending && name == "workflow.failures" {
			v, state = "{{"+name+"}}", expr.Known // the run has not ended: the tag stays
		}
		if state != expr.Known {
			return fmt.Errorf("failed to resolve {{%s}}: no node has exported it yet", name)
		}
		n.keepVar(name, itemText(v))
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
	case "steps", "tasks":
		if kind, call := s.node.Key.call(); rest == "name" && kind == root {
			return call, expr.Known
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
	case "creationTimestamp":
		return stamp(run.Created.Time(), "RFC3339")
	case "scheduledTime":
		if v, ok := run.Annotations[annotationScheduledTime]; ok {
			return v, expr.Known
		}
	}
	kind, key, _ := strings.Cut(name, ".")
	switch kind {
	case "parameters":
		for _, p := range runParameters(run) {
			if p.Name == key {
				return p.Value, expr.Known
			}
		}
	case "creationTimestamp":
		return stamp(run.Created.Time(), key)
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

// sortedNames lists a set in a stable order.
func sortedNames(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
