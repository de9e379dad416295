package workflow

import (
	"maps"
	"slices"

	"argosy/workflow/spec"
)

// What a node may wait for that no worker reports: State.Held counts such nodes, so that a run
// that is ending knows whether to look for them.
const (
	heldBackoff = "retry"   // a Retry node, for the time of its next attempt
	heldSuspend = "suspend" // a Suspend node, for somebody, or for its time
)

const (
	timerRetry   = "retry"
	timerSuspend = "suspend"
	timerTimeout = "timeout"
)

// hold has a node wait.
func (t *turn) hold(n *Node, what string) {
	n.Held = what
	t.delta.State.Held++
	t.put(n)
}

// letGo ends the wait of a node for something; nil: it does not wait for that.
func (t *turn) letGo(k Key, what string) *Node {
	if n := t.node(k); n == nil || n.Held != what {
		return nil
	}
	n := t.edit(k)
	n.Held = ""
	t.delta.State.Held--
	return n
}

// endHeld ends what waits in a run that is ending: nobody else would.
func (t *turn) endHeld() {
	if t.delta.State.Held == 0 {
		return
	}
	if t.delta.State.WaitsToBegin() {
		t.neverBegins()
		return
	}
	if !t.v.Complete {
		panic(&MissingError{All: true}) // recovered in Advance
	}
	keys := map[Key]bool{}
	for k, n := range t.v.Nodes {
		keys[k] = n != nil && n.Held != ""
	}
	for k, n := range t.changed {
		keys[k] = n != nil && n.Held != ""
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		n := t.node(k)
		if !keys[k] || n == nil || n.Held == "" || !t.closing(k) {
			continue
		}
		switch n.Held {
		case heldBackoff:
			n = t.letGo(k, heldBackoff)
			t.timerOff(k, timerRetry)
			last := t.node(n.Key.Attempt(n.Retry.Attempts - 1))
			t.finishQuietly(n, last.Phase, t.givenUp(t.closingMessage()))
		case heldSuspend:
			t.endSuspend(k, spec.NodeFailed, t.givenUp(t.closingMessage()))
		default: // its locks, what is kept for it, or room
			t.giveUpWait(t.letGo(k, n.Held))
		}
	}
}

func (t *turn) timerOff(k Key, name string) {
	t.delta.Timers = append(t.delta.Timers, Timer{Key: k, Name: name})
}
