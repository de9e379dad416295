package workflow

import (
	"cmp"
	"maps"
	"slices"

	"argosy/workflow/spec"
)

// Origin is the run that another was made from, which takes over what succeeded in it.
type Origin struct {
	ID   string `json:"id"`
	Name string `json:"n"`
	// Renewed says that the arguments are others: see Again.
	Renewed bool `json:"r,omitempty"`
}

// Copy is a chunked loop whose items' records are taken over.
type Copy struct {
	Loop  Key
	Count int
}

// reuse has a leaf skipped that succeeded in a run.
func (n *Node) reuse(from *Origin) {
	n.Type, n.Phase, n.Message, n.Reused = spec.NodeTypeSkipped, spec.NodeSkipped, "original pod: "+n.Key.ID(from.Name), true
}

// inherit begins a run with what became of its origin: as that would be taken up again, but that
// leaves which succeeded there are skipped here.
func (t *turn) inherit() {
	from := t.v.Run.From
	if t.v.From == nil {
		panic(&MissingError{From: true}) // recovered in Advance
	}
	if t.v.From[Root] == nil { // it was deleted
		t.open()
		return
	}
	s := &t.delta.State
	s.Phase = spec.WorkflowRunning
	s.Suspended = s.Suspended || t.v.Plan.Spec.Suspend != nil && *t.v.Plan.Spec.Suspend
	v := *t.v
	v.Nodes, v.Complete = make(map[Key]*Node, len(t.v.From)), true
	t.v = &v
	for _, k := range slices.Sorted(maps.Keys(v.From)) {
		n := v.From[k].copied()
		n.Key = k
		if count := n.leaves(); n.Loop != nil && n.Loop.Chunks != nil {
			c := n.Loop.Chunks // of what succeeded the last leaf is skipped
			c.Leaves, c.Reused = c.Leaves-(n.Loop.Succeeded-c.Reused), n.Loop.Succeeded
			s.count(n.Loop.leaves())
		} else if count.total > 0 && n.Phase == spec.NodeSucceeded {
			n.reuse(from)
		} else {
			s.count(count)
		}
		v.Nodes[k] = n
		t.put(n)
	}
	ended := slices.SortedFunc(maps.Values(v.Nodes), func(a, b *Node) int {
		return cmp.Or(cmp.Compare(a.Finished, b.Finished), cmp.Compare(a.Key, b.Key))
	})
	for _, n := range ended {
		if n.Outputs != nil && (n.Reused || n.Phase == spec.NodeSucceeded) {
			t.export(n.Outputs)
		}
	}
	s.Again = &Again{Renewed: from.Renewed}
	t.takeUp()
	for _, k := range slices.Sorted(maps.Keys(v.From)) {
		if l := v.From[k].Loop; l != nil && l.Chunks != nil && !slices.Contains(t.delta.Wipe, k) {
			t.delta.Copy = append(t.delta.Copy, Copy{Loop: k, Count: l.Count})
		}
	}
}
