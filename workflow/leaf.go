package workflow

import "argosy/workflow/spec"

// startLeaf sends a node to the queue.
func (t *turn) startLeaf(n *Node) {
	n.Phase, n.Started = spec.NodePending, t.now
	n.Daemon = t.v.Plan.templates[n.Template].daemonState()
	t.put(n)
	if !n.Counted { // else it counts since it waits
		t.delta.State.Total++
	}
	t.startProgress(n)
	if err := t.limitTime(n, t.v.Plan.templates[n.Template]); err != nil {
		t.delta.State.leafEnded(spec.NodeError)
		t.finish(n, spec.NodeError, err.Error())
		return
	}
	t.delta.State.InFlight++
	t.delta.Dispatch = append(t.delta.Dispatch, n.Key)
}

// pends notes what a leaf waits for that a worker has.
func (t *turn) pends(e *Event) {
	n := t.node(e.Key)
	if n == nil || n.Phase != spec.NodePending || !leaf(n.Type) || n.Message == e.Message {
		return
	}
	t.edit(e.Key).Message = e.Message
}

// result applies how a leaf ended. The first result stands.
func (t *turn) result(e *Event) {
	n := t.node(e.Key)
	if n != nil && n.Chunk != nil {
		t.chunkEnded(n) // no worker reports a chunk like that: it had not been started
		return
	}
	if n == nil || n.Fulfilled() || !leaf(n.Type) || e.Result == nil {
		return
	}
	n = t.edit(e.Key)
	s := &t.delta.State
	serves := n.Daemon != nil && n.Daemon.Ready
	told := n.units()
	if !serves {
		s.InFlight--
	}
	n.ends(e.Result, t.now)
	s.Resources = s.Resources.Add(n.Resources)
	if n.Daemon != nil && n.Phase == spec.NodeSucceeded {
		n.Phase = spec.NodeFailed // it should not have ended
	}
	if !serves && t.v.Plan.templates[n.Template].Timeout != "" {
		t.timerOff(n.Key, timerTimeout)
	}
	switch {
	case t.closing(n.Key) && serves:
		n.Phase, n.Message, n.Class = spec.NodeSucceeded, "", ""
	case t.closing(n.Key) && n.Failed():
		n.Phase, n.Message = spec.NodeFailed, t.closingMessage()
	case n.Late && n.Failed():
		n.Phase, n.Message, n.Class = spec.NodeFailed, LateMessage, "deadline"
	}
	s.leafEnded(n.Phase)
	s.Units = s.Units.minus(told).plus(n.units())
	if n.Phase == spec.NodeSucceeded && n.Outputs != nil {
		t.export(n.Outputs)
	}
	t.ended(n)
}

// leafEnded counts a leaf that has ended in a phase.
func (s *State) leafEnded(phase spec.NodePhase) {
	s.Done++
	if phase == spec.NodeSucceeded {
		s.Succeeded++
	}
}

// ends applies a result to a leaf. What the worker did not time ended now.
func (n *Node) ends(r *Result, now Millis) {
	r = r.final()
	if r.Started != 0 {
		n.Started = r.Started
	}
	n.Outputs, n.Host, n.Class, n.Containers, n.Resources = r.Outputs, r.Host, r.Class, r.Containers, r.Resources
	n.Phase, n.Message, n.Finished = r.Phase, r.Message, r.Finished
	if n.Finished == 0 {
		n.Finished = now
	}
	if u, ok := parseUnits(string(r.Progress)); ok {
		n.Progress = &u
	}
}

// final is the result with a phase that a node can end with.
func (r *Result) final() *Result {
	if Fulfilled(r.Phase) {
		return r
	}
	bad := *r
	bad.Phase, bad.Message, bad.Class = spec.NodeError, "the worker reported no final phase: "+string(r.Phase), "invalid"
	return &bad
}
