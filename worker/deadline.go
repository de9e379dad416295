package worker

import (
	"context"
	"errors"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// Deadline ends a step when its deadline passes, as Failed and in Argo's words.
func Deadline(next Executor) Executor {
	return ExecutorFunc(func(ctx context.Context, s *Step) (workflow.Result, error) {
		if s.Deadline.IsZero() {
			return next.Execute(ctx, s)
		}
		ctx, cancel := context.WithDeadlineCause(ctx, s.Deadline, ErrDeadline)
		defer cancel()
		r, err := next.Execute(ctx, s)
		if errors.Is(err, ErrDeadline) {
			r.Phase, r.Message = spec.NodeFailed, DeadlineMessage
			return r, nil
		}
		return r, err
	})
}
