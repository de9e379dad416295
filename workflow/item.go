package workflow

import (
	"encoding/json"
	"fmt"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// Items opens the items of a chunked loop, without the rest of the run: for the worker that
// runs a chunk, and for whoever shows what became of it.
type Items struct {
	loop   *Node
	call   *CallState
	site   *call
	opener *opener
	tmpl   *template
	blocks map[Key]*Node
}

// ItemNeeds are the records that opening the items [from, to) of a loop takes beside the
// loop's own: the call's, and those that hold the items' values.
func ItemNeeds(loop *Node, from, to int) []Key {
	return append([]Key{callKey(loop.Key)}, loop.Loop.blocks(loop.Key, from, to)...)
}

// Items prepares to open items of a loop; needs holds the records that ItemNeeds names.
func (p *Plan) Items(run *Run, loop *Node, needs map[Key]*Node) (*Items, error) {
	record := needs[callKey(loop.Key)]
	if loop.Loop == nil || record == nil || record.Call == nil {
		return nil, fmt.Errorf("opening items of %q: it is no chunked loop", loop.Key.Name(run.Name))
	}
	call := record.Call
	caller, tmpl := p.templates[call.Caller], p.templates[loop.Template]
	if caller == nil || tmpl == nil {
		return nil, fmt.Errorf("opening items of %q: the spec has no template %q or %q", loop.Key.Name(run.Name), call.Caller, loop.Template)
	}
	it := &Items{loop: loop, call: call, tmpl: tmpl, blocks: needs, site: p.callBelow(call.Caller, loop.Key.Segment())}
	it.site.template = loop.Template
	it.opener = &opener{plan: p, run: run, find: func(name string) (*spec.Artifact, error) {
		a, ok := call.Artifacts[name]
		if !ok {
			return nil, nil
		}
		return &a, nil
	}}
	return it, nil
}

// Key is the key of item i.
func (it *Items) Key(i int) Key { return itemKey(it.loop.Key, i, it.value(i)) }

func (it *Items) value(i int) json.RawMessage {
	return it.loop.Loop.item(it.site, i, func(b int) *Node { return it.blocks[blockKey(it.loop.Key, b)] })
}

// Begin opens item i. What ends at once ends now.
func (it *Items) Begin(i int, now Millis) *ItemRun {
	value := it.value(i)
	k := itemKey(it.loop.Key, i, value)
	n, tmpl := it.opener.open(k, it.site, value, expr.Chain(itemScope{decodeItem(value)}, it.call))
	r := &ItemRun{Index: i, node: n, items: it}
	if n.Fulfilled() {
		n.Started, n.Finished = now, now
		return r
	}
	n.WantResult = it.call.WantResult
	if tmpl.RetryStrategy == nil {
		n.Phase = spec.NodePending
		r.leaf = n
		return r
	}
	limit, err := retryLimit(tmpl.RetryStrategy, it.opener.inputScope(n))
	n.Type, n.Retry = spec.NodeTypeRetry, &RetryState{Limit: limit}
	if err != nil {
		n.Phase, n.Message, n.Started, n.Finished = spec.NodeError, err.Error(), now, now
		return r
	}
	n.Phase = spec.NodeRunning
	r.attempt()
	return r
}

// ItemRun is one item on its way: its node, and under a retryStrategy its attempts.
type ItemRun struct {
	Index int

	items    *Items
	node     *Node
	leaf     *Node // what runs, or is to run
	attempts []*Node
	results  []*Result // of its leaves
	stopped  bool
}

// Leaf is the node to run next; nil: the item has ended.
func (r *ItemRun) Leaf() *Node { return r.leaf }

// Nodes are the item's node and its attempts, as they are now.
func (r *ItemRun) Nodes() []*Node { return append([]*Node{r.node}, r.attempts...) }

func (r *ItemRun) attempt() {
	r.leaf = nextAttempt(r.node, r.items.tmpl)
	r.leaf.Phase = spec.NodePending
	r.attempts = append(r.attempts, r.leaf)
}

// Ended applies the result of the leaf.
func (r *ItemRun) Ended(result *Result) {
	leaf := r.leaf
	result = result.final()
	r.results, r.stopped, r.leaf = append(r.results, result), result.Stopped, nil
	leaf.ends(result, result.Finished)
	if leaf == r.node {
		return
	}
	n := r.node
	if n.Started == 0 {
		n.Started = leaf.Started
	}
	again, message := retried(n, r.items.tmpl.RetryStrategy, leaf)
	switch {
	case result.Stopped:
		n.Phase, n.Message = leaf.Phase, leaf.Message
	case again:
		r.attempt()
		return
	default:
		n.Phase, n.Message, n.Outputs = leaf.Phase, message, leaf.Outputs
	}
	n.Finished = leaf.Finished
	if !leaf.Failed() {
		n.Host = leaf.Host
	}
}
