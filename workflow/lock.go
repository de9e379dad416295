package workflow

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// A run or a node that has locks to take asks for all of them at once, and waits. The locks
// are none of the run's: what a Delta says about them is done after it is committed, and the
// answer is an event. Only a turn that has committed "I go on" after an answer "granted" starts
// what waited, and only one that has committed its end gives the locks back.
//
//	           ask               granted                  ended
//	(opened) ------> heldLock ------------> hold, starts -------> free
//	                    |        no room: heldRoom ^
//	                    +-- stopped --> free
//
// Answers may come twice, or late: one that nobody waits for gives back what nobody wants.

// LockRef is a lock by its name, as Argo writes it, with what its limit was last.
type LockRef struct {
	Name     string `json:"n"`
	Mutex    bool   `json:"x,omitempty"`
	Database bool   `json:"d,omitempty"`
	Limit    int    `json:"l,omitempty"`
	// Version is that of the object that holds the limit: an older one does not count.
	Version int64 `json:"v,omitempty"`
	// Holders have the lock that is waited for, as of the last answer.
	Holders []string `json:"h,omitempty"`
}

// ID tells locks apart: a mutex and a semaphore in the database may have one name.
func (l *LockRef) ID() string {
	if l.Mutex && l.Database {
		return l.Name + "!"
	}
	return l.Name
}

// LockState is what a node, or the run, keeps of its locks while it has or wants them.
type LockState struct {
	Locks   []LockRef `json:"l"`
	Waiting string    `json:"w,omitempty"` // the lock that is not to be had yet
	Held    bool      `json:"h,omitempty"` // of the run's own: it has them
}

// Orders are what a Delta has done outside of the run: about locks, and to know what others of
// a key have left.
type Orders struct {
	Priority int32 `json:"p,omitempty"`
	Life     int   `json:"v,omitempty"` // State.Lives, which answers bear, too
	// All says that the run has and wants nothing but what is in Ops and Place.
	All   bool       `json:"a,omitempty"`
	Place string     `json:"pl,omitempty"` // LockAsk, LockHold or LockFree for its place
	Ops   []LockOp   `json:"o"`
	Memos []MemoLoad `json:"m,omitempty"`
}

// LockOp concerns the locks of a node, or of the run.
type LockOp struct {
	Do    string    `json:"o"` // LockAsk, LockHold or LockFree
	Key   Key       `json:"k"`
	Locks []LockRef `json:"l,omitempty"`
}

// What may be done about locks.
const (
	LockAsk  = "ask"
	LockHold = "hold" // what was granted is taken
	LockFree = "free" // also what was only asked for
)

// LockAnswer is what an EventLock says.
type LockAnswer struct {
	Granted bool `json:"g,omitempty"`
	Life    int  `json:"v,omitempty"`
	// The lock that is not to be had: how many more it could have, and at all.
	Name  string `json:"n,omitempty"`
	Free  int    `json:"f,omitempty"`
	Limit int    `json:"l,omitempty"`
	// Holders are those of each lock that was asked for.
	Holders map[string][]string `json:"h,omitempty"`
}

// SyncLimit is the limit of a semaphore in the database.
type SyncLimit struct {
	Limit   int   `json:"limit"`
	Version int64 `json:"-"`
}

// RunLock is the key of the run's own locks.
const RunLock Key = "/!lock"

const (
	heldLock = "lock" // a node, for its locks
	heldRoom = "room" // a node that has waited for something else, for room
)

// lockMessage is Argo's.
func (a *LockAnswer) message() string {
	return fmt.Sprintf("Waiting for %s lock. Lock status: %d/%d", a.Name, a.Free, a.Limit)
}

// lockRefs are the locks that a synchronization names, each once.
func (t *turn) lockRefs(s *spec.Synchronization, scope expr.Scope) ([]LockRef, error) {
	var refs []LockRef
	add := func(namespace, kind string, mutex, database bool, parts ...string) error {
		name := cmp.Or(namespace, t.v.Run.Namespace) + "/" + kind
		for _, p := range parts {
			p, err := expr.Substitute(p, scope, expr.Strict)
			if err != nil {
				return err
			}
			name += "/" + p
		}
		ref := LockRef{Name: name, Mutex: mutex, Database: database}
		if slices.ContainsFunc(refs, func(r LockRef) bool { return r.ID() == ref.ID() }) {
			return nil
		}
		refs = append(refs, ref)
		return nil
	}
	for _, m := range s.Semaphores {
		var err error
		switch {
		case m.ConfigMapKeyRef != nil && m.Database != nil:
			err = errors.New("requested configuration is invalid: invalid semaphore with both ConfigMapKeyRef and Database")
		case m.ConfigMapKeyRef != nil:
			err = add(m.Namespace, "ConfigMap", false, false, m.ConfigMapKeyRef.Name, m.ConfigMapKeyRef.Key)
		case m.Database != nil:
			err = add(m.Namespace, "Database", false, true, m.Database.Key)
		default:
			err = errors.New("requested configuration is invalid: cannot get LockName for a Semaphore without a ConfigMapRef or Database")
		}
		if err != nil {
			return nil, err
		}
	}
	for _, m := range s.Mutexes {
		kind := "Mutex"
		if m.Database {
			kind = "Database"
		}
		if err := add(m.Namespace, kind, true, m.Database, m.Name); err != nil {
			return nil, err
		}
	}
	for i := range refs {
		if t.limitOf(&refs[i]); refs[i].Limit <= 0 {
			return nil, fmt.Errorf("failed to initialize semaphore %s with limit", refs[i].Name)
		}
	}
	return refs, nil
}

// ordered are the turn's orders, to be added to.
func (t *turn) ordered() *Orders {
	if t.delta.Orders == nil {
		t.delta.Orders = &Orders{Life: t.delta.State.Lives}
		if p := t.v.Plan.Spec.Priority; p != nil {
			t.delta.Orders.Priority = *p
		}
	}
	return t.delta.Orders
}

// orders adds to what is to be done about locks.
func (t *turn) orders(do string, k Key, locks []LockRef) {
	if do == LockFree {
		locks = nil
	}
	o := t.ordered()
	o.Ops = append(o.Ops, LockOp{Do: do, Key: k, Locks: locks})
}

// ask has the locks of a key asked for.
func (t *turn) askFor(k Key, locks []LockRef) *LockState {
	t.shares()
	t.orders(LockAsk, k, locks)
	return &LockState{Locks: locks}
}

// shares notes that something more is wanted which is shared by runs.
func (t *turn) shares() {
	s := &t.delta.State
	s.Locks, s.Locked = s.Locks+1, true
	if s.Looked == 0 {
		s.Looked = t.now
	}
}

// counts says that nodes of the type are a part of the run's progress.
func counts(t spec.NodeType) bool { return leaf(t) || t == spec.NodeTypeSuspend }

// lock has a node wait for its template's locks.
func (t *turn) lock(n *Node, tmpl *template) {
	locks, err := t.lockRefs(tmpl.Synchronization, t.inputScope(n))
	if err != nil {
		t.fail(n.Key, n.Template, n.Item, err)
		return
	}
	if len(locks) == 0 {
		t.haveLocks(n, tmpl)
		return
	}
	n.Lock = t.askFor(n.Key, locks)
	t.awaits(n, tmpl)
	t.hold(n, heldLock)
}

// awaits makes a node one that waits before it starts.
func (t *turn) awaits(n *Node, tmpl *template) {
	n.Phase = spec.NodePending
	if tmpl.RetryStrategy != nil {
		n.Type = spec.NodeTypeRetry
	}
	if counts(n.Type) && !n.Counted {
		n.Counted = true
		t.delta.State.Total++
	}
}

// haveLocks goes on with a node that needs no locks, or has them.
func (t *turn) haveLocks(n *Node, tmpl *template) {
	if tmpl.Memoize != nil {
		t.recall(n, tmpl)
		return
	}
	t.proceed(n, tmpl)
}

// lockAnswered goes on with what has its locks now, or says what it waits for.
func (t *turn) lockAnswered(e *Event) {
	if e.Lock == nil || e.Lock.Life != t.delta.State.Lives { // an answer to before it was taken up
		return
	}
	switch e.Key {
	case RunLock:
		t.runLockAnswered(e.Lock)
		return
	case RunPlace:
		t.placeAnswered(e.Lock)
		return
	}
	n := t.node(e.Key)
	switch {
	case n == nil || n.Lock == nil || n.Fulfilled():
		if e.Lock.Granted {
			t.orders(LockFree, e.Key, nil)
		}
	case n.Held != heldLock:
		if e.Lock.Granted {
			t.orders(LockHold, e.Key, n.Lock.Locks)
		}
	case !e.Lock.Granted:
		n = t.edit(e.Key)
		n.Lock, n.Message = n.Lock.waits(e.Lock), e.Lock.message()
	default:
		n = t.letGo(e.Key, heldLock)
		n.Lock, n.Message = n.Lock.waits(&LockAnswer{}), ""
		t.orders(LockHold, n.Key, n.Lock.Locks)
		if tmpl := t.v.Plan.templates[n.Template]; tmpl.Memoize != nil {
			t.recall(n, tmpl)
			return
		}
		t.startNow(n)
	}
}

// waits is the state after an answer.
func (l *LockState) waits(a *LockAnswer) *LockState {
	next := *l
	next.Waiting = a.Name
	next.Locks = slices.Clone(l.Locks)
	for i := range next.Locks {
		next.Locks[i].Holders = a.Holders[next.Locks[i].ID()]
	}
	return &next
}

// startNow starts a node that has waited, as soon as there is room.
func (t *turn) startNow(n *Node) {
	if !t.hasRoom() {
		t.hold(n, heldRoom)
		t.delta.State.Ready = append(t.delta.State.Ready, n.Key)
		return
	}
	t.room--
	n.Started = t.now
	t.put(n)
	t.proceed(n, t.v.Plan.templates[n.Template])
}

// giveUpWait ends a node that waited to start.
func (t *turn) giveUpWait(n *Node) {
	if n.Counted {
		t.delta.State.leafEnded(spec.NodeFailed)
	}
	t.finish(n, spec.NodeFailed, t.closingMessage())
}

// unlock gives back the locks of a node that ends.
func (t *turn) unlock(n *Node) {
	if n.Lock == nil {
		return
	}
	n.Lock = nil
	t.put(n)
	t.delta.State.Locks--
	t.orders(LockFree, n.Key, nil)
}

// begin starts the run, once it has its place and the locks of its own.
func (t *turn) begin() {
	if t.v.Limits.Places && t.delta.State.Place == "" {
		t.awaitPlace()
		return
	}
	t.takeLocks()
}

func (t *turn) takeLocks() {
	s := &t.delta.State
	sync := t.v.Plan.Spec.Synchronization
	if sync == nil || s.Lock != nil {
		t.enter()
		return
	}
	locks, err := t.lockRefs(sync, t.callScope(&call{}, nil))
	switch {
	case err != nil:
		s.Phase, s.Started, s.Finished = spec.WorkflowFailed, t.now, t.now
		s.Message = "Failed to acquire the synchronization lock. " + err.Error()
	case len(locks) == 0:
		t.enter()
	default:
		s.Phase, s.Lock = spec.WorkflowPending, t.askFor(RunLock, locks)
		s.Held++
	}
}

func (t *turn) runLockAnswered(a *LockAnswer) {
	s := &t.delta.State
	switch {
	case s.Lock == nil:
		if a.Granted {
			t.orders(LockFree, RunLock, nil)
		}
	case s.Lock.Held:
		if a.Granted {
			t.orders(LockHold, RunLock, s.Lock.Locks)
		}
	case !a.Granted:
		s.Lock, s.Message = s.Lock.waits(a), a.message()
	default:
		s.Lock, s.Message = s.Lock.waits(&LockAnswer{}), ""
		s.Lock.Held = true
		s.Held--
		t.orders(LockHold, RunLock, s.Lock.Locks)
		t.enter()
	}
}

// enter starts the entrypoint, or takes the run up again.
func (t *turn) enter() {
	if s := &t.delta.State; s.Again != nil {
		s.Phase = spec.WorkflowRunning
		t.takeUp()
		return
	}
	if t.v.Run.From != nil {
		t.inherit()
		return
	}
	t.open()
}

// waitsForLock says that the run has not begun, for its own locks.
func (s *State) waitsForLock() bool { return s.Lock != nil && !s.Lock.Held }

// neverBegins ends a run that is stopped while it waits for its place or its locks.
func (t *turn) neverBegins() {
	s := &t.delta.State
	s.Held--
	s.Locks--
	if s.waitsForPlace() {
		s.Place = ""
		t.ordered().Place = LockFree
	} else {
		t.orders(LockFree, RunLock, nil)
	}
	s.Lock, s.Message, s.Started, s.Again = nil, "", t.now, nil
	if root := t.node(Root); root != nil { // of its life before
		t.endRun(root)
		return
	}
	root := &Node{
		Key: Root, Type: spec.NodeTypeSkipped, Template: t.v.Plan.Spec.Entrypoint,
		Phase: spec.NodeFailed, Message: t.closingMessage(), Started: t.now, Finished: t.now,
	}
	t.put(root)
	t.endRun(root)
}

// allLocks makes the orders whole: they may have got lost, with what Redis was told last.
func (t *turn) allLocks() {
	s := &t.delta.State
	if !t.v.Complete {
		panic(&MissingError{All: true}) // recovered in Advance
	}
	s.Looked = t.now
	t.ordered().All, t.delta.Orders.Ops = true, []LockOp{}
	t.orderPlace()
	state := func(k Key, l *LockState, waits bool) {
		if !waits {
			t.orders(LockHold, k, l.Locks)
			return
		}
		locks := slices.Clone(l.Locks)
		for i := range locks {
			t.limitOf(&locks[i])
			locks[i].Holders = nil
		}
		t.orders(LockAsk, k, locks)
	}
	if s.Lock != nil {
		state(RunLock, s.Lock, s.waitsForLock())
	}
	nodes := maps.Clone(t.v.Nodes)
	maps.Copy(nodes, t.changed)
	for _, k := range slices.Sorted(maps.Keys(nodes)) {
		if n := nodes[k]; n != nil && n.Lock != nil {
			state(k, n.Lock, n.Held == heldLock)
		}
	}
}
