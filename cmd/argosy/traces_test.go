package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"argosy/workflow/spec"
)

// receiver stands in for a collector: it takes traces by OTLP over HTTP.
type receiver struct {
	mu       sync.Mutex
	spans    map[string][]*tracepb.Span // by name
	services map[string]bool
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	var sent collectorpb.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &sent)
	}
	if err != nil || req.URL.Path != "/v1/traces" {
		http.Error(w, "no traces", http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, resource := range sent.ResourceSpans {
		for _, a := range resource.Resource.Attributes {
			if a.Key == "service.name" {
				r.services[a.Value.GetStringValue()] = true
			}
		}
		for _, scope := range resource.ScopeSpans {
			for _, s := range scope.Spans {
				r.spans[s.Name] = append(r.spans[s.Name], s)
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	answer, _ := proto.Marshal(&collectorpb.ExportTraceServiceResponse{})
	w.Write(answer) //nolint:errcheck // the client is gone, then
}

const traced = `  - name: main
    steps:
      - - {name: make, template: make}
      - - name: use
          template: use
          arguments: {artifacts: [{name: in, from: "{{steps.make.outputs.artifacts.out}}"}]}
      - - {name: many, template: nothing, withSequence: {count: "300"}}
  - name: make
    container: {image: busybox, command: [sh, -c, "echo made > /tmp/out"]}
    outputs: {artifacts: [{name: out, path: /tmp/out}]}
  - name: use
    inputs: {artifacts: [{name: in, path: /tmp/in}]}
    script: {image: busybox, command: [sh], source: "printf %s $TRACEPARENT > /tmp/parent"}
    outputs: {parameters: [{name: parent, valueFrom: {path: /tmp/parent}}]}
  - name: nothing
    container: {image: busybox, command: ["true"]}
`

func TestARunSendsItsTraceToACollector(t *testing.T) {
	t.Parallel()
	const caller = "0af7651916cd43dd8448eb211c80319c"
	taken := &receiver{spans: map[string][]*tracepb.Span{}, services: map[string]bool{}}
	server := httptest.NewServer(taken)
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := command(ctx, "run", "--embedded", "memory", "-o", "json", write(t, "traced", traced))
	cmd.Env = append(cmd.Env, "OTEL_EXPORTER_OTLP_ENDPOINT="+server.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
		"TRACEPARENT=00-"+caller+"-b7ad6b7169203331-01")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	require.NoError(t, cmd.Run(), &errs)
	var wf spec.Workflow
	require.NoError(t, json.Unmarshal(out.Bytes(), &wf))

	require.Equal(t, map[string]bool{"argosy": true}, taken.services)
	trace, err := hex.DecodeString(caller)
	require.NoError(t, err)
	ids := map[string]bool{}
	for name, spans := range taken.spans {
		for _, s := range spans {
			if strings.HasPrefix(name, "GET ") || strings.HasPrefix(name, "POST ") {
				continue // what the command asks its server
			}
			require.Equal(t, trace, s.TraceId, name)
			require.False(t, ids[string(s.SpanId)], name)
			ids[string(s.SpanId)] = true
		}
	}
	submit := taken.spans["POST /api/v1/workflows/{namespace}"]
	require.Len(t, submit, 1)
	workflows := taken.spans["workflow"]
	require.Len(t, workflows, 1)
	require.Equal(t, submit[0].SpanId, workflows[0].ParentSpanId)
	require.Len(t, taken.spans["node"], 4, "main, make, use, and many, but not its items")
	chunks := 0
	for _, s := range taken.spans["delivery"] {
		for _, a := range s.Attributes {
			if a.Key == "items_from" {
				chunks++
			}
		}
	}
	require.Positive(t, chunks)
	require.Len(t, taken.spans["delivery"], 2+chunks)
	require.Len(t, taken.spans["loadArtifact"], 1)
	require.Len(t, taken.spans["saveArtifact"], 1)
	require.Len(t, taken.spans["runMainContainer"], 2)
	for _, n := range wf.Status.Nodes {
		if n.TemplateName != "use" {
			continue
		}
		for _, s := range taken.spans["runMainContainer"] {
			if "00-"+caller+"-"+hex.EncodeToString(s.SpanId)+"-01" == n.Outputs.Parameters[0].Value.String() {
				return
			}
		}
		t.Fatalf("no span of a command is %s, which that has as its parent", n.Outputs.Parameters[0].Value)
	}
	t.Fatal("the step that tells its parent is not there")
}
