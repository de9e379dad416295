package tree

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// Changes tells in lines what happened to a run between two of its states: one for each
// node that went into another phase, and one for the run itself. before may be nil.
func Changes(before, after *spec.Workflow, now time.Time, ascii bool) []string {
	var known spec.Nodes
	var phase spec.WorkflowPhase
	if before != nil {
		known, phase = before.Status.Nodes, before.Status.Phase
	}
	loops := cutLoops(after)
	var changed []spec.NodeStatus
	for id, n := range after.Status.Nodes {
		// A step group says nothing that its steps do not, nor the root that the run does not, nor
		// items that come into view and go what their loop does not.
		if id != after.Name && n.Type != spec.NodeTypeStepGroup && known[id].Phase != n.Phase && !within(n.Name, loops) {
			changed = append(changed, n)
		}
	}
	slices.SortFunc(changed, func(a, b spec.NodeStatus) int {
		return cmp.Or(when(a).Compare(when(b)), cmp.Compare(len(b.Name), len(a.Name)), cmp.Compare(a.Name, b.Name))
	})
	stamp := now.Format(time.TimeOnly)
	var lines []string
	for _, n := range changed {
		line := fmt.Sprintf("%s %s %s %s", stamp, Mark(n.Phase, ascii), OneLine(nameOf(&n)), n.Phase)
		if n.Phase.Fulfilled() && !n.StartedAt.IsZero() && n.Type != spec.NodeTypeSkipped {
			line += " after " + Duration(n.StartedAt.Time, n.FinishedAt.Time, now)
		}
		if n.Message != "" {
			line += ": " + OneLine(n.Message)
		}
		lines = append(lines, line)
	}
	lines = append(lines, loopChanges(before, loops, stamp, ascii)...)
	if s := after.Status; s.Phase != phase {
		line := fmt.Sprintf("%s %s %s %s", stamp, Mark(spec.NodePhase(s.Phase), ascii), after.Name, s.Phase)
		if s.Progress != "" {
			line += " " + string(s.Progress)
		}
		if s.Message != "" {
			line += ": " + OneLine(s.Message)
		}
		lines = append(lines, line)
	}
	return lines
}

// within says that a name is that of an item of one of the loops, or of a node below it.
func within(name string, loops map[string]*workflow.Loop) bool {
	for i := 0; i < len(name) && len(loops) > 0; i++ {
		if name[i] == '(' && loops[name[:i]] != nil {
			return true
		}
	}
	return false
}

// loopChanges has a line for each loop that is not shown whole and got further by a hundredth.
func loopChanges(before *spec.Workflow, loops map[string]*workflow.Loop, stamp string, ascii bool) []string {
	var known map[string]*workflow.Loop
	if before != nil && len(loops) > 0 {
		known = cutLoops(before)
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(loops)) {
		l := loops[name]
		if k := known[name]; k != nil && k.Phase == l.Phase && 100*k.Ended()/k.Items == 100*l.Ended()/l.Items {
			continue
		}
		line := fmt.Sprintf("%s %s %s %d/%d done", stamp, Mark(l.Phase, ascii), OneLine(name), l.Ended(), l.Items)
		if bad := l.Failed + l.Errors; bad > 0 {
			line += fmt.Sprintf(", %d failed", bad)
		}
		lines = append(lines, line)
	}
	return lines
}

// when is the moment of the node's last change.
func when(n spec.NodeStatus) time.Time {
	if !n.FinishedAt.IsZero() {
		return n.FinishedAt.Time
	}
	return n.StartedAt.Time
}

func nameOf(n *spec.NodeStatus) string { return cmp.Or(n.DisplayName, n.Name) }
