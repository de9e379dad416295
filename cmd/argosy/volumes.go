package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"argosy/queue"
	"argosy/worker/kube"
	"argosy/workflow/spec"
)

// findVolumes chooses the directory for volumes unless one was named. Where there is none to be
// had, only steps that need it fail.
func (f *processFlags) findVolumes(log *slog.Logger) {
	if f.volumes != "" {
		return
	}
	data, err := dataDir()
	dir := filepath.Join(data, "volumes")
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		log.Warn("there is no directory for volumes; --volumes names one", "err", err)
		return
	}
	f.volumes = dir
}

// claimSweeper is an executor that keeps claims for runs.
type claimSweeper interface {
	SweepVolumes(ctx context.Context, phase func(ctx context.Context, run string) (p spec.WorkflowPhase, gone bool, err error)) error
}

// sweepEvery is how often what is kept for runs that have ended is looked for.
const sweepEvery = 30 * time.Second

// sweepVolumes removes the claims of runs that have ended.
func sweepVolumes(e claimSweeper, runs *queue.Runs, log *slog.Logger) part {
	return sweep("volumes", "volumes of runs that have ended are left", e.SweepVolumes, runs, log)
}

// sweepWarmPods removes the warm pods of runs that have ended.
func sweepWarmPods(e *kube.Executor, runs *queue.Runs, log *slog.Logger) part {
	return sweep("warm pods", "warm pods of runs that have ended are left", e.SweepWarmPods, runs, log)
}

func sweep(name, trouble string, once func(context.Context, func(context.Context, string) (spec.WorkflowPhase, bool, error)) error, runs *queue.Runs, log *slog.Logger) part {
	phase := func(ctx context.Context, run string) (spec.WorkflowPhase, bool, error) {
		head, err := runs.Head(ctx, run)
		switch {
		case errors.Is(err, queue.ErrNotFound):
			return "", true, nil
		case err != nil:
			return "", false, err
		case head.State.Finished == 0:
			return "", false, nil
		}
		return head.State.Phase, false, nil
	}
	return part{name, func(take, _ context.Context) error {
		tick := time.NewTicker(sweepEvery)
		defer tick.Stop()
		for {
			select {
			case <-take.Done():
				return nil
			case <-tick.C:
			}
			if err := once(take, phase); err != nil && take.Err() == nil {
				log.Warn(trouble, "hop", "store", "err", err)
			}
		}
	}}
}
