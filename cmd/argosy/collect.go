package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"argosy/queue"
	"argosy/worker"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// collector deletes the artifacts of runs whose artifactGC says so.
type collector struct {
	garbage *queue.Garbage
	runs    *queue.Runs
	store   *artifactStore
	log     *slog.Logger
}

const (
	collectEvery = 2 * time.Second
	collectAtOne = 20               // runs that are looked at in one go
	collectLease = time.Minute      // how long nobody else looks at them
	collectRetry = 30 * time.Second // after a failure
	collectAhead = time.Hour        // at the end of a process after which nobody looks: whatever their time
	collectItems = 1000             // items of a loop that are read at once
)

// part collects until the process ends. With last it does so once more at the end, for runs
// that nobody else could see then.
func (c *collector) part(last bool) part {
	return part{"artifact collector", func(take, work context.Context) error {
		tick := time.NewTicker(collectEvery)
		defer tick.Stop()
		for {
			select {
			case <-take.Done():
				if last {
					ctx, cancel := context.WithTimeout(work, 10*time.Second)
					defer cancel()
					c.step(ctx, collectAhead)
				}
				return nil
			case <-tick.C:
				c.step(take, 0)
			}
		}
	}}
}

// step looks at the runs whose time has come, or will within ahead.
func (c *collector) step(ctx context.Context, ahead time.Duration) {
	runs, err := c.garbage.Take(ctx, collectAtOne, collectLease, ahead)
	if err != nil && ctx.Err() == nil {
		c.log.Warn("artifacts are not deleted", "hop", "store", "err", err)
	}
	for run, deleted := range runs {
		if err := c.run(ctx, run, deleted); err != nil && ctx.Err() == nil {
			c.log.Warn("the artifacts of a run are not deleted yet", "hop", "store", "run", run, "err", err)
			if err := c.garbage.Later(ctx, run, collectRetry); err != nil {
				c.log.Warn("artifacts are not deleted", "hop", "store", "run", run, "err", err)
			}
		}
	}
}

// run deletes a run's artifacts if it has ended, and the run if that was asked for.
func (c *collector) run(ctx context.Context, id string, deleted bool) error {
	head, err := c.runs.Head(ctx, id)
	switch {
	case errors.Is(err, queue.ErrNotFound):
		return c.garbage.Done(ctx, id)
	case err != nil:
		return err
	case head.State.Finished == 0 && deleted: // its steps must not write what nobody deletes
		err := c.runs.Signal(ctx, id, workflow.Event{Kind: workflow.EventSignal, Signal: workflow.SignalTerminate})
		if err != nil && !errors.Is(err, queue.ErrFinished) {
			return err
		}
		return c.garbage.Later(ctx, id, collectEvery)
	case head.State.Finished == 0:
		age := time.Since(head.Run.Created.Time())
		return c.garbage.Later(ctx, id, min(max(age/4, collectEvery), time.Minute))
	}
	plan, err := c.plan(ctx, head.Digest)
	if err != nil {
		return err
	}
	by := []spec.ArtifactGCStrategy{spec.ArtifactGCOnWorkflowCompletion}
	if deleted {
		by = append(by, spec.ArtifactGCOnWorkflowDeletion)
	}
	n, err := c.collect(ctx, plan, head.Run, by)
	force := deleted && plan.Spec.ArtifactGC != nil && plan.Spec.ArtifactGC.ForceFinalizerRemoval
	if err != nil && !force {
		return err
	}
	if n > 0 || err != nil {
		c.log.Info("artifacts deleted", "hop", "store", "run", id, "artifacts", n, "err", err)
	}
	if deleted {
		if err := c.runs.Remove(ctx, id); err != nil && !errors.Is(err, queue.ErrNotFound) {
			return err
		}
	}
	return c.garbage.Done(ctx, id)
}

func (c *collector) plan(ctx context.Context, digest string) (*workflow.Plan, error) {
	data, err := c.runs.Spec(ctx, digest)
	if err != nil {
		return nil, err
	}
	var wf spec.Workflow
	if err := json.Unmarshal(data, &wf); err != nil {
		return nil, fmt.Errorf("decoding spec %s: %w", digest, err)
	}
	return workflow.Compile(&wf)
}

// collect deletes the artifacts of a run that one of the events deletes. One that fails does
// not keep the others.
func (c *collector) collect(ctx context.Context, plan *workflow.Plan, run *workflow.Run, by []spec.ArtifactGCStrategy) (int, error) {
	s, err := c.runs.Load(ctx, run.ID, math.MaxInt32)
	if err != nil {
		return 0, err
	}
	store := c.store.For(&worker.Step{Run: run, Repository: plan.Repository()}).(*artifactStore)
	n := 0
	var errs []error
	take := func(artifacts []spec.Artifact) {
		for i := range artifacts {
			if err := store.Delete(ctx, &artifacts[i]); err != nil {
				errs = append(errs, err)
			} else {
				n++
			}
		}
	}
	for key, node := range s.Nodes {
		if node.Loop == nil || node.Loop.Chunks == nil {
			take(plan.Garbage(node, by...))
			continue
		}
		for from := 0; from < node.Loop.Next; from += collectItems {
			to := min(from+collectItems, node.Loop.Next)
			packed, err := c.runs.Items(ctx, run.ID, key, from, to, nil)
			if err != nil {
				return n, err
			}
			found, err := plan.ItemGarbage(run, node, s.Nodes, packed, from, to, by...)
			if err != nil {
				return n, err
			}
			take(found)
		}
	}
	if len(errs) > 3 {
		errs = append(errs[:3:3], fmt.Errorf("and %d more", len(errs)-3))
	}
	return n, errors.Join(errs...)
}
