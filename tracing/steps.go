package tracing

import (
	"context"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"argosy/workflow"
)

// Kind is what a piece of a delivery's time goes into.
type Kind int

// The kinds of pieces, as workers have them.
const (
	Delivery Kind = iota
	Placing
	Staging
	Running
	Collecting
	Loading
	Saving
)

// name is that of the span.
func (k Kind) name() string {
	return [...]string{"delivery", "createWorkflowPod", "runInitContainer", "runMainContainer", "runWaitContainer", "loadArtifact", "saveArtifact"}[k]
}

// above is the kind of the span that one of this kind is below.
func (k Kind) above() Kind {
	switch k {
	case Loading:
		return Staging
	case Saving:
		return Collecting
	}
	return Delivery
}

// Piece is a piece of a delivery's time.
type Piece struct {
	Run      *workflow.Run
	Key      workflow.Key
	Delivery int
	Kind     Kind
	From, To time.Time
	Failure  string

	Template, Worker   string
	Items              [2]int // of a chunk
	Name, Path, Object string // of an artifact
}

// pieceID is the id of a piece's span.
func pieceID(run string, key workflow.Key, delivery int, kind Kind, more ...string) trace.SpanID {
	return spanID(run, append([]string{kind.name(), string(key), strconv.Itoa(delivery)}, more...)...)
}

// Piece makes the span of a piece.
func (t *Tracing) Piece(p *Piece) {
	if p.Key.Beyond(MaxItems) {
		return
	}
	life := lifeOf(p.Delivery)
	ctx := t.of(p.Run, life)
	s := span{
		id: pieceID(p.Run.ID, p.Key, p.Delivery, p.Kind), name: p.Kind.name(), kind: trace.SpanKindInternal,
		from: p.From, to: p.To, failure: p.Failure, ok: p.Failure == "",
		attrs: []attribute.KeyValue{attribute.String("name", p.Run.Name), attribute.String("namespace", p.Run.Namespace)},
	}
	switch p.Kind {
	case Delivery:
		s.kind = trace.SpanKindConsumer
		node := p.Key
		if node.IsChunk() {
			node, _ = node.Parent() // the loop
			s.attrs = append(s.attrs, attribute.Int("items_from", p.Items[0]), attribute.Int("items_to", p.Items[1]))
		}
		s.attrs = append(s.attrs, attribute.String("node_id", node.ID(p.Run.Name)), attribute.Int("delivery", (p.Delivery-1)%workflow.LifeDeliveries+1),
			attribute.String("template", p.Template), attribute.String("worker", p.Worker))
		ctx = under(ctx, nodeID(p.Run.ID, node, life))
	case Loading, Saving:
		s.id = pieceID(p.Run.ID, p.Key, p.Delivery, p.Kind, p.Name, p.Object)
		s.attrs = append(s.attrs, attribute.String("artifact", p.Name), attribute.String("path", p.Path))
		if p.Object != "" {
			s.attrs = append(s.attrs, attribute.String("object", p.Object))
		}
		fallthrough
	default:
		ctx = under(ctx, pieceID(p.Run.ID, p.Key, p.Delivery, p.Kind.above()))
	}
	t.put(ctx, s)
}

// Environment is what a delivery's command has in its environment, so that its spans are below ours:
// TRACEPARENT, and TRACESTATE where there is one. Commands of a chunk's items are below the chunk.
func (t *Tracing) Environment(run *workflow.Run, key workflow.Key, delivery int) map[string]string {
	ctx := t.of(run, lifeOf(delivery))
	switch {
	case key.Beyond(MaxItems):
	case key.IsChunk():
		ctx = under(ctx, pieceID(run.ID, key, delivery, Delivery))
	default:
		ctx = under(ctx, pieceID(run.ID, key, delivery, Running))
	}
	return w3cOf(ctx, "TRACEPARENT", "TRACESTATE")
}

// w3cOf is the span of a context by the names that its parts have.
func w3cOf(ctx context.Context, parent, state string) map[string]string {
	carrier := propagation.MapCarrier{}
	w3c.Inject(ctx, carrier)
	named := map[string]string{}
	for from, to := range map[string]string{"traceparent": parent, "tracestate": state} {
		if carrier[from] != "" {
			named[to] = carrier[from]
		}
	}
	return named
}
