package workflow

import (
	"fmt"
	"strings"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// call is a place in the spec that launches a template: a step, a task, the entrypoint.
type call struct {
	kind, name   string // "steps" or "tasks", and the name there; empty for the entrypoint
	template     string
	arguments    spec.Arguments
	when         string
	withItems    []spec.Item
	withParam    string
	withSequence *spec.Sequence
	continueOn   *spec.ContinueOn
	hooks        hookSet
	hooked       *Node // that the call is a hook of
	// caller is the Steps or DAG node whose template holds the call; nil for the entrypoint.
	caller *Node
}

func (c *call) loops() bool {
	return len(c.withItems) > 0 || c.withParam != "" || c.withSequence != nil
}

// tolerates says that the scope goes on although the child ended in the phase.
func (c *call) tolerates(p spec.NodePhase) bool {
	return c.continueOn != nil && (p == spec.NodeFailed && c.continueOn.Failed || p == spec.NodeError && c.continueOn.Error)
}

// site finds the call that a node comes from, through loop items and retry attempts.
func (t *turn) site(k Key) *call {
	pk, ok := k.Parent()
	if !ok {
		return &call{template: t.v.Plan.Spec.Entrypoint, arguments: t.v.Run.Arguments}
	}
	parent := t.node(pk)
	if name, hook := k.hook(); hook {
		return t.hookCall(parent, name)
	}
	switch parent.Type {
	case spec.NodeTypeSteps:
		return t.stepCall(parent, k.Segment())
	case spec.NodeTypeDAG:
		return t.taskCall(parent, strings.TrimPrefix(k.Segment(), "."))
	}
	return t.site(pk)
}

func (t *turn) stepCall(scope *Node, segment string) *call {
	return t.v.Plan.stepCall(scope.Template, segment).by(scope)
}

func (t *turn) taskCall(scope *Node, name string) *call {
	return t.v.Plan.taskCall(scope.Template, name).by(scope)
}

func (c *call) by(caller *Node) *call {
	c.caller = caller
	return c
}

// callBelow finds the call of a template by what its key adds to the caller's.
func (p *Plan) callBelow(template, segment string) *call {
	if p.templates[template].DAG != nil {
		return p.taskCall(template, strings.TrimPrefix(segment, "."))
	}
	return p.stepCall(template, segment)
}

func (p *Plan) stepCall(template, segment string) *call {
	g, i, ok := p.templates[template].step(segment)
	if !ok {
		panic(fmt.Sprintf("node %q is not a step of template %q", segment, template))
	}
	s := &p.templates[template].Steps[g].Steps[i]
	return &call{
		kind: "steps", name: s.Name, template: callee(template, s.Name, s.Template, s.Inline, s.TemplateRef), arguments: s.Arguments, when: s.When,
		withItems: s.WithItems, withParam: s.WithParam, withSequence: s.WithSequence, continueOn: s.ContinueOn,
		hooks: hookSet{s.OnExit, s.Hooks},
	}
}

func (p *Plan) taskCall(template, name string) *call {
	plan := p.templates[template]
	task := &plan.DAG.Tasks[plan.dag.index[name]]
	return &call{
		kind: "tasks", name: name, template: callee(template, name, task.Template, task.Inline, task.TemplateRef), arguments: task.Arguments, when: task.When,
		withItems: task.WithItems, withParam: task.WithParam, withSequence: task.WithSequence, continueOn: task.ContinueOn,
		hooks: hookSet{task.OnExit, task.Hooks},
	}
}

// launch starts the call at a key, or puts it off when there is no room.
func (t *turn) launch(k Key) {
	if !t.hasRoom() {
		t.delta.State.Ready = append(t.delta.State.Ready, k)
		return
	}
	if !t.place(t.scopeOf(k), k) {
		return
	}
	c := t.site(k)
	if isItem(k) { // that runs again
		pk, _ := k.Parent()
		loop := t.node(pk)
		c.template = loop.Template
		t.start(k, c, t.item(loop, c, itemIndex(k)))
		return
	}
	if strings.Contains(c.template, "{{") {
		name, err := expr.Substitute(c.template, t.callScope(c, nil), expr.Strict)
		if err != nil {
			t.fail(k, c.template, nil, fmt.Errorf("resolving the template's name: %w", err))
			return
		}
		c.template = name
	}
	if c.loops() {
		t.startLoop(k, c)
		return
	}
	t.start(k, c, nil)
}

// resume takes up a key that waited for room. It may never start: its scope may have
// stopped meanwhile.
func (t *turn) resume(k Key) {
	if n := t.node(k); n != nil { // a loop with items left, or a retry's next attempt
		switch {
		case n.Held == heldRoom:
			n = t.letGo(k, heldRoom)
			if t.closing(k) {
				t.giveUpWait(n)
				return
			}
			t.startNow(n)
		case n.Type == spec.NodeTypeTaskGroup && !n.Fulfilled():
			c := t.site(k)
			c.template = n.Template
			t.expand(t.edit(k), c)
		case n.Type == spec.NodeTypeRetry && !n.Fulfilled():
			t.attempt(t.edit(k))
		}
		return
	}
	if scope := t.scopeOf(k); t.closing(k) || scope != nil && t.stopped(scope) {
		t.abandon(k)
		return
	}
	t.launch(k)
}

// abandon takes back a launch that the scope above had counted on.
func (t *turn) abandon(k Key) {
	pk, ok := k.Parent()
	if !ok { // the run was stopped before there was room for it
		root := &Node{Key: k, Type: spec.NodeTypeSkipped, Template: t.v.Plan.Spec.Entrypoint}
		t.finish(root, spec.NodeFailed, t.closingMessage())
		return
	}
	p := t.edit(pk)
	if _, hook := k.hook(); hook {
		t.hookEnded(p)
		return
	}
	switch p.Type {
	case spec.NodeTypeTaskGroup: // an item that was to run again
		item := &Node{Key: k, Type: spec.NodeTypeSkipped, Template: p.Template, Started: t.now}
		t.finishItem(p, item)
	case spec.NodeTypeSteps:
		p.Steps.Running--
		p.Steps.Cut = true
		t.settleSteps(p)
	case spec.NodeTypeDAG:
		p.DAG.Running--
		t.settleDAG(p)
	}
}

// finishItem ends an item that is not started any more.
func (t *turn) finishItem(loop, item *Node) {
	item.Phase, item.Message, item.Finished = spec.NodeFailed, t.haltedMessage(loop.Key), t.now
	t.put(item)
	t.itemEnded(loop, item)
}

// start launches one node: a call without a loop, or one item of a loop.
func (t *turn) start(k Key, c *call, item []byte) {
	t.room-- // also what is skipped or fails at once is work of this turn
	o := t.opener(c)
	n, tmpl := o.open(k, c, item, t.callScope(c, item))
	if n.Fulfilled() {
		t.finish(n, n.Phase, n.Message)
		return
	}
	n.Started = t.now
	n.WantResult = t.wantsResult(c) || tmpl.measuresResult
	captureOuter(n, tmpl, t.callScope(c, item))
	if err := t.captureVars(n, tmpl); err != nil {
		t.fail(k, c.template, item, err)
		return
	}
	if tmpl.Synchronization != nil {
		t.lock(n, tmpl)
		return
	}
	t.haveLocks(n, tmpl)
}

// proceed starts what a node is for.
func (t *turn) proceed(n *Node, tmpl *template) {
	if tmpl.RetryStrategy != nil {
		t.startRetry(n, tmpl)
	} else {
		t.body(n, tmpl)
	}
	k := n.Key
	if set := t.hooksOf(n); set != nil && k != Root && !t.node(k).Fulfilled() {
		t.fireHooks(t.node(k), set)
	}
}

func (t *turn) wantsResult(c *call) bool {
	return c.caller != nil && t.v.Plan.templates[c.caller.Template].wantsResult(c.kind, c.name)
}

// body starts what the template does, once its inputs are bound.
func (t *turn) body(n *Node, tmpl *template) {
	switch {
	case tmpl.Steps != nil:
		t.startSteps(n, tmpl)
	case tmpl.DAG != nil:
		t.startDAG(n, tmpl)
	case tmpl.Suspend != nil:
		t.startSuspend(n, tmpl)
	default:
		t.startLeaf(n)
	}
}
