package workflow

import "argosy/workflow/spec"

// resources sums what the leaves at or below a node had.
func (r *renderer) resources(n *Node) spec.ResourcesDuration {
	if len(r.v.State.Resources) == 0 {
		return nil
	}
	if sum, ok := r.sums[n.Key]; ok {
		return sum
	}
	sum := n.Resources
	for _, child := range r.children[n.Key] {
		sum = sum.Add(r.resources(child))
	}
	r.sums[n.Key] = sum
	return sum
}
