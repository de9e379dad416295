package workflow

import "argosy/workflow/spec"

// startLeaf sends a node to the queue.
func (t *turn) startLeaf(n *Node) {
	n.Phase, n.Started = spec.NodePending, t.now
	t.put(n)
	t.delta.State.InFlight++
	t.delta.State.Total++
	t.delta.Dispatch = append(t.delta.Dispatch, n.Key)
}

// result applies how a leaf ended. The first result stands.
func (t *turn) result(e *Event) {
	n := t.node(e.Key)
	if n == nil || n.Fulfilled() || n.Type != spec.NodeTypePod || e.Result == nil {
		return
	}
	n = t.edit(e.Key)
	r := e.Result
	s := &t.delta.State
	s.InFlight--
	s.Done++
	if r.Started != 0 {
		n.Started = r.Started
	}
	n.Outputs, n.Host, n.Class = r.Outputs, r.Host, r.Class
	phase, message := r.Phase, r.Message
	if !Fulfilled(phase) {
		phase, message, n.Class = spec.NodeError, "the worker reported no final phase: "+string(phase), "invalid"
	}
	if t.closing() && failed(phase) {
		phase, message = spec.NodeFailed, t.closingMessage()
	}
	finished := t.now
	if r.Finished != 0 {
		finished = r.Finished
	}
	n.Phase, n.Message, n.Finished = phase, message, finished
	if phase == spec.NodeSucceeded && n.Outputs != nil {
		t.export(n.Outputs)
	}
	t.ended(n)
}
