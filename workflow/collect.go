package workflow

import (
	"fmt"
	"slices"

	"argosy/workflow/spec"
)

// collection is the event that an artifact is deleted by.
func (p *Plan) collection(a *spec.Artifact) spec.ArtifactGCStrategy {
	if a.ArtifactGC != nil && a.ArtifactGC.Strategy != spec.ArtifactGCStrategyUndefined {
		return a.ArtifactGC.Strategy
	}
	if gc := p.Spec.ArtifactGC; gc != nil && gc.Strategy != spec.ArtifactGCStrategyUndefined {
		return gc.Strategy
	}
	return spec.ArtifactGCNever
}

// Collects says that artifacts of the plan's runs may be deleted by an event.
func (p *Plan) Collects(by spec.ArtifactGCStrategy) bool {
	if gc := p.Spec.ArtifactGC; gc != nil && gc.Strategy == by {
		return true
	}
	for _, t := range p.templates {
		if slices.ContainsFunc(t.Outputs.Artifacts, func(a spec.Artifact) bool { return p.collection(&a) == by }) {
			return true
		}
	}
	return false
}

// Garbage are the artifacts that a node wrote and one of the events deletes.
func (p *Plan) Garbage(n *Node, by ...spec.ArtifactGCStrategy) []spec.Artifact {
	if n == nil || n.Outputs == nil || !leaf(n.Type) {
		return nil // what a scope has are those of its leaves
	}
	var out []spec.Artifact
	for i := range n.Outputs.Artifacts {
		if a := &n.Outputs.Artifacts[i]; slices.Contains(by, p.collection(a)) {
			out = append(out, *a)
		}
	}
	return out
}

// ItemGarbage is Garbage for the items of a chunked loop that a Packed holds, from one on; needs
// has the records that ItemNeeds names.
func (p *Plan) ItemGarbage(run *Run, loop *Node, needs map[Key]*Node, packed *Packed, from, to int, by ...spec.ArtifactGCStrategy) ([]spec.Artifact, error) {
	items, err := p.Items(run, loop, needs)
	if err != nil {
		return nil, err
	}
	var out []spec.Artifact
	for i := from; i < to; i++ {
		if !packed.HasExtra(i) {
			continue
		}
		nodes, err := items.Nodes(packed, i)
		if err != nil {
			return nil, fmt.Errorf("looking for the artifacts of an item: %w", err)
		}
		for _, n := range nodes {
			out = append(out, p.Garbage(n, by...)...)
		}
	}
	return out, nil
}
