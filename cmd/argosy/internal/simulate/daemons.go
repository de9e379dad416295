package simulate

import (
	"argosy/workflow"
	"argosy/workflow/spec"
)

// daemonWatch is what is known of a node about daemons.
type daemonWatch struct {
	daemon bool // it is one
	serves bool // it is ready, and has not ended
	scope  bool // it may have some
}

func ofDaemon(n *workflow.Node) daemonWatch {
	return daemonWatch{
		daemon: n.IsDaemon(), serves: n.IsDaemon() && n.Type == spec.NodeTypePod && n.Daemon.Ready && !n.Fulfilled(),
		scope: n.Type == spec.NodeTypeSteps || n.Type == spec.NodeTypeDAG,
	}
}

// serving is the scope that a daemon's life ends with; false: none.
func (r *runWatch) serving(k workflow.Key) (scope workflow.Key, ok bool) {
	for {
		own := k
		if k, ok = k.Parent(); !ok {
			return "", false
		}
		if hook := len(own) > len(k)+1 && own[len(k)+1] == '!'; r.nodes[k].scope && !hook {
			return k, true
		}
	}
}

// daemons looks for such that have outlived their scope, or ended as only that ends them.
func (v *watch) daemons(r *runWatch, state *workflow.State) {
	for _, k := range sorted(r.nodes) {
		n := r.nodes[k]
		if !n.serves && (!n.daemon || !n.leaf || n.phase != spec.NodeSucceeded) {
			continue
		}
		scope, ok := r.serving(k)
		switch over := !ok || workflow.Fulfilled(r.nodes[scope].phase); {
		case n.serves && over:
			v.violated("a daemon's life ends with its scope", "%s still serves", nodeName(r.id, k))
		case !n.serves && !over && !state.Ends(k):
			v.violated("a daemon's life ends with its scope", "%s was ended before", nodeName(r.id, k))
		}
	}
}

// daemonEnds holds how a daemon ended against what was reported of it, if anything was.
func (v *watch) daemonEnds(r *runWatch, state *workflow.State, n *workflow.Node) {
	accepted, reported := r.accepted[n.Key]
	if n.Phase == spec.NodeSucceeded || reported || state.Ends(n.Key) || n.Class == "poison" && r.claims[n.Key] >= 5 {
		return
	}
	v.violated("ends are what was reported", "daemon %s ended as %s (class %q), and what was accepted is %q", nodeName(r.id, n.Key), n.Phase, n.Class, accepted)
}
