package tracing

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Tracing makes spans and sends them away. A nil one makes none: it is never to be asked.
type Tracing struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// Open makes what the standard OTEL_ environment variables ask for: an exporter to an OTLP endpoint,
// or nil, without anything else, if they name none.
func Open(ctx context.Context, service, version string, env func(string) string, log *slog.Logger) (*Tracing, error) {
	exporter, err := exporterOf(ctx, env)
	if exporter == nil || err != nil {
		return nil, err
	}
	// The library's default writes to the standard error, in words of its own.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces are not sent", "error", err) }))
	// What the environment says of the process goes before what we do.
	r, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", service), attribute.String("service.version", version)),
		resource.WithHost(), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("reading OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return New(sdk.NewBatchSpanProcessor(exporter), r), nil
}

// exporterOf makes the exporter that the environment names. Without a protocol it is gRPC, as in Argo.
func exporterOf(ctx context.Context, env func(string) string) (sdk.SpanExporter, error) {
	endpoint := cmp.Or(strings.TrimSpace(env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")), strings.TrimSpace(env("OTEL_EXPORTER_OTLP_ENDPOINT")))
	if endpoint == "" || strings.EqualFold(env("OTEL_SDK_DISABLED"), "true") {
		return nil, nil
	}
	switch e := env("OTEL_TRACES_EXPORTER"); e {
	case "", "otlp":
	case "none":
		return nil, nil
	default:
		return nil, fmt.Errorf("OTEL_TRACES_EXPORTER: %q is neither otlp nor none", e)
	}
	var exporter sdk.SpanExporter
	var err error
	switch protocol := cmp.Or(env("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), env("OTEL_EXPORTER_OTLP_PROTOCOL"), "grpc"); protocol {
	case "grpc":
		exporter, err = otlptracegrpc.New(ctx)
	case "http/protobuf":
		exporter, err = otlptracehttp.New(ctx)
	default:
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL: %q is neither grpc nor http/protobuf", protocol)
	}
	if err != nil {
		return nil, fmt.Errorf("preparing to send traces to %s: %w", endpoint, err)
	}
	return exporter, nil
}

// New makes spans for a processor. The sampler is what OTEL_TRACES_SAMPLER says.
func New(p sdk.SpanProcessor, r *resource.Resource) *Tracing {
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(p), sdk.WithIDGenerator(ids{}), sdk.WithResource(r))
	return &Tracing{provider: provider, tracer: provider.Tracer("argosy")}
}

// Close sends what is left.
func (t *Tracing) Close(ctx context.Context) error {
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("sending the last traces: %w", err)
	}
	return nil
}

// span is one to make.
type span struct {
	id       trace.SpanID
	name     string
	kind     trace.SpanKind
	from, to time.Time
	failure  string
	ok       bool
	attrs    []attribute.KeyValue
}

// put makes a span below the one in the context.
func (t *Tracing) put(ctx context.Context, s span) {
	if s.to.Before(s.from) { // clocks of several machines
		s.to = s.from
	}
	_, made := t.tracer.Start(withIDs(ctx, trace.TraceID{}, s.id), s.name,
		trace.WithTimestamp(s.from), trace.WithSpanKind(s.kind), trace.WithAttributes(s.attrs...))
	made.SetStatus(status(s.ok, s.failure))
	made.End(trace.WithTimestamp(s.to))
}

// under is a context in which spans are below another of the same trace.
func under(ctx context.Context, id trace.SpanID) context.Context {
	above := trace.SpanContextFromContext(ctx)
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: above.TraceID(), SpanID: id, TraceFlags: above.TraceFlags(), TraceState: above.TraceState(),
	}))
}

// w3c reads and writes traceparent and tracestate.
var w3c propagation.TraceContext
