package tracing_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/tracing"
)

func TestARequestsSpanIsBelowItsCallers(t *testing.T) {
	t.Parallel()
	const caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for name, c := range map[string]struct{ header, trace string }{
		"a caller that traces": {caller, "0af7651916cd43dd8448eb211c80319c"},
		"one that does not":    {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, kept := memory()
			var annotations map[string]string
			h := one.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				tracing.Route(r.Context(), r.Method, "/api/v1/workflows/{namespace}")
				annotations = tracing.Annotations(r.Context())
				w.WriteHeader(http.StatusBadGateway)
			}))
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v1/workflows/jobs", nil)
			r.Header.Set("Traceparent", c.header)
			h.ServeHTTP(httptest.NewRecorder(), r)
			spans := kept.GetSpans()
			require.Len(t, spans, 1)
			s := spans[0]
			require.Equal(t, "POST /api/v1/workflows/{namespace}", s.Name)
			require.Equal(t, "/api/v1/workflows/jobs", value(s, "url.path"))
			require.Equal(t, "502", value(s, "http.response.status_code"))
			if c.trace == "" {
				require.Empty(t, annotations)
				require.False(t, s.Parent.IsValid())
				return
			}
			require.Equal(t, c.trace, s.SpanContext.TraceID().String())
			require.Equal(t, "b7ad6b7169203331", s.Parent.SpanID().String())
			require.Equal(t, map[string]string{
				"opentelemetry.io/traceparent": "00-" + c.trace + "-" + s.SpanContext.SpanID().String() + "-01",
			}, annotations, "a workflow that is submitted goes on with the trace")
		})
	}
}
