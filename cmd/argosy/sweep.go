package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"argosy/queue"
	"argosy/worker/kube"
	"argosy/worker/kube/resource"
	"argosy/workflow"
	"argosy/workflow/spec"
)

const (
	sweepJobsEvery = 15 * time.Second
	sweepEvery     = 30 * time.Second // what is kept for runs that have ended
	lastSweep      = 10 * time.Second // the time that it may take
)

// sweepers make the parts that remove what was left for runs, every now and then.
type sweepers struct {
	runs  *queue.Runs
	alone bool // runs end with this process
	log   *slog.Logger
}

// jobs removes the Jobs, warm ones among them, that nobody needs any more. Ended ones go by
// themselves, too, so that those of a process that ends can be looked at for a while.
func (s *sweepers) jobs(e *kube.Executor) part {
	return s.part("jobs", sweepJobsEvery, "Jobs that nobody needs are left", false, func(ctx context.Context, stands kube.Stands) error {
		return errors.Join(e.SweepJobs(ctx, stands), e.SweepWarmPods(ctx, stands))
	})
}

// budgets removes the podDisruptionBudgets of runs that have ended.
func (s *sweepers) budgets(e *kube.Executor) part {
	return s.part("budgets", sweepJobsEvery, "podDisruptionBudgets of runs that have ended are left", s.alone, e.SweepBudgets)
}

// volumes removes the claims of runs that have ended.
func (s *sweepers) volumes(e claimSweeper) part {
	return s.part("volumes", sweepEvery, "volumes of runs that have ended are left", s.alone, func(ctx context.Context, stands kube.Stands) error {
		return e.SweepVolumes(ctx, func(ctx context.Context, run string) (spec.WorkflowPhase, bool, error) {
			s, err := stands(ctx, run, nil)
			return s.Phase, s.Gone, err
		})
	})
}

// anchors lets what runs own in the cluster go when the runs do.
func (s *sweepers) anchors(c *resource.Cluster, namespace string) part {
	return s.part("owned objects", sweepEvery, "objects of runs that are gone are left", s.alone, func(ctx context.Context, stands kube.Stands) error {
		return c.Sweep(ctx, namespace, func(ctx context.Context, run string) (bool, error) {
			s, err := stands(ctx, run, nil)
			return s.Gone, err
		})
	})
}

// owned deletes the workflows that workflows which are gone made and owned.
func (s *sweepers) owned(k keeper) part {
	return s.part("owned workflows", sweepEvery, "workflows of workflows that are gone are left", false, k.sweep)
}

// part sweeps every now and then. The last look is for a process whose runs end with it: nobody
// comes after it who could.
func (s *sweepers) part(of string, every time.Duration, trouble string, last bool, sweep func(context.Context, kube.Stands) error) part {
	look := func(ctx context.Context, stands kube.Stands) {
		if err := sweep(ctx, stands); err != nil && ctx.Err() == nil {
			s.log.Warn(trouble, "hop", "store", "err", err)
		}
	}
	return part{"sweeper of " + of, func(take, work context.Context) error {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-take.Done():
				if last {
					ctx, cancel := context.WithTimeout(work, lastSweep)
					defer cancel()
					look(ctx, allGone)
				}
				return nil
			case <-tick.C:
				look(take, standing(s.runs))
			}
		}
	}}
}

// allGone says so of every run.
func allGone(context.Context, string, []workflow.Key) (kube.Standing, error) {
	return kube.Standing{Gone: true}, nil
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
