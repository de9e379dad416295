package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"argosy/queue"
	"argosy/worker/kube"
	"argosy/workflow"
)

const sweepJobsEvery = 15 * time.Second

// sweepJobs removes the Jobs that nobody needs any more.
func sweepJobs(e *kube.Executor, runs *queue.Runs, log *slog.Logger) part {
	standing := func(ctx context.Context, run string, key workflow.Key) (kube.Standing, error) {
		head, err := runs.Head(ctx, run)
		switch {
		case errors.Is(err, queue.ErrNotFound):
			return kube.Standing{Gone: true}, nil
		case err != nil:
			return kube.Standing{}, err
		case head.State.Finished != 0:
			return kube.Standing{Phase: head.State.Phase, Finished: head.State.Finished.Time(), Ended: true}, nil
		}
		nodes, err := runs.Nodes(ctx, run, []workflow.Key{key})
		if err != nil {
			return kube.Standing{}, err
		}
		// An item of a wide loop has no node: what its Job left stays until the run ends.
		return kube.Standing{Ended: nodes[key].Fulfilled()}, nil
	}
	return part{"jobs", func(take, _ context.Context) error {
		tick := time.NewTicker(sweepJobsEvery)
		defer tick.Stop()
		for {
			select {
			case <-take.Done():
				return nil
			case <-tick.C:
			}
			if err := errors.Join(e.SweepJobs(take, standing), e.SweepBudgets(take, standing)); err != nil && take.Err() == nil {
				log.Warn("Jobs that nobody needs are left", "hop", "execute", "err", err)
			}
		}
	}}
}
