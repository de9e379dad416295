// Package noop is an executor that runs nothing. It goes through the whole interface, so that
// what remains is the cost of the engine itself.
package noop

import (
	"context"
	"fmt"

	"argosy/worker"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// Executor ends every step at once as Succeeded. Output parameters have their defaults, or
// are empty; there are no artifacts.
type Executor struct{}

// Execute implements worker.Executor.
func (Executor) Execute(ctx context.Context, s *worker.Step) (workflow.Result, error) {
	if ctx.Err() != nil {
		return workflow.Result{}, fmt.Errorf("ending the step: %w", context.Cause(ctx))
	}
	if s.Ready != nil { // a daemon does nothing until it is ended
		s.Ready(ctx, workflow.Ready{Address: "127.0.0.1"})
		<-ctx.Done()
		return workflow.Result{}, fmt.Errorf("ending the step: %w", context.Cause(ctx))
	}
	r := workflow.Result{Phase: spec.NodeSucceeded}
	if len(s.Template.Outputs.Parameters) == 0 && !s.CaptureResult {
		return r, nil
	}
	r.Outputs = &workflow.Values{}
	if s.CaptureResult {
		r.Outputs.Result = new(string)
	}
	for i := range s.Template.Outputs.Parameters {
		p := &s.Template.Outputs.Parameters[i]
		out := workflow.Param{Name: p.Name, Global: p.GlobalName}
		if p.ValueFrom != nil && p.ValueFrom.Default != nil {
			out.Value = p.ValueFrom.Default.String()
		}
		r.Outputs.Parameters = append(r.Outputs.Parameters, out)
	}
	return r, nil
}
