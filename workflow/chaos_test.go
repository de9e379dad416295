package workflow_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// chaos takes a run to its end while events come late, twice and in any order, limits change
// from turn to turn, and somebody may stop it. Every turn is taken on the whole view and on
// parts of it, and must decide the same without touching what it was given.
type chaos struct {
	*engine
	r        *rand.Rand
	n        *nested
	answered []workflow.Event // that may come again
	sent     map[workflow.Key]bool
	flying   int              // sent and not answered
	closings []workflow.Event // that may still come
	// chunkFrom is Limits.ChunkFrom.
	chunkFrom int
	last      *workflow.Delta
	locks     *lockbook
	timers    map[workflow.Timer]workflow.Millis // that were set; the keys have no time
	life      uint64                             // what leaves that are run now have as nested.lives
	mortal    bool                               // daemons may end by themselves
}

func newChaos(t *testing.T, n *nested, seed uint64, closings ...workflow.Event) *chaos {
	c := &chaos{
		engine: newEngine(t, n.yaml()), r: rand.New(rand.NewPCG(seed, 5)), n: n,
		sent: map[workflow.Key]bool{}, closings: closings, chunkFrom: -1, timers: map[workflow.Timer]workflow.Millis{}, locks: newLockbook(t),
	}
	c.view.ConfigMaps = map[string]*workflow.ConfigMap{}
	for i := range n.templates { // of a semaphore in a namespace of its own
		c.view.ConfigMaps[fmt.Sprintf("x%d/limits", i)] = &workflow.ConfigMap{Data: map[string]string{"s": "2"}}
	}
	c.act = func(node *workflow.Node, _ *spec.Template) *workflow.Result {
		c.lives(node.Key)
		phase, class := n.fate(node.Key)
		name := string(node.Key)
		return &workflow.Result{Phase: phase, Class: class, Outputs: &workflow.Values{Result: &name}}
	}
	return c
}

// lives notes in which life of the run a leaf runs.
func (c *chaos) lives(k workflow.Key) {
	if c.life > 0 {
		c.n.lives[k] = c.life
	}
}

// finish takes turns until the run ends.
func (c *chaos) finish() {
	c.t.Helper()
	for c.last == nil || !c.last.Finished() {
		require.Less(c.t, c.turns, 5000, "the run does not end")
		c.view.Limits = workflow.Limits{Launch: c.r.IntN(8) * c.r.IntN(8), InFlight: c.r.IntN(6), Slots: c.r.IntN(3), ChunkFrom: c.chunkFrom}
		events := c.events()
		c.advance(events)
		require.True(c.t, c.last.Finished() || c.last.More || len(c.queue) > 0 || len(c.timers) > 0 || len(c.waiting()) > 0 || len(c.locks.granted) > 0 || c.view.State.Suspended,
			"the run is wedged: nothing in flight and nothing to do\n%s\n%s", c.n.yaml(), c.dump())
	}
	// What comes after the end changes nothing.
	state := c.view.State
	c.advance(c.answered)
	require.Equal(c.t, state, c.view.State)
}

// events are what came in since the last turn; nothing before the first.
func (c *chaos) events() []workflow.Event {
	var events []workflow.Event
	for c.r.IntN(3) > 0 {
		switch {
		case c.r.IntN(6) == 0 && len(c.answered) > 0:
			events = append(events, c.answered[c.r.IntN(len(c.answered))])
		case c.r.IntN(8) == 0 && len(c.closings) > 0:
			events = append(events, c.closings[0])
			c.closings = c.closings[1:]
		case c.r.IntN(20) == 0:
			events = append(events, workflow.Event{Kind: workflow.EventSignal, Signal: workflow.SignalSuspend})
		case c.view.State.Suspended && c.r.IntN(3) == 0:
			events = append(events, workflow.Event{Kind: workflow.EventSignal, Signal: workflow.SignalResume})
		case !c.n.waitsForTime && c.r.IntN(4) == 0 && len(c.waiting()) > 0:
			events = append(events, c.decide())
		case len(c.locks.granted) > 0 && c.r.IntN(2) == 0:
			e := c.locks.tell()
			e.Lock.Life = c.view.State.Lives
			events = append(events, e)
			c.answered = append(c.answered, e)
		case c.r.IntN(19) == 0:
			events = append(events, workflow.Event{Kind: workflow.EventLocks})
		case len(c.timers) > 0 && (len(c.queue) == 0 || c.r.IntN(4) == 0):
			events = append(events, c.ring())
		case c.mortal && len(c.serving) > 0 && c.r.IntN(6) == 0:
			k := slices.Sorted(maps.Keys(c.serving))[0]
			delete(c.serving, k)
			events = append(events, workflow.Event{Kind: workflow.EventResult, Key: k, Result: &workflow.Result{Phase: spec.NodeSucceeded}})
		case len(c.queue) > 0:
			i := c.r.IntN(len(c.queue))
			k := c.queue[i]
			c.queue = append(c.queue[:i], c.queue[i+1:]...)
			if k.IsChunk() {
				events = append(events, c.work(k, events)...)
				continue
			}
			e := c.answer(k)
			if daemon := e.Kind == workflow.EventReady; c.view.State.Ends(k) && (daemon || c.r.IntN(2) == 0) {
				delete(c.serving, k)
				e.Kind, e.Ready = workflow.EventResult, nil
				e.Result = &workflow.Result{Phase: spec.NodeFailed, Message: "killed"}
			}
			events = append(events, e)
			c.answered = append(c.answered, e)
			c.flying--
			if c.r.IntN(4) == 0 {
				events = append(events, e)
			}
		}
	}
	return events
}

// waiting are the nodes that wait for somebody.
func (c *chaos) waiting() []workflow.Key {
	var keys []workflow.Key
	for k, n := range c.view.Nodes {
		if n.Suspended() && !c.n.waitsForTime {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// decide says how a node ends that waits for somebody, or only sets its message.
func (c *chaos) decide() workflow.Event {
	keys := c.waiting()
	k := keys[c.r.IntN(len(keys))]
	s := &workflow.Set{Message: "seen"}
	c.lives(k)
	if c.r.IntN(3) > 0 {
		s.Phase = c.n.decision(k)
	}
	e := workflow.Event{Kind: workflow.EventSet, Keys: []workflow.Key{k}, Set: s}
	c.answered = append(c.answered, e)
	return e
}

// ring lets the time of a timer come, and of those before it.
func (c *chaos) ring() workflow.Event {
	due := slices.Collect(maps.Keys(c.timers))
	slices.SortFunc(due, func(a, b workflow.Timer) int {
		return cmp.Or(cmp.Compare(c.timers[a], c.timers[b]), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Name, b.Name))
	})
	first := due[0]
	if at := c.timers[first].Time(); at.After(c.now) {
		c.now = at
	}
	delete(c.timers, first)
	e := workflow.Event{Kind: workflow.EventTimer, Key: first.Key, Timer: first.Name}
	c.answered = append(c.answered, e)
	return e
}

// work lets a worker go on with a chunk for a while. Before it began a stop may end it.
func (c *chaos) work(k workflow.Key, before []workflow.Event) []workflow.Event {
	if c.view.State.Closing() && c.r.IntN(2) == 0 {
		c.flying--
		for _, e := range before { // its own come first
			if e.Key == k {
				return []workflow.Event{{Kind: workflow.EventItems, Key: k, Items: &workflow.Tally{From: e.Items.To, To: e.Items.To, End: true}}}
			}
		}
		return []workflow.Event{{Kind: workflow.EventResult, Key: k, Result: &workflow.Result{Phase: spec.NodeFailed, Message: "killed"}}}
	}
	for _, e := range before {
		if e.Key == k { // what it did is not known to the view yet
			c.queue = append(c.queue, k)
			return nil
		}
	}
	e := c.chunk(k, 1+c.r.IntN(3), c.r.IntN(2) == 0)
	c.answered = append(c.answered, e)
	if e.Items.End {
		c.flying--
	} else {
		c.queue = append(c.queue, k)
	}
	return []workflow.Event{e}
}

// advance takes a turn on the whole view and on parts of it.
func (c *chaos) advance(events []workflow.Event) {
	c.t.Helper()
	c.turns++
	c.now = c.now.Add(time.Second)
	c.view.Outputs = c.shelf.outputs(c.view.Nodes)
	if c.view.State.Phase == "" && c.view.From != nil {
		c.view.Outputs = c.shelf.outputs(c.view.From)
	}
	before := c.encode(c.view)
	whole, err := workflow.Advance(c.view, events, c.now)
	require.NoError(c.t, err)
	require.Equal(c.t, before, c.encode(c.view), "the view was changed")

	part := *c.view
	part.Complete, part.Nodes = false, map[workflow.Key]*workflow.Node{}
	for {
		d, err := workflow.Advance(&part, events, c.now)
		var missing *workflow.MissingError
		if errors.As(err, &missing) {
			if missing.All {
				part.Complete, part.Nodes = true, c.view.Nodes
				continue
			}
			for _, k := range missing.Keys {
				require.NotContains(c.t, part.Nodes, k, "asked again for a loaded node")
				part.Nodes[k] = c.view.Nodes[k]
			}
			continue
		}
		require.NoError(c.t, err)
		require.Equal(c.t, c.encode(whole), c.encode(d), "a part of the view decides otherwise")
		break
	}
	if c.view.State.Suspended && whole.State.Suspended && !slices.ContainsFunc(events, func(e workflow.Event) bool { return e.Signal == workflow.SignalResume }) {
		require.Empty(c.t, whole.Dispatch, "a suspended run starts something")
	}
	c.store(whole)
	c.last = whole
	for _, k := range whole.Dispatch {
		require.False(c.t, whole.State.Ends(k), "a run that is ending starts %q", k)
		require.False(c.t, c.sent[k], "%q is dispatched twice", k)
		c.sent[k] = true
		c.flying++
	}
	c.queue = append(c.queue, whole.Dispatch...)
	c.serve(whole)
	c.locks.do(whole.Orders)
	for _, timer := range whole.Timers {
		at := timer.At
		if timer.At = 0; at != 0 {
			c.timers[timer] = at
		} else {
			delete(c.timers, timer)
		}
	}
	c.requireLimits()
	require.Equal(c.t, c.flying, c.view.State.InFlight, "leaves in flight")
}

// serve does what a delta says of daemons.
func (c *chaos) serve(d *workflow.Delta) {
	c.t.Helper()
	for _, k := range d.End {
		if slices.Contains(c.queue, k) {
			c.flying--
		}
	}
	c.end(d)
	for _, k := range slices.Sorted(maps.Keys(c.serving)) {
		switch n := c.view.Nodes[k]; {
		case !n.Fulfilled() && !n.Daemon.Ready: // it was ready while the run was ending
			delete(c.serving, k)
			c.queue = append(c.queue, k)
			c.flying++
		case n.Fulfilled():
			require.Fail(c.t, "nobody ends a daemon", "%s", k.Name("wf"))
		}
	}
}

// encode is all that there is of a view or delta.
func (c *chaos) encode(v any) string {
	nodes := map[workflow.Key]*workflow.Node{}
	if d, ok := v.(*workflow.Delta); ok {
		for _, n := range d.Nodes {
			nodes[n.Key] = n
		}
	} else {
		w := *v.(*workflow.View)
		nodes, w.Nodes, w.Plan, w.From = w.Nodes, nil, nil, nil
		v = w
	}
	data, err := json.Marshal([]any{v, nodes})
	require.NoError(c.t, err)
	return string(data)
}

// requireLimits checks that no more runs than the templates' parallelism allows, and that
// State.Held is right.
func (c *chaos) requireLimits() {
	c.t.Helper()
	held, locks := 0, 0
	if l := c.view.State.Lock; l != nil && !l.Held {
		held++
	}
	if c.view.State.Lock != nil {
		locks++
	}
	active := map[workflow.Key]int{}
	for k, n := range c.view.Nodes {
		if n.Held != "" {
			held++
		}
		if n.Lock != nil {
			locks++
			require.False(c.t, n.Fulfilled(), "%s has ended with locks", k.Name("wf"))
			if n.Held != "lock" {
				require.Contains(c.t, c.locks.has, k, "%s goes on without its locks", k.Name("wf"))
			}
		}
		if n.Hooks != nil {
			running := 0
			for _, name := range append(n.Hooks.Fired, "exit") {
				if h := c.view.Nodes[k.Hook(name)]; h != nil && !h.Fulfilled() || h == nil && slices.Contains(c.view.State.Ready, k.Hook(name)) {
					running++
				}
			}
			require.Equal(c.t, running, n.Hooks.Running, "hooks of %s", k.Name("wf"))
		}
		pk, ok := k.Parent()
		if !ok || n.Type == "" || n.Loop != nil || n.Fulfilled() && (n.Hooks == nil || n.Hooks.Running == 0) || n.Daemon != nil && n.Daemon.Told || strings.HasPrefix(k.Segment(), "!") {
			continue
		}
		if c.view.Nodes[pk].Loop != nil {
			pk, _ = pk.Parent()
		}
		if c.view.Nodes[pk].Limit != nil {
			active[pk]++
		}
	}
	require.Equal(c.t, held, c.view.State.Held)
	require.Equal(c.t, locks, c.view.State.Locks)
	for k, n := range active {
		require.Equal(c.t, n, c.view.Nodes[k].Limit.Active, "active children of %s", k.Name("wf"))
		if p := c.view.Plan.Spec.Template(c.view.Nodes[k].Template).Parallelism; p != nil && c.life == 0 { // what is opened again goes on together
			require.LessOrEqual(c.t, n, int(*p), "children of %s", k.Name("wf"))
		}
	}
	if p := c.view.Plan.Spec.Parallelism; p != nil {
		require.LessOrEqual(c.t, c.view.State.InFlight, int(*p))
	}
}

// requireSettled checks that nothing is left to do, by any counter.
func (c *chaos) requireSettled() {
	c.t.Helper()
	s := c.view.State
	require.Zero(c.t, s.InFlight)
	require.Equal(c.t, s.Total, s.Done)
	require.Empty(c.t, s.Ready)
	require.Zero(c.t, s.Held)
	leaves := 0
	for k, n := range c.view.Nodes {
		if n.Type == "" {
			continue
		}
		name, succeeded := k.Name("wf"), n.Phase == spec.NodeSucceeded
		require.True(c.t, n.Fulfilled(), "%s is %s", name, n.Phase)
		if n.Type == spec.NodeTypePod || n.Type == spec.NodeTypeSuspend {
			leaves++
		}
		if n.Steps != nil {
			require.Zero(c.t, n.Steps.Running, name)
			for g, group := range c.view.Plan.Spec.Template(n.Template).Steps {
				for i := range group.Steps {
					require.True(c.t, !succeeded || c.view.Nodes[k.Step(g, group.Steps[i].Name)] != nil, "%s succeeded without %s", name, group.Steps[i].Name)
				}
			}
		}
		if n.Hooks != nil {
			require.Zero(c.t, n.Hooks.Running, name)
		}
		if n.Limit != nil {
			require.Zero(c.t, n.Limit.Active, name)
			require.Empty(c.t, n.Limit.Queue, name)
		}
		if n.DAG != nil {
			require.Zero(c.t, n.DAG.Running, name)
			require.True(c.t, !succeeded || n.DAG.Left == 0 && len(n.DAG.Waits) == 0, "%s succeeded too early", name)
		}
		if n.Loop != nil {
			require.Zero(c.t, n.Loop.Running, name)
			require.True(c.t, !succeeded || n.Loop.Next == n.Loop.Count, "%s succeeded too early", name)
		}
	}
	require.Equal(c.t, s.Total, leaves)
	requireWholeGraph(c.t, c.view)
}

const chaosSeeds = 400

func TestNestedRunsEndAsTheReferenceSays(t *testing.T) {
	t.Parallel()
	for seed := range uint64(chaosSeeds) {
		n := randomNested(seed, false)
		f := n.reference()
		if len(f.phases) > 500 {
			continue
		}
		c := newChaos(t, n, seed)
		c.finish()
		got := map[workflow.Key]spec.NodePhase{}
		for k, n := range c.view.Nodes {
			if n.Type != "" {
				got[k] = n.Phase
			}
		}
		require.Equal(t, f.phases, got, "seed %d\n%s", seed, n.yaml())
		outcome := f.phases[workflow.Root]
		if exit := f.phases[workflow.Root.Hook("exit")]; n.onExit && !isBad(outcome) {
			outcome = exit
		}
		want := map[spec.NodePhase]spec.WorkflowPhase{spec.NodeFailed: spec.WorkflowFailed, spec.NodeError: spec.WorkflowError}[outcome]
		if want == "" {
			want = spec.WorkflowSucceeded
		}
		require.Equal(t, want, c.view.State.Phase)
		c.requireSettled()
	}
}

func TestNestedRunsEndWheneverTheyAreStopped(t *testing.T) {
	t.Parallel()
	deadline := workflow.Event{Kind: workflow.EventTimer, Key: workflow.Root, Timer: "deadline"}
	terminate := workflow.Event{Kind: workflow.EventSignal, Signal: workflow.SignalTerminate}
	for seed := range uint64(chaosSeeds) {
		n := randomNested(seed, true)
		if len(n.reference().phases) > 500 {
			continue
		}
		closings := [][]workflow.Event{nil, {stop}, {stop, terminate}, {deadline}, {terminate, stop, deadline}}[seed%5]
		c := newChaos(t, n, seed, closings...)
		c.mortal = true
		c.finish()
		c.requireSettled()
		if c.view.State.Shutdown != "" && c.view.Nodes[workflow.Root].Failed() {
			require.Equal(t, "Stopped with strategy '"+c.view.State.Shutdown+"'", c.view.State.Message)
		}
	}
}
