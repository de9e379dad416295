package worker

import (
	"context"
	"fmt"
	"time"

	"argosy/workflow"
)

// Finder looks leaves up without claiming them.
type Finder interface {
	// Find returns what a claim of the leaf would give. It returns ErrSuperseded for a run
	// or leaf that is not there.
	Find(ctx context.Context, run string, key workflow.Key) (*Claimed, error)
}

// Resolver makes GatewayConfig.Resolve: how a gateway serves the pods of steps that another
// worker started, be it that the worker died or that all share one address. The fence says
// whether a step's delivery still counts (kube.Executor.Current).
func Resolver(f Finder, specs SpecSource, fence func(context.Context, *Step) error) func(context.Context, Grant) (*Step, error) {
	plans := newPlans(specs, 64)
	return func(ctx context.Context, g Grant) (*Step, error) {
		c, err := f.Find(ctx, g.Run, g.Key)
		if err != nil {
			return nil, fmt.Errorf("looking up the leaf: %w", err)
		}
		if c.Node.Fulfilled() {
			return nil, fmt.Errorf("the leaf has ended: %w", ErrSuperseded)
		}
		plan, err := plans.get(ctx, c.Digest)
		if err != nil {
			return nil, err
		}
		s, err := newStep(plan, c.Run, c.Node, g.Delivery, time.Now())
		if err != nil {
			return nil, err
		}
		if err := fence(ctx, s); err != nil {
			return nil, err
		}
		return s, nil
	}
}
