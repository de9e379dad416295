package workflow

import "argosy/workflow/spec"

// LoopState is what a loop keeps of its items. A loop in a DAG is Argo's TaskGroup node; one
// in a Steps template has the same record, which the status does not show.
type LoopState struct {
	Count     int            `json:"n"`
	Next      int            `json:"x,omitempty"` // the first item not launched yet
	Running   int            `json:"r,omitempty"` // items launched that have not ended
	Succeeded int            `json:"s,omitempty"`
	Bad       int            `json:"b,omitempty"` // items that Failed
	Errors    int            `json:"e,omitempty"` // items that ended as Error
	Failed    string         `json:"f,omitempty"` // id of the first of those, by index, that is not tolerated
	First     int            `json:"i,omitempty"` // its index
	Why       string         `json:"w,omitempty"` // and its refusal
	Phase     spec.NodePhase `json:"p,omitempty"` // phase of the failed item with the highest index
	Last      int            `json:"l,omitempty"` // that index

	// Where the items are, see items.go: a sequence, or records with Block items each, or,
	// with neither, the spec.
	Sequence *SequenceState `json:"q,omitempty"`
	Block    int            `json:"k,omitempty"`

	// Chunks is set for a loop whose items have no records of their own, see chunk.go.
	Chunks *ChunksState `json:"c,omitempty"`
}

// left counts the items that wait to be launched.
func (l *LoopState) left() int {
	left := l.Count - l.Next
	if l.Chunks != nil {
		for _, r := range l.Chunks.Back {
			left += r[1] - r[0]
		}
	}
	return left
}

// cut says that the loop has not run all its items; if it has ended, the run was ending.
func (l *LoopState) cut() bool { return l != nil && l.left() > 0 }

// startLoop makes the loop's record and launches what there is room for.
func (t *turn) startLoop(k Key, c *call) {
	list, err := t.resolveItems(c)
	if err != nil && !t.neverRuns(c) {
		t.fail(k, c.template, nil, err)
		return
	}
	n := &Node{Key: k, Type: spec.NodeTypeTaskGroup, Template: c.template, Phase: spec.NodeRunning, Started: t.now}
	if err != nil || list.len() == 0 {
		n.Type = spec.NodeTypeSkipped
		t.finish(n, spec.NodeSkipped, "Skipped, empty params")
		return
	}
	n.Loop = &LoopState{Count: list.len()}
	scope := t.scopeOf(k)
	if scope.Limit != nil { // its items take places of their own
		t.edit(scope.Key).Limit.Active--
	}
	t.delta.State.Left += list.len()
	t.put(n)
	t.keepItems(n, list)
	if n.Loop.Chunks = t.chunks(n, c); n.Loop.Chunks != nil {
		t.put(&Node{Key: callKey(k), Call: n.Loop.Chunks.call})
	}
	t.expand(n, c)
	t.admit(k)
}

// neverRuns says that the call's when is false whatever the item.
func (t *turn) neverRuns(c *call) bool {
	if c.when == "" {
		return false
	}
	proceed, _, err := evalWhen(c.when, t.callScope(c, nil))
	return err == nil && !proceed
}

// expand launches the items that there is room for.
func (t *turn) expand(n *Node, c *call) {
	l := n.Loop
	if l.Chunks != nil {
		t.expandChunks(n)
		return
	}
	if !t.halted(n) {
		t.needItems(n, l.Next, l.Next+t.roomFor(l.Count-l.Next))
	}
	for l.Next < l.Count && !t.halted(n) {
		if !t.hasRoom() {
			t.delta.State.Ready = append(t.delta.State.Ready, n.Key)
			break
		}
		if !t.place(t.scopeOf(n.Key), n.Key) {
			break
		}
		i := l.Next
		l.Next++
		l.Running++
		t.delta.State.Left--
		item := t.item(n, c, i)
		t.start(itemKey(n.Key, i, item), c, item)
	}
	t.settleLoop(n)
}

// itemEnded takes note of an item's end.
func (t *turn) itemEnded(n *Node, child *Node) {
	n.Loop.Running--
	t.countItem(n, child)
	t.settleLoop(n)
}

// countItem counts how an item ended.
func (t *turn) countItem(n *Node, child *Node) {
	l := n.Loop
	switch {
	case child.Phase == spec.NodeSucceeded || child.Reused || child.serves():
		l.Succeeded++
	case child.Failed():
		if child.Phase == spec.NodeFailed {
			l.Bad++
		} else {
			l.Errors++
		}
		i := itemIndex(child.Key)
		if l.Phase == "" || i > l.Last {
			l.Phase, l.Last = child.Phase, i
		}
		if (l.Failed == "" || i < l.First) && !t.site(n.Key).tolerates(child.Phase) {
			l.Failed, l.First, l.Why = child.Key.ID(t.v.Run.Name), i, child.refusal(t.v.Run.Name)
		}
	}
}

// settleLoop ends the loop when every item has ended, or none runs and none may start.
func (t *turn) settleLoop(n *Node) {
	l := n.Loop
	left := l.left()
	if n.Fulfilled() || l.Running > 0 || (left > 0 && !t.halted(n)) {
		return
	}
	t.delta.State.Left -= left
	switch {
	case l.Phase != "":
		t.finish(n, l.Phase, "")
	case left > 0:
		t.finish(n, spec.NodeFailed, t.haltedMessage(n.Key))
	default:
		t.finish(n, spec.NodeSucceeded, "")
	}
}
