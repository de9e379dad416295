package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"argosy/queue"
	"argosy/worker/process"
	"argosy/workflow/spec"
)

// findVolumes chooses the directory for volumes unless one was named.
func (f *processFlags) findVolumes() error {
	if f.volumes != "" {
		return nil
	}
	data, err := dataDir()
	if err != nil {
		return err
	}
	f.volumes = filepath.Join(data, "volumes")
	return nil
}

const sweepVolumesEvery = 30 * time.Second

// sweepVolumes removes the claims of runs that have ended.
func sweepVolumes(e *process.Executor, runs *queue.Runs, log *slog.Logger) part {
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
	return part{"volumes", func(take, _ context.Context) error {
		tick := time.NewTicker(sweepVolumesEvery)
		defer tick.Stop()
		for {
			select {
			case <-take.Done():
				return nil
			case <-tick.C:
			}
			if err := e.SweepVolumes(take, phase); err != nil && take.Err() == nil {
				log.Warn("volumes of runs that have ended are left", "hop", "store", "err", err)
			}
		}
	}}
}
