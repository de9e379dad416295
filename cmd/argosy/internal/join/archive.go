package join

import (
	"context"
	"errors"

	"argosy/queue"
	"argosy/workflow"
)

// Archive archives a run, if that is to be: its file, then its row, then the run knows. Each replaces
// what an earlier try has left, so that it may end anywhere. write writes the file as queue.Archive's
// Dump gives it, and labels are those that the row is found by.
func Archive(ctx context.Context, a *queue.Archive, id string,
	write func(ctx context.Context) (*queue.Dumped, error), labels func(*workflow.Run, *workflow.State) map[string]string,
) error {
	d, err := write(ctx)
	if errors.Is(err, queue.ErrNotFound) {
		return a.Dismiss(ctx, id)
	}
	if err != nil {
		return err
	}
	kept := d.State
	kept.Archiving = workflow.ArchivingPersisted
	keep := func() error { return a.Keep(ctx, d.Snapshot, labels(d.Run, &kept)) }
	switch d.State.Archiving {
	case workflow.ArchivingPending:
		if err := keep(); err != nil {
			return err
		}
		if err := a.Archived(ctx, d); errors.Is(err, queue.ErrConflict) {
			break // it was taken up again
		} else if err != nil {
			return err
		}
		// Redis may have lost the row before it was told that there is one.
		if _, err = a.Row(ctx, d.Run.Namespace, id); errors.Is(err, queue.ErrNotFound) {
			err = keep()
		}
	case workflow.ArchivingArchived: // by another, or before a crash that may have lost the row
		err = keep()
	}
	if err != nil {
		return err
	}
	return a.Dismiss(ctx, id)
}
