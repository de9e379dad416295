package workflow

import (
	"strings"

	"argosy/workflow/spec"
)

// drop removes a node's records and all below it.
func (u *takenUp) drop(k Key) {
	for _, below := range u.records[k] {
		u.t.drop(u.t.v.Nodes[below])
	}
	for _, below := range u.kids[k] {
		u.drop(below)
	}
	n := u.t.v.Nodes[k]
	if n == nil || u.t.node(k) == nil {
		return
	}
	s := &u.t.delta.State
	count := n.leaves()
	if n.Loop != nil && n.Loop.Chunks != nil {
		count = n.Loop.leaves()
		u.t.delta.Wipe = append(u.t.delta.Wipe, k)
	}
	s.uncount(count)
	if leaf(n.Type) {
		u.t.delta.Forget = append(u.t.delta.Forget, k)
	}
	u.t.drop(n)
}

// leaves counts those of a chunked loop.
func (l *LoopState) leaves() tally {
	return tally{ended: l.Chunks.Leaves, succeeded: l.Succeeded - l.Chunks.Reused, total: l.Chunks.Leaves + l.Running}
}

// count counts leaves of before.
func (s *State) count(c tally) {
	s.Done, s.Succeeded, s.Total = s.Done+c.ended, s.Succeeded+c.succeeded, s.Total+c.total
	s.Units = s.Units.plus(c.units)
}

// uncount takes leaves back that have been counted.
func (s *State) uncount(c tally) {
	s.Done, s.Succeeded, s.Total = s.Done-c.ended, s.Succeeded-c.succeeded, s.Total-c.total
	s.Units = s.Units.minus(c.units)
}

// hooks has the exit handler of the run run again, and keeps other hooks that have ended.
func (u *takenUp) hooks(root *Node) {
	if root.Hooks == nil {
		return
	}
	h := &HookState{}
	for _, k := range u.kids[Root] {
		name, hook := k.hook()
		switch {
		case !hook:
		case name != spec.ExitLifecycleEvent && u.t.node(k).Fulfilled():
			h.Fired = append(h.Fired, name)
		default:
			u.drop(k)
		}
	}
	root.Hooks = h
}

// open opens a node.
func (u *takenUp) open(n *Node) {
	t := u.t
	n = t.edit(n.Key)
	if scope := t.scopeOf(n.Key); n.Loop == nil && scope != nil && scope.Limit != nil {
		t.edit(scope.Key).Limit.Active++ // it goes on, whatever the others do
	}
	n.Phase, n.Message, n.Finished, n.Outputs, n.Held, n.Branch, n.Class = spec.NodeRunning, "", 0, nil, "", "", ""
	n.Refused = false
	if n.Loop == nil { // the records of a chunked loop count from its start
		n.Started = t.now
	}
	if n.Limit != nil {
		n.Limit = &LimitState{}
	}
	if n.Key != Root && n.Hooks != nil {
		for _, k := range u.kids[n.Key] {
			if _, hook := k.hook(); hook {
				u.drop(k)
			}
		}
		n.Hooks = nil
	}
	u.rebind(n)
	switch {
	case n.Steps != nil:
		u.openSteps(n)
	case n.DAG != nil:
		u.openDAG(n)
	case n.Loop != nil && n.Loop.Chunks != nil:
		u.openChunks(n)
	case n.Loop != nil:
		u.openLoop(n)
	case n.Retry != nil:
		if n.Retry.First != 0 {
			n.Retry.First = t.now
		}
		u.open(t.node(n.Key.Attempt(n.Retry.Attempts - 1)))
	}
	k := n.Key
	u.next = append(u.next, func() {
		n := t.node(k)
		if set := t.hooksOf(n); set != nil && k != Root && !n.Fulfilled() {
			t.fireHooks(n, set)
		}
	})
}

// rebind gives a node its inputs of the run's new arguments.
func (u *takenUp) rebind(n *Node) {
	if !u.renewed || n.Loop != nil {
		return
	}
	if pk, ok := n.Key.Parent(); ok {
		if p := u.t.node(pk); p.Retry != nil {
			n.Inputs = p.Inputs
			return
		}
	}
	c := u.t.site(n.Key)
	c.template = n.Template
	fresh, _ := u.t.opener(c).open(n.Key, c, n.Item, u.t.callScope(c, n.Item))
	if !fresh.Fulfilled() {
		n.Inputs = fresh.Inputs
	}
}

// launch has what is missing at a key launched.
func (u *takenUp) launch(k Key) {
	u.next = append(u.next, func() { u.t.resume(k) })
}

// child does to a child of an open node what its fate is, and says whether it runs again.
func (u *takenUp) child(n *Node, key Key) bool {
	switch {
	case n == nil:
	case u.fates[key] == again:
		u.drop(key)
	case u.fates[key] == open:
		u.open(n)
		return true
	default:
		return false
	}
	u.launch(key)
	return true
}

func (u *takenUp) openSteps(n *Node) {
	t := u.t
	groups := t.v.Plan.templates[n.Template].Steps
	at := u.group[n.Key]
	n.Steps = &StepsState{Group: at}
	for g := at; g < len(groups); g++ {
		for i := range groups[g].Steps {
			k := n.Key.Step(g, groups[g].Steps[i].Name)
			member := t.node(k)
			switch {
			case g > at:
				u.drop(k)
				continue
			case u.renewed && member != nil:
				u.fates[k] = again
			}
			if u.child(member, k) {
				n.Steps.Running++
				continue
			}
			if bad, why := t.badChild(member); bad != "" && n.Steps.Failed == "" {
				n.Steps.Failed, n.Steps.First, n.Steps.Why = bad, i, why
			}
		}
	}
	k := n.Key
	u.next = append(u.next, func() {
		n := t.edit(k)
		switch {
		case n.Fulfilled() || n.Steps.Running > 0 || n.Steps.Group != at:
		case at >= len(groups):
			t.finishScope(n, t.v.Plan.templates[n.Template])
		default:
			t.settleSteps(n)
		}
	})
}

func (u *takenUp) openDAG(n *Node) {
	t := u.t
	tmpl, plan := t.v.Plan.templates[n.Template], t.dag(n)
	tasks := tmpl.DAG.Tasks
	key := func(i int) Key { return n.Key.Task(tasks[i].Name) }
	n.DAG = &DAGState{}
	for _, k := range u.records[n.Key] {
		t.drop(t.v.Nodes[k])
	}
	undone := map[int]bool{} // what comes after a task that runs again
	var undo func(i int)
	undo = func(i int) {
		for _, j := range plan.dependents[i] {
			if !undone[j] {
				undone[j] = true
				undo(j)
			}
		}
	}
	for i := range tasks {
		if t.node(key(i)) != nil && u.fates[key(i)] != keep {
			undo(i)
		}
	}
	for i := range tasks {
		child := t.node(key(i))
		switch {
		case child == nil:
		case undone[i] || u.fates[key(i)] == again:
			u.drop(key(i))
		case u.fates[key(i)] == open:
			u.open(child)
			n.DAG.Running++
		default:
			if plan.target[i] {
				t.targetEnded(n, tmpl, i, child)
			}
			continue
		}
		if !plan.skips(i) {
			n.DAG.Left++
		}
	}
	for i := range tasks {
		if plan.skips(i) || t.node(key(i)) != nil {
			continue
		}
		ended := 0
		for _, j := range plan.needs[i] {
			if t.node(key(j)).Fulfilled() {
				ended++
			}
		}
		switch {
		case ended == len(plan.needs[i]):
			u.release(n.Key, i)
		case ended > 0:
			t.setWaits(n, plan, i, ended)
		}
	}
	k := n.Key
	u.next = append(u.next, func() { t.settleDAG(t.edit(k)) })
}

// release has a task launched or omitted of which all that it depends on has ended.
func (u *takenUp) release(dag Key, i int) {
	t := u.t
	u.next = append(u.next, func() {
		n := t.edit(dag)
		tmpl := t.v.Plan.templates[n.Template]
		k := dag.Task(tmpl.DAG.Tasks[i].Name)
		switch {
		case n.Fulfilled() || t.stopped(n):
		case len(tmpl.dag.needs[i]) > 0:
			t.release(n, tmpl, i)
		default:
			n.DAG.Running++
			t.launch(k)
		}
	})
}

func (u *takenUp) openLoop(n *Node) {
	t, l := u.t, n.Loop
	l.Running, l.Succeeded, l.Bad, l.Errors, l.Failed, l.First, l.Phase, l.Last = 0, 0, 0, 0, "", 0, "", 0
	c := t.site(n.Key)
	for i := range l.Next {
		k := itemKey(n.Key, i, t.item(n, c, i))
		if item := t.node(k); u.child(item, k) {
			l.Running++
		} else {
			t.countItem(n, item)
		}
	}
	t.delta.State.Left += l.Count - l.Next
	u.launch(n.Key)
}

func (u *takenUp) openChunks(n *Node) {
	t, l := u.t, n.Loop
	s, count := &t.delta.State, l.leaves()
	s.uncount(count)
	for _, k := range u.records[n.Key] {
		if k.IsChunk() {
			t.drop(t.v.Nodes[k])
		}
	}
	*l = LoopState{Count: l.Count, Sequence: l.Sequence, Block: l.Block, Chunks: &ChunksState{}}
	s.Left += l.Count
	t.delta.Reopen = append(t.delta.Reopen, Reopen{Loop: n.Key, Count: l.Count, Also: u.items[n.Key]})
	u.launch(n.Key)
}

// isItem says that a key is that of a loop's item.
func isItem(k Key) bool {
	s := k.Segment()
	return strings.HasPrefix(s, "(") && strings.Contains(s, ":")
}
