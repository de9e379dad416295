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

// sweepJobs removes the Jobs, warm ones among them, and the budgets that nobody needs any more.
func sweepJobs(e *kube.Executor, runs *queue.Runs, log *slog.Logger) part {
	return sweeper("jobs", sweepJobsEvery, "Jobs that nobody needs are left", log, func(ctx context.Context) error {
		stands := standing(runs)
		return errors.Join(e.SweepJobs(ctx, stands), e.SweepWarmPods(ctx, stands), e.SweepBudgets(ctx, stands))
	})
}

// standing says how runs stand by what Redis has of them.
func standing(runs *queue.Runs) kube.Stands {
	return func(ctx context.Context, run string, keys []workflow.Key) (kube.Standing, error) {
		head, err := runs.Head(ctx, run)
		switch {
		case errors.Is(err, queue.ErrNotFound):
			return kube.Standing{Gone: true}, nil
		case err != nil:
			return kube.Standing{}, err
		case head.State.Finished != 0:
			return kube.Standing{Phase: head.State.Phase, Finished: head.State.Finished.Time()}, nil
		case len(keys) == 0:
			return kube.Standing{}, nil
		}
		nodes, err := runs.Nodes(ctx, run, keys)
		if err != nil {
			return kube.Standing{}, err
		}
		// An item of a wide loop has no node: what its Job left stays until the run ends.
		ended := map[workflow.Key]bool{}
		for k, n := range nodes {
			ended[k] = n.Fulfilled()
		}
		return kube.Standing{Ended: ended}, nil
	}
}

// sweeper is a part that removes what was left, every now and then.
func sweeper(name string, every time.Duration, trouble string, log *slog.Logger, sweep func(context.Context) error) part {
	return part{name, func(take, _ context.Context) error {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-take.Done():
				return nil
			case <-tick.C:
			}
			if err := sweep(take); err != nil && take.Err() == nil {
				log.Warn(trouble, "hop", "store", "err", err)
			}
		}
	}}
}
