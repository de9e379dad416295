package workflow

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"argosy/workflow/spec"
)

// A run that has ended can be taken up again: what failed is run once more, and what comes after
// it. Every node has one of three fates:
//
//	keep   it ended well, or what comes after it did
//	again  its records go, with all below it, and its call is launched anew
//	open   some below it run again: a Steps node goes on at a group, a DAG at some tasks, a loop
//	       at some items, a Retry node with its last attempt
//
// Exit handlers of what is opened, and of the run, are among what runs again. The fates are
// decided from the root down, then the records are changed, and then what is missing is launched
// as ever: so the scopes' counters are right before anything ends.
type fate int

const (
	keep fate = iota
	open
	again
)

// Again asks for a run to be taken up again.
type Again struct {
	// Keys run again too, whatever became of them.
	Keys []Key `json:"k,omitempty"`
	// Items do so, too: of chunked loops, the ranges [from, to).
	Items map[Key][][2]int `json:"i,omitempty"`
	// Renewed says that the run's arguments changed: the inputs of what is opened are bound
	// anew, and so are all items of a loop and all members of a group of which some run again.
	Renewed bool `json:"r,omitempty"`
}

// Reopen is a chunked loop of which the items that did not end well, and some others, run again.
type Reopen struct {
	Loop  Key
	Count int      // items of the loop
	Also  [][2]int // ranges [from, to) of those that run again whatever became of them, in order
}

// TakeUp is the state of an ended run that is taken up again by its next turn.
func (s *State) TakeUp(a Again) (State, error) {
	switch s.Phase {
	case spec.WorkflowFailed, spec.WorkflowError:
	case spec.WorkflowSucceeded:
		if len(a.Keys)+len(a.Items) == 0 {
			return State{}, fmt.Errorf("To retry a succeeded workflow, set the options restartSuccessful and nodeFieldSelector") //nolint:staticcheck // Argo's words
		}
	default:
		return State{}, fmt.Errorf("Cannot retry a workflow in phase %s", cmp.Or(s.Phase, spec.WorkflowPending)) //nolint:staticcheck // Argo's words
	}
	next := *s
	next.Phase, next.Message, next.Finished = spec.WorkflowRunning, "", 0
	next.Shutdown, next.Expired, next.Suspended, next.Ready = "", false, false, nil
	next.Archiving = ""
	next.Again, next.Lives = &a, s.Lives+1
	next.Lock, next.Place, next.Locks, next.Looked = nil, "", 0, 0 // they were given back
	return next, nil
}

// LifeDeliveries is how many deliveries of a node there are at most each time that its run is
// taken up. Their numbers tell whose result one is.
const LifeDeliveries = 1_000_000

// FirstDelivery is the number of a node's first delivery.
func (s *State) FirstDelivery() int { return s.Lives*LifeDeliveries + 1 }

// takenUp is the work of one turn.
type takenUp struct {
	t       *turn
	renewed bool
	picked  map[Key]bool
	items   map[Key][][2]int // of chunked loops that are picked
	kids    map[Key][]Key    // nodes by parent
	records map[Key][]Key    // what else there is below a node

	fates map[Key]fate
	wins  map[Key]bool
	group map[Key]int // that an open Steps node goes on at
	next  []func()    // what is launched and settled in the end
}

// takeUp takes an ended run up again.
func (t *turn) takeUp() {
	if !t.v.Complete {
		panic(&MissingError{All: true}) // recovered in Advance
	}
	s := &t.delta.State
	req := s.Again
	s.Again = nil
	root := t.node(Root)
	if root == nil {
		s.Phase = "" // it never started
		t.begin()
		return
	}
	s.Started, s.InFlight, s.Held, s.Left, s.Ready = t.now, 0, 0, 0, nil
	t.setDeadline()
	if err := t.checkStart(); err != nil {
		s.Phase, s.Message, s.Finished = spec.WorkflowError, err.Error(), t.now
		return
	}
	u := &takenUp{
		t: t, renewed: req.Renewed, picked: map[Key]bool{}, items: map[Key][][2]int{}, kids: map[Key][]Key{}, records: map[Key][]Key{},
		fates: map[Key]fate{}, wins: map[Key]bool{}, group: map[Key]int{},
	}
	u.index(req)
	switch u.mark(root, false) {
	case again:
		u.drop(Root)
		t.launch(Root)
	case open:
		u.hooks(t.edit(Root))
		u.open(root)
		for i := 0; i < len(u.next); i++ { //nolint:intrange // they add to the list
			u.next[i]()
		}
	case keep:
		root = t.edit(Root)
		u.hooks(root)
		t.ended(root)
	}
}

func (u *takenUp) index(req *Again) {
	for _, k := range slices.Sorted(maps.Keys(u.t.v.Nodes)) {
		n := u.t.v.Nodes[k]
		pk, ok := k.Parent()
		if n == nil || !ok {
			continue
		}
		if n.Type == "" {
			u.records[pk] = append(u.records[pk], k)
		} else {
			u.kids[pk] = append(u.kids[pk], k)
		}
	}
	pick := func(loop Key, ranges ...[2]int) {
		if n := u.t.v.Nodes[loop]; n != nil && n.Loop != nil && n.Loop.Chunks != nil {
			u.items[loop] = append(u.items[loop], ranges...)
		}
	}
	for _, k := range req.Keys {
		u.picked[k] = true
		if loop, i, ok := ItemOf(k); ok {
			pick(loop, [2]int{i, i + 1})
		}
	}
	for loop, ranges := range req.Items {
		pick(loop, ranges...)
	}
	for loop, ranges := range u.items {
		u.items[loop] = joined(ranges)
	}
}

// joined are ranges in order, of which none touches another.
func joined(ranges [][2]int) (out [][2]int) {
	slices.SortFunc(ranges, func(a, b [2]int) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	for _, r := range ranges {
		if last := len(out) - 1; last >= 0 && r[0] <= out[last][1] {
			out[last][1] = max(out[last][1], r[1])
		} else if r[0] < r[1] {
			out = append(out, r)
		}
	}
	return out
}

// won says that something at or below a node succeeded, and is to stay so.
func (u *takenUp) won(n *Node) bool {
	if n == nil {
		return false
	}
	won, ok := u.wins[n.Key]
	if ok {
		return won
	}
	won = (n.Phase == spec.NodeSucceeded || n.Reused) && !u.picked[n.Key] || n.Loop != nil && n.Loop.Succeeded > 0
	for _, k := range u.kids[n.Key] {
		if _, hook := k.hook(); !won && !hook {
			won = u.won(u.t.node(k))
		}
	}
	u.wins[n.Key] = won
	return won
}

// mark decides on a node and all below it. after says that something succeeded which comes after
// it, and which is not to be undone for a failure that did not matter.
func (u *takenUp) mark(n *Node, after bool) fate {
	bad := (!n.Fulfilled() || n.Failed()) && !after
	f := keep
	if bad {
		f = again
	}
	switch {
	case u.picked[n.Key]:
		f = again
	case n.Steps != nil:
		f = u.markSteps(n, after, bad)
	case n.DAG != nil:
		f = u.markDAG(n, after, bad)
	case n.Loop != nil:
		f = u.markLoop(n, after, bad)
	case n.Retry != nil:
		f = u.markRetry(n, after, bad)
	}
	if f == open && n.Loop == nil && (u.t.v.Plan.templates[n.Template].Synchronization != nil || len(n.Daemons) > 0) {
		f = again // it gave its locks back, and takes them when it is launched; its daemons are gone
	}
	u.fates[n.Key] = f
	return f
}

func (u *takenUp) markSteps(n *Node, after, bad bool) fate {
	groups := u.t.v.Plan.templates[n.Template].Steps
	current := min(n.Steps.Group, len(groups)-1)
	for h := 0; h <= current; h++ {
		later, found := after, false
		for g := h + 1; g <= current; g++ {
			later = later || g < n.Steps.Group && len(groups[g].Steps) > 0
			for i := range groups[g].Steps {
				later = later || u.won(u.t.node(n.Key.Step(g, groups[g].Steps[i].Name)))
			}
		}
		for i := range groups[h].Steps {
			if member := u.t.node(n.Key.Step(h, groups[h].Steps[i].Name)); member == nil {
				found = found || bad && h == n.Steps.Group
			} else if u.mark(member, later) != keep {
				found = true
			}
		}
		if found {
			u.group[n.Key] = h
			return open
		}
	}
	u.group[n.Key] = n.Steps.Group
	if bad {
		return open
	}
	return keep
}

func (u *takenUp) markDAG(n *Node, after, bad bool) fate {
	plan, err := u.t.v.Plan.dagOf(u.t.v.Run, n)
	if err != nil { // of arguments that have changed
		return again
	}
	tasks := u.t.v.Plan.templates[n.Template].DAG.Tasks
	child := func(i int) *Node { return u.t.node(n.Key.Task(tasks[i].Name)) }
	later := map[int]bool{}
	var wins func(i int) bool // of what depends on a task
	wins = func(i int) bool {
		won, ok := later[i]
		for _, j := range plan.dependents[i] {
			won = won || !ok && !plan.skips(j) && (u.won(child(j)) || wins(j))
		}
		later[i] = won
		return won
	}
	f := keep
	if bad {
		f = open
	}
	for i := range tasks {
		if c := child(i); c != nil && !plan.skips(i) && u.mark(c, after || wins(i)) != keep {
			f = open
		}
	}
	return f
}

func (u *takenUp) markLoop(n *Node, after, bad bool) fate {
	f := keep
	if bad || len(u.items[n.Key]) > 0 {
		f = open
	}
	for _, k := range u.kids[n.Key] {
		if u.mark(u.t.node(k), after) != keep {
			f = open
		}
	}
	if f == open && u.renewed {
		return again
	}
	return f
}

func (u *takenUp) markRetry(n *Node, after, bad bool) fate {
	last := u.t.node(n.Key.Attempt(n.Retry.Attempts - 1))
	for _, k := range u.kids[n.Key] {
		if u.picked[k] {
			return again
		}
	}
	f := keep
	if last != nil && (last.Steps != nil || last.DAG != nil) {
		f = u.mark(last, after)
	}
	if f == keep && bad {
		return again
	}
	return f
}
