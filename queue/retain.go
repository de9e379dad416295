package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// Retain counts a run that has ended among those that ended in its phase, and deletes the
// oldest of them beyond so many. A run is known to it from then on, and is not before. To
// repeat it is safe.
func (r *Runs) Retain(ctx context.Context, id string, phase spec.WorkflowPhase, finished workflow.Millis, keep int) error {
	kept := keptKey(phase)
	v, err := r.conn.run(ctx, r.conn.scripts.retain, []string{kept}, id, int64(finished), keep)
	if err != nil {
		return fmt.Errorf("counting the runs that are %s: %w", phase, err)
	}
	for _, old := range asList(v) {
		head, err := r.Head(ctx, asString(old))
		if err == nil && head.State.Finished != 0 { // else it was taken up again
			_, err = r.deleteEnded(ctx, asString(old), strconv.FormatInt(head.Version, 10))
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("deleting a run beyond the %d that are kept: %w", keep, err)
		}
		// Last: what was only half deleted is found again.
		if err := r.conn.client.ZRem(ctx, kept, asString(old)).Err(); err != nil {
			return fmt.Errorf("forgetting run %s: %w", asString(old), err)
		}
		r.conn.log.Debug("a run was deleted, since enough others are kept", "run", asString(old), "phase", phase)
	}
	return nil
}
