package worker

import (
	"context"
	"fmt"
	"time"

	"argosy/workflow"
)

// Finder looks leaves up without claiming them.
type Finder interface {
	// Find returns what a claim of the leaf would give, without a node if there is none. A leaf
	// of a chunked loop's item has no node, and comes with what opening the item takes. It
	// returns ErrSuperseded for a run that is not there.
	Find(ctx context.Context, run string, key workflow.Key) (*Claimed, *Chunk, error)
}

// Resolver makes GatewayConfig.Resolve: how a gateway serves the pods of steps that another
// worker started, be it that the worker died or that all share one address. The fence says
// whether a step's delivery still counts (kube.Executor.Current).
func Resolver(f Finder, specs SpecSource, tracer Tracer, fence func(context.Context, *Step) error) func(context.Context, Grant) (*Step, error) {
	plans := newPlans(specs, 64)
	return func(ctx context.Context, g Grant) (*Step, error) {
		c, chunk, err := f.Find(ctx, g.Run, g.Key)
		if err != nil {
			return nil, fmt.Errorf("looking up the leaf: %w", err)
		}
		plan, err := plans.get(ctx, c.Digest)
		if err != nil {
			return nil, err
		}
		n := c.Node
		if n == nil && chunk != nil {
			if n, err = chunk.leaf(plan, c.Run, g.Key); err != nil {
				return nil, err
			}
		}
		if n == nil || n.Fulfilled() {
			return nil, fmt.Errorf("the leaf does not run: %w", ErrSuperseded)
		}
		s, err := newStep(plan, c.Run, n, g.Delivery, time.Now())
		if err != nil {
			return nil, err
		}
		if err := fence(ctx, s); err != nil {
			return nil, err
		}
		if tracer != nil && c.Node != nil { // and it is not of an item, of which there may be a million
			s.traced(tracer, time.Now())
		}
		return s, nil
	}
}

// leaf opens a leaf of an item as the worker of its chunk does; nil: it is not under way.
func (c *Chunk) leaf(plan *workflow.Plan, run *workflow.Run, key workflow.Key) (*workflow.Node, error) {
	_, i, _ := workflow.ItemOf(key)
	if l := c.Loop.Loop; c.Loop.Fulfilled() || i < 0 || i >= l.Next || l.Waits(i) || c.Recorded.Has(i) {
		return nil, nil
	}
	items, err := plan.Items(run, c.Loop, c.Needs)
	if err != nil {
		return nil, err
	}
	return items.Leaf(i, key), nil
}
