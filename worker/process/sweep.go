package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"argosy/workflow/spec"
)

// alwaysSwept marks a run whose claims go when it has ended, however it did; those of others
// are kept until it succeeded or was deleted.
const alwaysSwept = ".on-completion"

// SweepVolumes removes the claims of runs that need them no more. phase is how a run ended, ""
// if it goes on; gone says that it is not there. While there are no claims nothing is asked.
func (e *Executor) SweepVolumes(ctx context.Context, phase func(ctx context.Context, run string) (p spec.WorkflowPhase, gone bool, err error)) error {
	if e.volumes == "" {
		return nil
	}
	at := filepath.Join(e.volumes, runsDir)
	runs, err := os.ReadDir(at)
	if err != nil {
		return fmt.Errorf("looking for claims: %w", err)
	}
	for _, run := range runs {
		dir := filepath.Join(at, run.Name())
		p, gone, err := phase(ctx, run.Name())
		if err != nil {
			return fmt.Errorf("looking at run %s, which has claims: %w", run.Name(), err)
		}
		_, err = os.Stat(filepath.Join(dir, alwaysSwept))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("looking for claims: %w", err)
		}
		always := err == nil
		if gone || p == spec.WorkflowSucceeded || always && p != "" {
			if err := os.RemoveAll(dir); err != nil {
				return fmt.Errorf("removing the claims of run %s: %w", run.Name(), err)
			}
		}
	}
	return nil
}
