package tracing

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// Annotations of a workflow that say which trace it is part of, and below which span.
const (
	AnnotationParent = "opentelemetry.io/traceparent"
	AnnotationState  = "opentelemetry.io/tracestate"
)

// MaxItems is how many items of a loop have spans of their own, of a loop that is not chunked.
const MaxItems = 1000

// Change is what a turn changed of a run.
type Change struct {
	Run        *workflow.Run
	Was, State *workflow.State
	Nodes      []*workflow.Node
	Before     map[workflow.Key]*workflow.Node
	Now        workflow.Millis
}

// of is a context in which spans are below the one of a run's life. That one is begun here and never
// ended, to hear from the sampler what becomes of the trace.
func (t *Tracing) of(run *workflow.Run, life int) context.Context {
	ctx, _ := t.tracer.Start(parentOf(run, life), "workflow", trace.WithSpanKind(trace.SpanKindInternal))
	return ctx
}

// parentOf is what the span of a run's life is made in.
func parentOf(run *workflow.Run, life int) context.Context {
	ctx := context.Background()
	if parent := run.Annotations[AnnotationParent]; parent != "" {
		ctx = w3c.Extract(ctx, propagation.MapCarrier{"traceparent": parent, "tracestate": run.Annotations[AnnotationState]})
	}
	return withIDs(ctx, traceID(run.ID), workflowID(run.ID, life))
}

// Committed makes the spans of what has ended.
func (t *Tracing) Committed(c *Change) {
	var ctx context.Context
	for _, n := range c.Nodes {
		if !ended(n, c.Before[n.Key]) || n.Key.Beyond(MaxItems) {
			continue
		}
		if ctx == nil {
			ctx = t.of(c.Run, c.State.Lives)
		}
		t.node(ctx, c, n, c.Before[n.Key])
	}
	if c.State.Finished != 0 && c.Was.Finished == 0 {
		t.workflow(c)
	}
}

// ended says that a record is a node's that has ended since it was as it was.
func ended(n, was *workflow.Node) bool {
	return n.Type != "" && n.Fulfilled() && (!was.Fulfilled() || was.Finished != n.Finished)
}

// workflow makes the spans of a run, which has ended.
func (t *Tracing) workflow(c *Change) {
	r, s := c.Run, c.State
	from := s.Started
	if s.Lives == 0 && r.Created != 0 {
		from = min(r.Created, s.Started)
	}
	ctx := t.of(r, s.Lives)
	for phase, between := range map[spec.WorkflowPhase][2]workflow.Millis{
		spec.WorkflowPending: {from, s.Started}, spec.WorkflowRunning: {s.Started, s.Finished},
	} {
		if between[0] >= between[1] {
			continue
		}
		t.put(ctx, span{
			id: spanID(r.ID, "workflowPhase", workflowID(r.ID, s.Lives).String(), string(phase)), name: "workflowPhase", kind: trace.SpanKindInternal,
			from: between[0].Time(), to: between[1].Time(), attrs: []attribute.KeyValue{attribute.String("phase", string(phase))},
		})
	}
	_, made := t.tracer.Start(parentOf(r, s.Lives), "workflow", trace.WithTimestamp(from.Time()), trace.WithSpanKind(trace.SpanKindInternal),
		trace.WithAttributes(
			attribute.String("name", r.Name), attribute.String("namespace", r.Namespace),
			attribute.String("workflow_uid", r.ID), attribute.String("phase", string(s.Phase))))
	if s.Message != "" {
		made.SetAttributes(attribute.String("message", s.Message))
	}
	made.SetStatus(outcome(string(s.Phase)))
	made.End(trace.WithTimestamp(s.Finished.Time()))
}

// node makes the spans of a node, which has ended.
func (t *Tracing) node(ctx context.Context, c *Change, n, was *workflow.Node) {
	r, id := c.Run, n.Key.ID(c.Run.Name)
	from := n.Started
	if was != nil && was.Started != 0 && was.Started < from {
		from = was.Started // the worker's time is when it began to run
	}
	attrs := []attribute.KeyValue{
		attribute.String("node_id", id), attribute.String("node_name", n.Key.Name(r.Name)), attribute.String("name", r.Name),
		attribute.String("namespace", r.Namespace), attribute.String("node_type", string(n.Type)), attribute.String("node_phase", string(n.Phase)),
	}
	for key, value := range map[string]string{"template": n.Template, "message": n.Message, "host": n.Host, "class": n.Class} {
		if value != "" {
			attrs = append(attrs, attribute.String(key, value))
		}
	}
	if n.Retry != nil {
		attrs = append(attrs, attribute.Int("attempts", n.Retry.Attempts))
	}
	if n.Loop != nil {
		counts := n.Loop.Counts()
		attrs = append(attrs, attribute.Int("items", counts.Items), attribute.Int("succeeded", counts.Succeeded),
			attribute.Int("failed", counts.Failed), attribute.Int("errors", counts.Errors))
	}
	own := nodeID(r.ID, n.Key, c.State.Lives)
	ok, failure := n.Phase == spec.NodeSucceeded, ""
	if n.Failed() {
		failure = string(n.Phase)
	}
	t.put(ctx, span{
		id: own, name: "node", kind: trace.SpanKindProducer, from: from.Time(), to: n.Finished.Time(), ok: ok, failure: failure, attrs: attrs,
	})
	if n.Steps != nil || n.DAG != nil || n.Loop != nil || n.Retry != nil {
		return // they run from their beginning on
	}
	below := under(ctx, own)
	for phase, between := range map[spec.NodePhase][2]workflow.Millis{
		spec.NodePending: {from, n.Started}, spec.NodeRunning: {n.Started, n.Finished},
	} {
		if between[0] < between[1] {
			t.put(below, span{
				id: spanID(r.ID, "nodePhase", own.String(), string(phase)), name: "nodePhase", kind: trace.SpanKindInternal,
				from: between[0].Time(), to: between[1].Time(),
				attrs: []attribute.KeyValue{attribute.String("node_id", id), attribute.String("node_phase", string(phase))},
			})
		}
	}
}

// outcome is the status of what ended in a phase, in Argo's words.
func outcome(phase string) (codes.Code, string) {
	if phase == string(spec.WorkflowSucceeded) {
		return codes.Ok, ""
	}
	return codes.Error, phase
}

// status is that of a span; unset is what neither succeeded nor failed.
func status(ok bool, failure string) (codes.Code, string) {
	switch {
	case failure != "":
		return codes.Error, failure
	case ok:
		return codes.Ok, ""
	}
	return codes.Unset, ""
}
