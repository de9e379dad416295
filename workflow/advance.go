package workflow

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"argosy/workflow/spec"
)

const (
	defaultLaunch = 500
	maxDepth      = 100 // Argo's limit on nested template calls

	timerDeadline = "deadline"
)

// Advance decides how the run goes on after the events. The View is not changed. It returns
// *MissingError when the View lacks a node that it needs.
func Advance(v *View, events []Event, now time.Time) (d *Delta, err error) {
	t := &turn{v: v, now: At(now), changed: map[Key]*Node{}}
	t.delta.State = v.State
	t.delta.State.Ready = nil
	if t.room = v.Limits.Launch; t.room == 0 {
		t.room = defaultLaunch
	}
	defer func() {
		if r := recover(); r != nil {
			missing, ok := r.(*MissingError)
			if !ok {
				panic(r)
			}
			d, err = nil, missing
		}
	}()
	t.ask(events)
	t.take(events)
	return t.finishDelta(), nil
}

// turn is one call of Advance.
type turn struct {
	v       *View
	now     Millis
	delta   Delta
	changed map[Key]*Node
	order   []Key // of changed, as they came to be
	room    int   // nodes that may still be launched

	aggregates map[string]aggregate // of loops, once asked for
	dags       map[Key]*dagPlan     // with targets, once asked for
	admitted   Key                  // what was given a place last, see limit.go
	look       bool                 // the locks are to be gone over, see lock.go
}

// ask needs all that the turn is sure to look at: each for itself would be a round trip.
func (t *turn) ask(events []Event) {
	if t.v.Complete {
		return
	}
	ready := t.v.State.Ready
	freed := min(len(ready), t.roomFor(len(ready))+len(events))
	t.need(append(Needs(events), withScopes(ready[:freed])...)...)
}

func (t *turn) take(events []Event) {
	s := &t.delta.State
	if s.Finished != 0 {
		return
	}
	if !s.WaitsToBegin() && (s.Again != nil || s.Phase == "") {
		t.begin()
	}
	for i := range events {
		if s.Finished != 0 {
			return // what comes after the end changes nothing
		}
		e := &events[i]
		if e.By != nil {
			s.By = e.By
		}
		switch e.Kind {
		case EventResult:
			t.result(e)
		case EventReady:
			t.ready(e)
		case EventWaits:
			t.pends(e)
		case EventTells:
			t.tells(e)
		case EventItems:
			t.itemsEnded(e)
		case EventSignal:
			t.signal(e)
		case EventTimer:
			t.timer(e)
		case EventSet:
			if e.Set != nil {
				t.set(e.Keys, e.Set)
			}
		case EventLock:
			t.lockAnswered(e)
		case EventMemo:
			t.memoAnswered(e)
		case EventLocks:
			t.look = true
		}
	}
	if s.Over && !s.Suspended && s.Finished == 0 {
		t.endRun(t.node(Root))
	}
	t.resumeReady()
	if root := t.node(Root); s.Finished == 0 && len(t.v.Plan.Spec.Hooks) > 0 && root != nil && !root.Fulfilled() {
		t.fireHooks(root, t.hooksOf(root))
	}
}

// resumeReady takes up what waited for room, the longest first, until there is no more. Once
// the run is ending nothing is left to wait for: all of it is taken back.
func (t *turn) resumeReady() {
	s := &t.delta.State
	if s.Finished != 0 {
		return
	}
	s.Ready = slices.Concat(t.v.State.Ready, s.Ready)
	first := len(s.Ready)
	if !s.Closing() {
		first = t.roomFor(first)
	}
	t.need(withScopes(s.Ready[:first])...)
	for i := 0; i < len(s.Ready) && s.Finished == 0; {
		k := s.Ready[i]
		switch {
		case !t.hasRoom() && !s.Closing():
			return
		case !t.hasRoom() && !t.closing(k):
			i++ // of an exit handler
			continue
		case i == 0:
			s.Ready = s.Ready[1:]
		default:
			s.Ready = slices.Delete(s.Ready, i, i+1)
		}
		t.resume(k)
	}
}

// open starts the entrypoint.
func (t *turn) open() {
	s := &t.delta.State
	s.Phase, s.Started = spec.WorkflowRunning, t.now
	s.Suspended = s.Suspended || t.v.Plan.Spec.Suspend != nil && *t.v.Plan.Spec.Suspend
	t.setDeadline()
	if err := t.checkStart(); err != nil {
		s.Phase, s.Message, s.Finished = spec.WorkflowError, err.Error(), t.now
		return
	}
	t.launch(Root)
	if how := string(t.v.Plan.Spec.Shutdown); t.v.Run.From == nil && (how == SignalStop || how == SignalTerminate) {
		t.signal(&Event{Kind: EventSignal, Signal: how})
	}
}

func (t *turn) setDeadline() {
	if d := t.v.Plan.Spec.ActiveDeadlineSeconds; d != nil {
		at := t.now + Millis(*d)*1000
		t.delta.Timers = append(t.delta.Timers, Timer{Key: Root, Name: timerDeadline, At: at})
	}
}

func (t *turn) signal(e *Event) {
	s := &t.delta.State
	switch e.Signal {
	case SignalSuspend:
		s.Suspended = !s.Closing()
	case SignalResume:
		s.Suspended = false
		t.set(e.Keys, &Set{Phase: spec.NodeSucceeded, Message: e.Message})
	}
	// Terminate overrides Stop; nothing overrides Terminate.
	if !e.Closes() || s.Shutdown == SignalTerminate || s.Shutdown == e.Signal {
		return
	}
	s.Shutdown, s.Suspended = e.Signal, false
	if e.Message != "" {
		s.Message = e.Message
	}
	t.cancelAll("workflow shutdown with strategy: " + e.Signal)
}

func (t *turn) timer(e *Event) {
	s := &t.delta.State
	switch {
	case e.Closes() && !s.Expired:
		s.Expired, s.Suspended = true, false
		t.cancelAll(LateMessage)
	case e.Timer == timerRetry:
		if n := t.letGo(e.Key, heldBackoff); n != nil {
			t.attempt(n)
		}
	case e.Timer == timerSuspend:
		if n := t.node(e.Key); n.Suspended() {
			t.endSuspend(e.Key, spec.NodeSucceeded, n.Message)
		}
	case e.Timer == timerTimeout:
		t.timedOut(e.Key)
	}
}

// LateMessage is what a node ends with whose time, or whose run's time, was up.
const LateMessage = "Step exceeded its deadline"

func (t *turn) cancelAll(message string) {
	t.delta.CancelAll, t.delta.CancelMessage, t.delta.CancelPhase = true, message, spec.NodeFailed
	t.delta.SpareExit = t.delta.State.Shutdown != SignalTerminate
	// What this turn launched was never sent: it ends here.
	launched := t.delta.Dispatch
	t.delta.Dispatch = nil
	for _, k := range launched {
		if !t.closing(k) {
			t.delta.Dispatch = append(t.delta.Dispatch, k)
			continue
		}
		t.result(&Event{Key: k, Result: &Result{Phase: spec.NodeFailed, Message: message}})
	}
	t.endHeld()
}

// closing says that nothing more may start at or below a key.
func (t *turn) closing(k Key) bool { return t.delta.State.Ends(k) }

// closingMessage is what a node that was ended by a shutdown or deadline reports.
func (t *turn) closingMessage() string {
	if t.delta.State.Shutdown != "" {
		return "workflow shutdown with strategy: " + t.delta.State.Shutdown
	}
	return LateMessage
}

// hasRoom says that another node may be launched in this turn.
func (t *turn) hasRoom() bool { return t.roomFor(1) > 0 }

// roomFor is how many of so many nodes may be launched, if none of them ends at once.
func (t *turn) roomFor(nodes int) int {
	if limit, ok := t.inFlight(); ok {
		nodes = min(nodes, limit-t.delta.State.InFlight)
	}
	return max(0, min(nodes, t.room))
}

// inFlight is how many deliveries the run may have in flight, if that is bounded: by the
// caller, or by the spec's parallelism.
func (t *turn) inFlight() (limit int, bounded bool) {
	v := t.v
	if v.Limits.Hold || t.delta.State.Suspended {
		return 0, true
	}
	limit, bounded = v.Limits.InFlight, v.Limits.InFlight > 0
	if p := v.Plan.Spec.Parallelism; p != nil && (!bounded || *p < int64(limit)) {
		return int(*p), true
	}
	return limit, bounded
}

// endRun ends the run as its root node ended.
func (t *turn) endRun(root *Node) {
	s := &t.delta.State
	s.Finished, s.Ready, s.Over = t.now, nil, false
	s.Phase = workflowPhase(root.Phase)
	switch exit := t.exitHandler(root); {
	case exit.Failed() && exit.Refused:
		s.Phase, s.Message = spec.WorkflowError, "error in exit template execution : "+exit.Message // Argo's words
	case root.Refused:
		s.Message = "error in entry template execution: " + root.Message
	case s.Phase == spec.WorkflowSucceeded && exit.Failed():
		s.Phase, s.Message = workflowPhase(exit.Phase), exit.Message
	case s.Shutdown == "" || !root.Failed(): // all had ended well before it heard of the stop
		s.Message = root.Message
	case s.Message == "":
		s.Message = fmt.Sprintf("Stopped with strategy '%s'", s.Shutdown)
	}
}

// exitHandler is the root's, nil if it has none.
func (t *turn) exitHandler(root *Node) *Node {
	if root.Hooks == nil {
		return nil
	}
	return t.node(root.Key.Hook(spec.ExitLifecycleEvent))
}

func (t *turn) finishDelta() *Delta {
	d := &t.delta
	t.emit()
	if t.look && !d.Finished() {
		t.allLocks()
	}
	for _, k := range t.order {
		if n := t.changed[k]; n != nil {
			d.Nodes = append(d.Nodes, n)
		} else {
			d.Gone = append(d.Gone, k)
		}
	}
	// Without room in flight, the next result brings the next turn.
	limit, bounded := t.inFlight()
	d.More = !d.Finished() && len(d.State.Ready) > 0 && (!bounded || d.State.InFlight < limit)
	return d
}

// need stops the turn with a MissingError unless every key is loaded.
func (t *turn) need(keys ...Key) {
	if t.v.Complete {
		return
	}
	var missing []Key
	for _, k := range keys {
		if _, ok := t.changed[k]; ok {
			continue
		}
		if _, ok := t.v.Nodes[k]; !ok {
			missing = append(missing, k)
		}
	}
	if len(missing) > 0 {
		panic(&MissingError{Keys: withoutRepeats(missing)}) // recovered in Advance
	}
}

func withoutRepeats(keys []Key) []Key {
	seen := make(map[Key]bool, len(keys))
	return slices.DeleteFunc(keys, func(k Key) bool {
		again := seen[k]
		seen[k] = true
		return again
	})
}

// node returns a node to read, nil if the run has none of that key.
func (t *turn) node(k Key) *Node {
	if n, ok := t.changed[k]; ok {
		return n
	}
	t.need(k)
	return t.v.Nodes[k]
}

// edit returns a node to change.
func (t *turn) edit(k Key) *Node {
	if n, ok := t.changed[k]; ok {
		return n
	}
	old := t.node(k)
	if old == nil {
		return nil
	}
	n := old.copied()
	t.put(n)
	return n
}

// copied is a copy that can be changed.
func (n *Node) copied() *Node {
	c := *n
	n = &c
	n.Steps, n.DAG, n.Loop, n.Retry, n.Chunk = clone(n.Steps), clone(n.DAG), clone(n.Loop), clone(n.Retry), clone(n.Chunk)
	n.Limit, n.Hooks, n.Lock, n.Memo, n.Daemon = clone(n.Limit), clone(n.Hooks), clone(n.Lock), clone(n.Memo), clone(n.Daemon)
	if n.DAG != nil {
		n.DAG.Waits = maps.Clone(n.DAG.Waits)
	}
	if n.Loop != nil && n.Loop.Chunks != nil {
		n.Loop.Chunks = clone(n.Loop.Chunks)
		n.Loop.Chunks.Back = slices.Clone(n.Loop.Chunks.Back)
	}
	return n
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

// put records a new or changed node.
func (t *turn) put(n *Node) {
	if _, ok := t.changed[n.Key]; !ok {
		t.order = append(t.order, n.Key)
	}
	t.changed[n.Key] = n
}

// drop removes a record.
func (t *turn) drop(n *Node) {
	t.put(n)
	t.changed[n.Key] = nil
}

// Apply returns the View's nodes as they are after the Delta. Simulations and tests use it;
// a coordinator commits the Delta to its store instead.
func (v *View) Apply(d *Delta) *View {
	next := *v
	next.State = d.State
	next.Nodes = maps.Clone(v.Nodes)
	if next.Nodes == nil {
		next.Nodes = map[Key]*Node{}
	}
	for _, n := range d.Nodes {
		next.Nodes[n.Key] = n
	}
	for _, k := range d.Gone {
		delete(next.Nodes, k)
	}
	return &next
}
