package join

import (
	"argosy/coordinator"
	"argosy/tracing"
	"argosy/worker"
	"argosy/workflow"
)

// Traces lets traces be told of turns and of steps.
type Traces struct{ *tracing.Tracing }

// Committed is part of coordinator.Observer.
func (t Traces) Committed(c *coordinator.Change) { t.Tracing.Committed((*tracing.Change)(c)) }

// Span is part of worker.Tracer. The kinds of both sides are in the same order.
func (t Traces) Span(s *worker.Span) {
	t.Piece(&tracing.Piece{
		Run: s.Run, Key: s.Key, Delivery: s.Delivery, Kind: tracing.Kind(s.Kind), From: s.From, To: s.To, Failure: s.Failure,
		Template: s.Template, Worker: s.Worker, Items: s.Items,
		Name: s.Artifact.Name, Path: s.Artifact.Path, Object: s.Artifact.Object,
	})
}

// Parent is part of worker.Tracer.
func (t Traces) Parent(run *workflow.Run, key workflow.Key, delivery int) map[string]string {
	return t.Environment(run, key, delivery)
}
