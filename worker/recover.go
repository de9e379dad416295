package worker

import (
	"context"
	"log/slog"
	"runtime/debug"

	"argosy/workflow"
)

// Recover turns a panic into the step's Error.
func Recover(next Executor, log *slog.Logger) Executor {
	return ExecutorFunc(func(ctx context.Context, s *Step) (r workflow.Result, err error) {
		defer func() {
			if p := recover(); p != nil {
				log.Error("executor panicked", "hop", "execute", "run", s.Run.ID, "node", string(s.Key),
					"panic", p, "stack", string(debug.Stack()))
				r, err = workflow.Result{}, Faultf(ClassPanic, "the executor panicked: %v", p)
			}
		}()
		return next.Execute(ctx, s)
	})
}
