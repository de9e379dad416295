package simulate

import (
	"argosy/workflow"
	"argosy/workflow/spec"
)

type nodeWatch struct {
	leaf  bool
	waits bool // for somebody, for a time, or for locks and then for room
	phase spec.NodePhase
	class string
	chunk *workflow.ChunkState
	locks []string // that it takes itself to have
	daemonWatch
}

// open says that the node is a leaf or a chunk that has not ended.
func (n nodeWatch) open() bool {
	return n.leaf && !n.waits && !n.serves && !workflow.Fulfilled(n.phase)
}

// node looks at a node's record.
func (v *watch) node(r *runWatch, state *workflow.State, k workflow.Key, data string) {
	n, err := workflow.DecodeNode(k, []byte(data))
	if err != nil {
		v.violated("commits can be read", "%v", err)
		return
	}
	if old := r.nodes[k]; r.again && workflow.Fulfilled(old.phase) && (n.Phase != old.phase || old.phase.FailedOrError()) {
		r.forget(k) // it runs again, and may end at once
	}
	old, existed := r.nodes[k]
	r.nodes[k] = nodeWatch{waits: n.Suspended(), leaf: n.Type == spec.NodeTypePod || n.Chunk != nil, phase: n.Phase, class: n.Class, chunk: n.Chunk, daemonWatch: ofDaemon(n)}
	v.keep(r, k, n)
	switch {
	case workflow.Fulfilled(old.phase) && n.Phase != old.phase:
		v.violated("what ended stays so", "%s was %s and is %s", nodeName(r.id, k), old.phase, n.Phase)
	case !existed || n.Type != spec.NodeTypePod || !n.Fulfilled() || workflow.Fulfilled(old.phase):
		return
	}
	if n.Memo != nil && n.Memo.Hit {
		v.recalled(r, n)
		return
	}
	closing := state.Ends(k)
	accepted, reported := r.accepted[k]
	if n.IsDaemon() {
		v.daemonEnds(r, state, n)
		return
	}
	switch {
	case reported && (accepted == n.Phase || (closing || n.Late) && accepted != spec.NodeSucceeded && n.Phase == spec.NodeFailed):
	case !reported && n.Class == "poison" && r.claims[k] >= 5:
	case !reported && (closing || n.Late) && n.Phase != spec.NodeSucceeded:
	default:
		v.violated("ends are what was reported", "%s ended as %s (class %q), and what was accepted is %q",
			nodeName(r.id, k), n.Phase, n.Class, accepted)
	}
}
