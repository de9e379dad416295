package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"

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
