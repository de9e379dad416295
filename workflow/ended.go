package workflow

import (
	"slices"

	"argosy/workflow/spec"
)

// finish ends a node and tells its scope.
func (t *turn) finish(n *Node, phase spec.NodePhase, message string) {
	t.endDaemons(n)
	n.Phase, n.Message, n.Finished = phase, message, t.now
	if n.Started == 0 {
		n.Started = t.now
	}
	t.put(n)
	if n.Outputs != nil {
		t.export(n.Outputs)
	}
	t.ended(n)
}

// fail ends a node that never got to run: its place in the spec could not be resolved.
func (t *turn) fail(k Key, template string, item []byte, err error) {
	t.finish(&Node{Key: k, Type: spec.NodeTypeSkipped, Template: template, Item: item}, spec.NodeError, err.Error())
}

// ended tells the scope above a node that the node has ended.
func (t *turn) ended(n *Node) {
	t.unlock(n)
	t.memoize(n)
	if n.Daemon != nil && n.Daemon.Told {
		t.died(n)
		return
	}
	if t.awaitHooks(n) {
		return
	}
	t.vacate(n)
	t.tell(n)
	t.admit(n.Key)
}

func (t *turn) tell(n *Node) {
	pk, ok := n.Key.Parent()
	if !ok {
		// A run that is suspended ends when it is resumed, or stopped.
		if t.delta.State.Over = t.delta.State.Suspended; !t.delta.State.Over {
			t.endRun(n)
		}
		return
	}
	parent := t.edit(pk)
	if _, hook := n.Key.hook(); hook {
		t.hookEnded(parent)
		return
	}
	switch parent.Type {
	case spec.NodeTypeRetry:
		t.attemptEnded(parent, n)
	case spec.NodeTypeTaskGroup:
		t.itemEnded(parent, n)
	case spec.NodeTypeSteps:
		t.stepEnded(parent, n)
	case spec.NodeTypeDAG:
		t.taskEnded(parent, n)
	}
}

// export adds a node's outputs that carry a globalName to the run's own.
func (t *turn) export(o *Values) {
	s := &t.delta.State
	var out *Values
	edit := func() *Values {
		if out == nil {
			out = &Values{}
			if s.Outputs != nil {
				out.Parameters = slices.Clone(s.Outputs.Parameters)
				out.Artifacts = slices.Clone(s.Outputs.Artifacts)
			}
			s.Outputs = out
		}
		return out
	}
	for _, p := range o.Parameters {
		if p.Global == "" || p.Wanted {
			continue
		}
		v := edit()
		g := Param{Name: p.Global, Value: p.Value}
		if i := slices.IndexFunc(v.Parameters, func(q Param) bool { return q.Name == g.Name }); i >= 0 {
			v.Parameters[i] = g
		} else {
			v.Parameters = append(v.Parameters, g)
		}
	}
	for _, a := range o.Artifacts {
		if a.GlobalName == "" {
			continue
		}
		v := edit()
		a.Name, a.GlobalName = a.GlobalName, ""
		if i := slices.IndexFunc(v.Artifacts, func(b spec.Artifact) bool { return b.Name == a.Name }); i >= 0 {
			v.Artifacts[i] = a
		} else {
			v.Artifacts = append(v.Artifacts, a)
		}
	}
}
