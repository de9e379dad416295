package worker

import (
	"context"
	"log/slog"

	"argosy/workflow"
)

// Decoration is what Decorate wires around an executor. A nil part is left out.
type Decoration struct {
	Metrics *Metrics
	Logs    LogSink
	// Store is set for an executor whose steps' files the worker can reach.
	Store ArtifactStore
	// Archive is where logs are kept that are to be archived; nil keeps none.
	Archive ArtifactStore
	// Deadlines is set for an executor that knows no deadlines of its own.
	Deadlines bool
}

// Decorate wires the concerns around an executor. From the outside in:
//
//	metrics   counts what came out, whatever happened
//	recover   a panic below is one step's Error and not the worker's end
//	logs      the step's output goes to the sink, complete when Execute returns
//	archive   keeps the output as an artifact, if that is asked for
//	deadline  ends the step as Failed when its time is up
//	staging   inputs before, outputs after, around the command and inside the deadline
//	base      runs the command
func Decorate(base Executor, d Decoration, log *slog.Logger) Executor {
	e := base
	if d.Store != nil {
		e = Staging(e, d.Store)
	}
	if d.Deadlines {
		e = Deadline(e)
	}
	if d.Archive != nil {
		e = ArchiveLogs(e, d.Archive)
	}
	if d.Logs != nil {
		e = Logs(e, d.Logs, log)
	}
	e = Recover(e, log)
	if d.Metrics != nil {
		e = Measure(e, d.Metrics)
	}
	return e
}

// ExecutorFunc is an Executor that is one function.
type ExecutorFunc func(ctx context.Context, s *Step) (workflow.Result, error)

// Execute calls f.
func (f ExecutorFunc) Execute(ctx context.Context, s *Step) (workflow.Result, error) {
	return f(ctx, s)
}
