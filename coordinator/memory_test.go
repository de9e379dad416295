package coordinator_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"argosy/coordinator"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// memory is a Store with one run, for what the real one does not do on demand: fail at a
// chosen hop, lose a delivery, be overtaken. It keeps to the real one's rules.
type memory struct {
	t      *testing.T
	run    *workflow.Run
	spec   []byte
	state  workflow.State
	nodes  map[workflow.Key][]byte
	in     []workflow.Event
	out    []coordinator.Delivery
	fly    map[workflow.Key]*flight
	timers []workflow.Timer
	token  int
	slots  int // of the pool
	tight  bool
	again  []time.Duration // when to look again, of turns that said so
	// partial has Begin load no nodes.
	partial bool
	// fail may fail a hop: "begin", "nodes", "commit", "committed" (the answer is lost),
	// "dispatch", "dispatched", "settle".
	fail func(hop string) error

	queue   []coordinator.Delivery // sent, for workers to take
	commits []*coordinator.Commit
	settled []int
	waiting []coordinator.Waiting // what the pool was told
	asked   int                   // for nodes
	// extended counts how often a lease was made to last longer.
	extended int
}

// flight is a delivery under way.
type flight struct {
	coordinator.Delivery
	worker string // that holds it
	lost   *coordinator.Lost
}

const run = `{"spec": {"entrypoint": "main", "templates": [
	{"name": "main", "steps": [[
		{"name": "a", "template": "leaf"}, {"name": "b", "template": "leaf"}
	], [
		{"name": "c", "template": "leaf", "withSequence": {"count": "3"}}
	]]},
	{"name": "leaf", "container": {"image": "busybox"}}
]}}`

// newMemory holds a run that was just submitted.
func newMemory(t *testing.T, specJSON string) *memory {
	return &memory{
		t: t, run: &workflow.Run{ID: "uid", Name: "wf", Namespace: "default"}, spec: []byte(specJSON),
		nodes: map[workflow.Key][]byte{}, fly: map[workflow.Key]*flight{}, fail: func(string) error { return nil },
	}
}

// start returns a coordinator over the store, and what it counts.
func (m *memory) start(c coordinator.Config) (*coordinator.Coordinator, *prometheus.Registry) {
	registry := prometheus.NewRegistry()
	log := slog.New(slog.DiscardHandler)
	return coordinator.New(m, c, coordinator.NewMetrics(registry), log), registry
}

// step takes one turn, which must not fail.
func (m *memory) step(c *coordinator.Coordinator) {
	m.t.Helper()
	require.NoError(m.t, c.Step(m.t.Context(), m.t.Context()))
}

func (m *memory) Spec(context.Context, string) ([]byte, error) { return m.spec, m.fail("spec") }

func (m *memory) ConfigMap(context.Context, string, string) (*workflow.ConfigMap, error) {
	return nil, m.fail("configmap")
}

func (m *memory) SyncLimit(context.Context, string, string) (*workflow.SyncLimit, error) {
	return nil, m.fail("synclimit")
}

func (m *memory) Slots(context.Context, string) (int, error) { return m.slots, m.fail("slots") }

func (m *memory) Tight(context.Context) (bool, error) { return m.tight, m.fail("tight") }

func (m *memory) Claim(context.Context, time.Duration) (coordinator.Claimed, error) {
	if err := m.fail("claim"); err != nil {
		return nil, err
	}
	return &memoryTurn{memory: m}, nil
}

// memoryTurn is a Turn on a memory.
type memoryTurn struct {
	*memory
	token, read int
}

func (t *memoryTurn) Begin(context.Context) (*coordinator.Loaded, error) {
	if err := t.fail("begin"); err != nil {
		return nil, err
	}
	if t.state.Finished != 0 {
		return nil, fmt.Errorf("beginning: %w", coordinator.ErrGone)
	}
	t.memory.token++
	t.token, t.read = t.memory.token, len(t.in)
	l := &coordinator.Loaded{
		Run: t.run, Digest: "digest", State: t.stateCopy(), Now: 1000, Events: slices.Clone(t.in),
		Complete: !t.partial, Out: slices.Clone(t.out),
	}
	for _, k := range slices.Sorted(maps.Keys(t.fly)) {
		if lost := t.fly[k].lost; lost != nil {
			l.Lost = append(l.Lost, *lost)
		}
	}
	if l.Complete {
		l.Nodes = t.load(slices.Collect(maps.Keys(t.nodes)))
	}
	return l, nil
}

func (m *memory) stateCopy() (s workflow.State) {
	data, err := json.Marshal(m.state)
	require.NoError(m.t, err)
	require.NoError(m.t, json.Unmarshal(data, &s))
	return s
}

func (m *memory) load(keys []workflow.Key) map[workflow.Key]*workflow.Node {
	nodes := map[workflow.Key]*workflow.Node{}
	for _, k := range keys {
		nodes[k] = m.node(k)
	}
	return nodes
}

func (m *memory) node(k workflow.Key) *workflow.Node {
	data, ok := m.nodes[k]
	if !ok {
		return nil
	}
	n, err := workflow.DecodeNode(k, data)
	require.NoError(m.t, err)
	return n
}

func (t *memoryTurn) Nodes(_ context.Context, keys []workflow.Key) (map[workflow.Key]*workflow.Node, error) {
	t.asked += len(keys)
	return t.load(keys), t.fail("nodes")
}

func (t *memoryTurn) Whole(context.Context) (map[workflow.Key]*workflow.Node, error) {
	return t.load(slices.Collect(maps.Keys(t.nodes))), t.fail("whole")
}

func (t *memoryTurn) Outputs(context.Context, workflow.Key) (map[int][]byte, error) {
	return nil, t.fail("outputs")
}

func (t *memoryTurn) From(context.Context, string) (map[workflow.Key]*workflow.Node, error) {
	return map[workflow.Key]*workflow.Node{}, t.fail("from")
}

func (t *memoryTurn) Copy(context.Context, string, workflow.Copy) error { return t.fail("copy") }

func (t *memoryTurn) Reopen(context.Context, workflow.Reopen) error { return t.fail("reopen") }

func (t *memoryTurn) Commit(_ context.Context, c *coordinator.Commit) ([]coordinator.Delivery, error) {
	if err := t.fail("commit"); err != nil {
		return nil, err
	}
	if t.token != t.memory.token {
		return nil, fmt.Errorf("committing: %w", coordinator.ErrFenced)
	}
	t.commits = append(t.commits, c)
	t.state = *c.State
	for _, n := range c.Nodes {
		data, err := workflow.EncodeNode(n)
		require.NoError(t.t, err)
		t.nodes[n.Key] = data
	}
	for _, k := range c.Gone {
		delete(t.nodes, k)
	}
	t.timers = append(t.timers, c.Timers...)
	t.in = t.in[t.read:]
	for _, k := range c.Drop {
		delete(t.fly, k)
	}
	t.cancel(c.Cancel)
	for _, d := range c.Send {
		before := t.fly[d.Key]
		require.False(t.t, d.Number == 1 && before != nil, "%q is sent twice", d.Key)
		if d.Number == 1 || before != nil && before.Number == d.Number-1 {
			t.fly[d.Key] = &flight{Delivery: d}
			t.out = append(t.out, d)
		}
	}
	if t.state.Finished != 0 {
		t.in, t.out, t.fly = nil, nil, map[workflow.Key]*flight{}
	}
	return slices.Clone(t.out), t.fail("committed")
}

func (m *memory) cancel(c *coordinator.Cancel) {
	if c == nil {
		return
	}
	for _, k := range slices.Sorted(maps.Keys(m.fly)) {
		if m.fly[k].worker == "" { // a worker ends what it holds by itself
			delete(m.fly, k)
			m.in = append(m.in, result(k, c.Phase))
		}
	}
}

func result(k workflow.Key, phase spec.NodePhase) workflow.Event {
	return workflow.Event{Kind: workflow.EventResult, Key: k, Result: &workflow.Result{Phase: phase}}
}

func (t *memoryTurn) Dispatch(_ context.Context, d []coordinator.Delivery) error {
	if err := t.fail("dispatch"); err != nil {
		return err
	}
	for _, d := range d {
		if !slices.Contains(t.queue, d) {
			t.queue = append(t.queue, d)
		}
	}
	return t.fail("dispatched")
}

func (t *memoryTurn) Save(context.Context, []workflow.MemoSave) error { return t.fail("save") }

func (t *memoryTurn) Order(context.Context) error { return t.fail("order") }

func (t *memoryTurn) Extend(context.Context) error {
	t.extended++
	return t.fail("extend")
}

func (t *memoryTurn) Settle(_ context.Context, s coordinator.Settlement) error {
	if err := t.fail("settle"); err != nil {
		return err
	}
	sent := s.Sent
	t.settled = append(t.settled, sent)
	if s.Again > 0 {
		t.again = append(t.again, s.Again)
	}
	if s.Waiting != nil {
		t.waiting = append(t.waiting, *s.Waiting)
	}
	if t.token == t.memory.token && len(t.out) > 0 {
		t.out = t.out[sent:]
	}
	return nil
}

// claim is a worker's claim of a delivery from the queue; false: it must not be run.
func (m *memory) claim(d coordinator.Delivery, worker string) bool {
	m.queue = slices.DeleteFunc(m.queue, func(q coordinator.Delivery) bool { return q == d })
	f := m.fly[d.Key]
	if f == nil || f.Number != d.Number || f.worker != "" || f.lost != nil {
		return false
	}
	f.worker = worker
	return true
}

// report is a worker's report; false: it was fenced.
func (m *memory) report(d coordinator.Delivery, phase spec.NodePhase) bool {
	f := m.fly[d.Key]
	if f == nil || f.Number != d.Number || f.worker == "" || f.lost != nil {
		return false
	}
	delete(m.fly, d.Key)
	m.in = append(m.in, result(d.Key, phase))
	return true
}

// lose has the next turns find a delivery lost, with the worker that died or without.
func (m *memory) lose(k workflow.Key, worker string) {
	m.fly[k].lost = &coordinator.Lost{Delivery: m.fly[k].Delivery, Worker: worker}
}

// work runs all that is queued.
func (m *memory) work() {
	for _, d := range slices.Clone(m.queue) {
		if m.claim(d, "w") {
			require.True(m.t, m.report(d, spec.NodeSucceeded))
		}
	}
}
