package tracing

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"argosy/workflow"
)

// ids gives spans the ids that were decided on, and those of whom nobody did random ones.
type ids struct{}

type idKey struct{}

type idPair struct {
	trace trace.TraceID
	span  trace.SpanID
}

// withIDs decides on the ids of the next span.
func withIDs(ctx context.Context, t trace.TraceID, s trace.SpanID) context.Context {
	return context.WithValue(ctx, idKey{}, idPair{t, s})
}

// NewIDs implements trace.IDGenerator.
func (g ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	p, _ := ctx.Value(idKey{}).(idPair)
	if !p.trace.IsValid() {
		binary.NativeEndian.PutUint64(p.trace[:8], rand.Uint64()) //nolint:gosec // ids are no secrets
		binary.NativeEndian.PutUint64(p.trace[8:], rand.Uint64()|1)
	}
	return p.trace, g.NewSpanID(ctx, p.trace)
}

// NewSpanID implements trace.IDGenerator.
func (ids) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	p, _ := ctx.Value(idKey{}).(idPair)
	if !p.span.IsValid() {
		binary.NativeEndian.PutUint64(p.span[:], rand.Uint64()|1)
	}
	return p.span
}

// traceID is that of a run which is part of no other trace.
func traceID(run string) (id trace.TraceID) {
	sum := sha256.Sum256([]byte("trace\x00" + run))
	copy(id[:], sum[:])
	return id
}

// spanID is that of a thing of a run. The parts name it, the kind of thing first.
func spanID(run string, parts ...string) (id trace.SpanID) {
	sum := sha256.Sum256([]byte("span\x00" + run + "\x00" + strings.Join(parts, "\x00")))
	copy(id[:], sum[:])
	return id
}

// A run that is taken up again has another life: its nodes may end a second time.

func workflowID(run string, life int) trace.SpanID {
	return spanID(run, "workflow", strconv.Itoa(life))
}

func nodeID(run string, key workflow.Key, life int) trace.SpanID {
	return spanID(run, "node", string(key), strconv.Itoa(life))
}

// lifeOf is which life of its run a delivery belongs to.
func lifeOf(delivery int) int { return (delivery - 1) / workflow.LifeDeliveries }
