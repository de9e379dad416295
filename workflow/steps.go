package workflow

import (
	"fmt"

	"argosy/workflow/spec"
)

// StepsState is what a Steps node keeps of its children: groups run one after another, the
// members of a group together.
type StepsState struct {
	Group   int `json:"g,omitempty"` // the group that runs
	Running int `json:"r,omitempty"` // its members that have not ended
	// Failed is the id of its first member, in the spec's order, that failed and is not
	// tolerated; First is that member's position.
	Failed string `json:"f,omitempty"`
	First  int    `json:"i,omitempty"`
	// Why is what the group says where that member never ran, or its template was given up.
	Why string `json:"w,omitempty"`
	// Cut says that not all of the group was run, as the run is ending.
	Cut bool `json:"x,omitempty"`
}

func (t *turn) startSteps(n *Node, tmpl *template) {
	n.Phase, n.Steps, n.Limit = spec.NodeRunning, &StepsState{Group: -1}, tmpl.limit()
	t.put(n)
	t.nextGroup(n, tmpl)
}

// nextGroup starts the first group after the current one that has members, or ends the node.
// A run that is ending starts none.
func (t *turn) nextGroup(n *Node, tmpl *template) {
	for {
		n.Steps.Group++
		if n.Steps.Group >= len(tmpl.Steps) {
			t.finishScope(n, tmpl)
			return
		}
		if len(tmpl.Steps[n.Steps.Group].Steps) > 0 {
			break
		}
	}
	if t.closing(n.Key) {
		t.finish(n, spec.NodeFailed, t.closingMessage())
		return
	}
	group := tmpl.Steps[n.Steps.Group].Steps
	n.Steps.Running = len(group) // before the first starts: it may end at once
	g := n.Steps.Group
	for i := range group {
		t.launch(n.Key.Step(g, group[i].Name))
	}
}

// stepEnded takes note of a member's end.
func (t *turn) stepEnded(n *Node, child *Node) {
	s := n.Steps
	s.Running--
	if bad, why := t.badChild(child); bad != "" {
		if _, i, _ := t.v.Plan.templates[n.Template].step(child.Key.Segment()); s.Failed == "" || i < s.First {
			s.Failed, s.First, s.Why = bad, i, why
		}
	}
	s.Cut = s.Cut || child.Loop.cut()
	t.settleSteps(n)
}

// badChild returns the id of the failure that a child brings into its scope, "" for none, and
// its refusal. A loop stands for its items: each of them is tolerated or not.
func (t *turn) badChild(child *Node) (id, why string) {
	if child.Type == spec.NodeTypeTaskGroup && child.Loop != nil {
		return child.Loop.Failed, child.Loop.Why
	}
	if run := t.v.Run.Name; child.Failed() && !t.site(child.Key).tolerates(child.Phase) {
		return child.Key.ID(run), child.refusal(run)
	}
	return "", ""
}

// failure is how the group ends with its member that failed.
func (s *StepsState) failure() (spec.NodePhase, string) {
	if s.Why != "" {
		return spec.NodeError, s.Why
	}
	return spec.NodeFailed, fmt.Sprintf("child '%s' failed", s.Failed)
}

// settleSteps goes on when the group has ended.
func (t *turn) settleSteps(n *Node) {
	if n.Steps.Running > 0 {
		return
	}
	switch {
	case n.Limit != nil && n.Limit.Bad:
		t.finish(n, spec.NodeFailed, failFastMessage)
	case n.Steps.Failed != "":
		_, message := n.Steps.failure()
		t.finish(n, spec.NodeFailed, message)
	case n.Steps.Cut:
		t.finish(n, spec.NodeFailed, t.closingMessage())
	default:
		t.nextGroup(n, t.v.Plan.templates[n.Template])
	}
}

// finishScope ends a Steps or DAG node whose children all succeeded: its outputs are
// resolved from theirs.
func (t *turn) finishScope(n *Node, tmpl *template) {
	outputs, err := t.scopeOutputs(n, tmpl)
	if err != nil {
		t.refuse(n, err)
		return
	}
	n.Outputs = outputs
	t.finish(n, spec.NodeSucceeded, "")
}
