package server

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// engine advances a run of a bench's store, as a coordinator and workers do.
type engine struct {
	t     *testing.T
	b     *bench
	r     *Record
	view  *workflow.View
	queue []workflow.Key
	now   time.Time
	fails func(k workflow.Key) bool
}

// run submits a spec. Loops of at least chunkFrom items are chunked.
func (b *bench) run(t *testing.T, name, specJSON string, chunkFrom int) *engine {
	t.Helper()
	r := b.submitSpec(t, name, specJSON)
	var wf spec.Workflow
	require.NoError(t, json.Unmarshal(b.store.specs[r.Digest], &wf))
	plan, err := workflow.Compile(&wf)
	require.NoError(t, err)
	b.store.items = map[workflow.Key]*workflow.Packed{}
	return &engine{t: t, b: b, r: r, now: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC), fails: seldom, view: &workflow.View{
		Run: r.Run, Plan: plan, Nodes: map[workflow.Key]*workflow.Node{}, Complete: true,
		Limits: workflow.Limits{ChunkFrom: chunkFrom, InFlight: 8, Slots: 4},
	}}
}

// seldom lets one leaf of seven fail.
func seldom(k workflow.Key) bool {
	h := fnv.New32a()
	h.Write([]byte(k))
	return h.Sum32()%7 == 0
}

func (e *engine) turn(events ...workflow.Event) *workflow.Delta {
	e.t.Helper()
	e.now = e.now.Add(time.Second)
	view := *e.view
	view.Outputs = map[workflow.Key]map[int][]byte{}
	for k, p := range e.b.store.items {
		view.Outputs[k] = p.Extras
	}
	d, err := workflow.Advance(&view, events, e.now)
	require.NoError(e.t, err)
	e.view = e.view.Apply(d)
	e.queue = append(e.queue, d.Dispatch...)
	e.b.store.do(func() { e.r.Nodes, e.r.State, e.r.Version = e.view.Nodes, e.view.State, e.r.Version+1 })
	return d
}

// finish runs the run to its end.
func (e *engine) finish() *engine {
	e.t.Helper()
	for d := e.turn(); !d.Finished(); {
		if len(e.queue) == 0 {
			require.True(e.t, d.More, "the run is wedged")
			d = e.turn()
			continue
		}
		var events []workflow.Event
		for _, k := range e.queue {
			if n := e.view.Nodes[k]; n.Chunk != nil {
				events = append(events, e.items(k, n.Chunk.To))
			} else {
				events = append(events, workflow.Event{Kind: workflow.EventResult, Key: k, Result: e.result(n)})
			}
		}
		e.queue = nil
		d = e.turn(events...)
	}
	return e
}

func (e *engine) result(n *workflow.Node) *workflow.Result {
	at := workflow.At(e.now)
	if e.fails(n.Key) {
		return &workflow.Result{Phase: spec.NodeFailed, Message: "of " + string(n.Key), Started: at, Finished: at + 2000, Host: "here"}
	}
	value := "out"
	return &workflow.Result{Phase: spec.NodeSucceeded, Outputs: &workflow.Values{Result: &value}, Started: at, Finished: at + 1000, Host: "there"}
}

// items runs those of a chunk up to an item.
func (e *engine) items(k workflow.Key, to int) workflow.Event {
	e.t.Helper()
	n := e.view.Nodes[k]
	loopKey, _ := k.Parent()
	loop := e.view.Nodes[loopKey]
	it, err := e.view.Plan.Items(e.r.Run, loop, e.view.Nodes)
	require.NoError(e.t, err)
	pack := workflow.NewPack(loop, n.Chunk.Done, "here", 1)
	for i := n.Chunk.Done; i < to; i++ {
		r := it.Begin(i, workflow.At(e.now))
		for r.Leaf() != nil {
			r.Ended(e.result(r.Leaf()))
		}
		require.NoError(e.t, pack.Add(r))
	}
	pack.End = to == n.Chunk.To
	e.b.store.do(func() {
		all := e.b.store.items[loopKey]
		if all == nil {
			all = &workflow.Packed{Hosts: []string{"here"}, Extras: map[int][]byte{}}
			e.b.store.items[loopKey] = all
		}
		if need := to * workflow.ItemSize; len(all.Records) < need {
			all.Records = append(all.Records, make([]byte, need-len(all.Records))...)
		}
		copy(all.Records[pack.First*workflow.ItemSize:], pack.Records)
		for i, x := range pack.Extras {
			all.Extras[i] = x
		}
	})
	return workflow.Event{Kind: workflow.EventItems, Key: k, Items: &pack.Tally}
}

// wideSpec is a loop over so many leaves, two attempts each.
func wideSpec(items int) string {
	return fmt.Sprintf(`{"entrypoint":"main","templates":[
		{"name":"main","steps":[[{"name":"a","template":"leaf","withSequence":{"count":"%d"},"continueOn":{"failed":true}}],[{"name":"end","template":"leaf"}]]},
		{"name":"leaf","retryStrategy":{"limit":"1"},"container":{"image":"busybox","command":["true"]}}]}`, items)
}

// deepSpec has all that a tree can have.
const deepSpec = `{"entrypoint":"main","onExit":"last","templates":[
	{"name":"main","steps":[
		[{"name":"a","template":"leaf","withSequence":{"count":"30"},"continueOn":{"failed":true}},{"name":"no","template":"leaf","when":"false"}],
		[{"name":"d","template":"dag"}]]},
	{"name":"dag","dag":{"tasks":[
		{"name":"x-y","template":"leaf","onExit":"inner","hooks":{"h":{"template":"once","expression":"true"}}},
		{"name":"z","depends":"x-y || x-y.Failed","template":"inner","withItems":[{"b":1,"a":[2]},"of (3)","fo/ur"]},
		{"name":"end","depends":"z || z.Failed","template":"once","onExit":"leaf"}]}},
	{"name":"last","steps":[[{"name":"bye","template":"once","onExit":"once"}]]},
	{"name":"inner","steps":[[{"name":"each","template":"leaf","withParam":"[3,1,2,\"(x)\"]","continueOn":{"failed":true}}],[{"name":"end","template":"once"}]]},
	{"name":"once","container":{"image":"busybox","command":["true"]}},
	{"name":"leaf","retryStrategy":{"limit":"1"},"container":{"image":"busybox","command":["true"]}}]}`
