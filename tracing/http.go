package tracing

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// callerKey marks the context of a request whose caller traces.
type callerKey struct{}

// Handler makes a span for each request that has a pattern, below the caller's if that traces.
func (t *Tracing) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := w3c.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx = context.WithValue(ctx, callerKey{}, trace.SpanContextFromContext(ctx).IsValid())
		ctx, s := t.tracer.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
			attribute.String("http.request.method", r.Method), attribute.String("url.path", r.URL.Path)))
		defer s.End()
		answer := &answered{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(answer, r.WithContext(ctx))
		s.SetAttributes(attribute.Int("http.response.status_code", answer.status))
		if answer.status >= http.StatusInternalServerError {
			s.SetStatus(codes.Error, http.StatusText(answer.status))
		}
	})
}

// Route names the request of a context after the pattern that it matched.
func Route(ctx context.Context, method, route string) {
	s := trace.SpanFromContext(ctx)
	if s.IsRecording() {
		s.SetName(method + " " + route)
		s.SetAttributes(attribute.String("http.route", route))
	}
}

// Annotations are those of a workflow that is submitted in a context, whose trace is to go on with it:
// none unless the caller traces, for a workflow is the beginning of a trace otherwise.
func Annotations(ctx context.Context) map[string]string {
	if traces, _ := ctx.Value(callerKey{}).(bool); !traces {
		return nil
	}
	return w3cOf(ctx, AnnotationParent, AnnotationState)
}

// answered remembers the status.
type answered struct {
	http.ResponseWriter
	status int
}

func (a *answered) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap lets streams reach what they flush, and warm pods what they take over.
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }
