package workflow

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

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
	if !n.done() {
		return nil, expr.Pending
	}
	return s.t.childProperty(n, property)
}

// childProperty answers steps.X.<property> of a node.
func (t *turn) childProperty(n *Node, property string) (any, expr.State) {
	if output, ok := strings.CutPrefix(property, "outputs."); ok {
		return t.childOutput(n, output)
	}
	run := t.v.Run.Name
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
	case "ip":
		if n.Daemon != nil {
			return n.Daemon.Address, expr.Known
		}
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
	_, ok := t.steps[name]
	return ok
}

// child finds a Steps or DAG node's child by its name in the spec, nil if it has not started.
func (t *turn) child(scope *Node, kind, name string) *Node {
	if kind == "tasks" {
		return t.node(scope.Key.Task(name))
	}
	p, ok := t.v.Plan.templates[scope.Template].steps[name]
	if !ok {
		return nil
	}
	return t.node(scope.Key.Step(p.group, name))
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
		all := expr.Branch{}
		for _, p := range n.Outputs.Parameters {
			all[p.Name] = p.Value
		}
		return all, expr.Known
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

// aggregate is what a name of a loop's outputs stands for.
type aggregate struct {
	value any
	state expr.State
}

// aggregate answers for a loop. Many items may ask for the same in one turn.
func (t *turn) aggregate(n *Node, name string) (any, expr.State) {
	id := string(n.Key) + "." + name
	a, ok := t.aggregates[id]
	if !ok {
		if t.aggregates == nil {
			t.aggregates = map[string]aggregate{}
		}
		a.value, a.state = t.collect(n, name)
		t.aggregates[id] = a
	}
	return a.value, a.state
}

// collect gathers the values of a loop's items as a JSON list. Items that were skipped give
// none.
func (t *turn) collect(n *Node, name string) (any, expr.State) {
	parameter, isParameter := strings.CutPrefix(name, "parameters.")
	values := []any{}
	for _, o := range t.itemOutputs(n) {
		switch {
		case isParameter:
			if v, ok := o.Parameter(parameter); ok {
				values = append(values, v)
			}
		case name == "parameters" && len(o.Parameters) > 0:
			m := make(map[string]string, len(o.Parameters))
			for _, p := range o.Parameters {
				m[p.Name] = p.Value
			}
			values = append(values, m)
		case name == "result" && o.Result != nil:
			values = append(values, asJSON(*o.Result))
		}
	}
	if len(values) == 0 && isParameter && !t.v.Plan.declaresOutput(n.Template, parameter) {
		return nil, expr.Unknown
	}
	if isParameter {
		structured(values)
	}
	data, err := json.Marshal(values)
	if err != nil {
		return nil, expr.Unknown
	}
	return string(data), expr.Known
}

// itemOutputs are the outputs of a loop's items, in the items' order.
func (t *turn) itemOutputs(n *Node) []*Values {
	if n.Loop.Chunks != nil {
		return t.chunkOutputs(n.Key)
	}
	t.needItems(n, 0, n.Loop.Count)
	c := t.site(n.Key)
	keys := make([]Key, n.Loop.Count)
	for i := range keys {
		keys[i] = itemKey(n.Key, i, t.item(n, c, i))
	}
	t.need(keys...)
	var outputs []*Values
	for _, k := range keys {
		if item := t.node(k); item != nil && item.Outputs != nil {
			outputs = append(outputs, item.Outputs)
		}
	}
	return outputs
}

// structured takes texts for the JSON that they are if every one is a list or a map.
func structured(texts []any) {
	for _, v := range texts {
		text := strings.TrimSpace(v.(string))
		if text == "" || text[0] != '[' && text[0] != '{' || !json.Valid([]byte(text)) {
			return
		}
	}
	for i, v := range texts {
		texts[i] = json.RawMessage(v.(string))
	}
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
