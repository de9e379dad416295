package tracing_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"argosy/tracing"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// memory makes spans that are kept here.
func memory() (*tracing.Tracing, *tracetest.InMemoryExporter) {
	kept := tracetest.NewInMemoryExporter()
	return tracing.New(sdk.NewSimpleSpanProcessor(kept), nil), kept
}

var (
	step  = workflow.Root.Step(0, "a")
	loop  = workflow.Root.Step(1, "many")
	began = time.UnixMilli(1_000_000)
)

func run(annotations map[string]string) *workflow.Run {
	return &workflow.Run{ID: "6f1f4b1c", Name: "wf", Namespace: "jobs", Created: 900, Annotations: annotations}
}

// at is milliseconds after the beginning.
func at(ms int64) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }

func millis(ms int64) workflow.Millis { return workflow.At(at(ms)) }

// tell tells of a run with a step, whose worker is another process than the coordinator.
func tell(coordinator, worker *tracing.Tracing, r *workflow.Run, life int) {
	delivery := life*workflow.LifeDeliveries + 1
	pending := &workflow.Node{Key: step, Type: spec.NodeTypePod, Phase: spec.NodePending, Template: "leaf", Started: millis(10)}
	for _, p := range []tracing.Piece{
		{Kind: tracing.Loading, From: at(21), To: at(25), Name: "data", Path: "/in"},
		{Kind: tracing.Staging, From: at(20), To: at(30)},
		{Kind: tracing.Running, From: at(30), To: at(80)},
		{Kind: tracing.Saving, From: at(82), To: at(85), Name: "out", Path: "/out", Failure: "away"},
		{Kind: tracing.Collecting, From: at(81), To: at(90)},
		{Kind: tracing.Delivery, From: at(15), To: at(92), Template: "leaf", Worker: "w1"},
	} {
		p.Run, p.Key, p.Delivery = r, step, delivery
		worker.Piece(&p)
	}
	ended := *pending
	ended.Phase, ended.Started, ended.Finished = spec.NodeFailed, millis(30), millis(80)
	ended.Message = "main: Error (exit code 1)"
	running := workflow.State{Phase: spec.WorkflowRunning, Started: millis(5), Lives: life}
	over := running
	over.Phase, over.Finished, over.Message = spec.WorkflowFailed, millis(100), "child failed"
	coordinator.Committed(&tracing.Change{
		Run: r, Was: &running, State: &over, Nodes: []*workflow.Node{&ended, {Key: "/[1].many/#items0"}},
		Before: map[workflow.Key]*workflow.Node{step: pending},
	})
}

// find is the one span of a name.
func find(t *testing.T, spans tracetest.SpanStubs, name string) tracetest.SpanStub {
	t.Helper()
	i := slices.IndexFunc(spans, func(s tracetest.SpanStub) bool { return s.Name == name })
	require.GreaterOrEqual(t, i, 0, "there is no %s", name)
	return spans[i]
}

func value(s tracetest.SpanStub, key string) string {
	for _, a := range s.Attributes {
		if string(a.Key) == key {
			return a.Value.String()
		}
	}
	return ""
}

func TestProcessesThatKnowNothingOfEachOtherMakeOneTrace(t *testing.T) {
	t.Parallel()
	coordinator, fromCoordinator := memory()
	worker, fromWorker := memory()
	tell(coordinator, worker, run(nil), 0)
	spans := append(fromCoordinator.GetSpans(), fromWorker.GetSpans()...)
	parents := map[string]string{ // by what a span is called
		"workflow": "", "workflowPhase": "workflow", "node": "workflow", "nodePhase": "node", "delivery": "node",
		"runInitContainer": "delivery", "runMainContainer": "delivery", "runWaitContainer": "delivery",
		"loadArtifact": "runInitContainer", "saveArtifact": "runWaitContainer",
	}
	require.Len(t, spans, len(parents)+2) // two phases each
	for _, s := range spans {
		above, known := parents[s.Name]
		require.True(t, known, s.Name)
		require.Equal(t, spans[0].SpanContext.TraceID(), s.SpanContext.TraceID())
		if above == "" {
			require.False(t, s.Parent.IsValid())
			continue
		}
		require.Equal(t, find(t, spans, above).SpanContext.SpanID(), s.Parent.SpanID(), s.Name)
	}
	node := find(t, spans, "node")
	require.Equal(t, at(10), node.StartTime.UTC().Local())
	require.Equal(t, at(80), node.EndTime.UTC().Local())
	require.Equal(t, sdk.Status{Code: codes.Error, Description: "Failed"}, node.Status)
	require.Equal(t, "Pod", value(node, "node_type"))
	require.Equal(t, "wf[0].a", value(node, "node_name"))
	require.Equal(t, step.ID("wf"), value(node, "node_id"))
	require.Equal(t, "main: Error (exit code 1)", value(node, "message"))
	workflowSpan := find(t, spans, "workflow")
	require.Equal(t, "wf", value(workflowSpan, "name"))
	require.Equal(t, "jobs", value(workflowSpan, "namespace"))
	require.Equal(t, sdk.Status{Code: codes.Error, Description: "Failed"}, workflowSpan.Status)
	require.Equal(t, "/in", value(find(t, spans, "loadArtifact"), "path"))
	require.Equal(t, "away", find(t, spans, "saveArtifact").Status.Description)
	for _, s := range spans {
		if s.Name != "nodePhase" {
			continue
		}
		want := map[string][2]int64{"Pending": {10, 30}, "Running": {30, 80}}[value(s, "node_phase")]
		require.Equal(t, want, [2]int64{s.StartTime.Sub(began).Milliseconds(), s.EndTime.Sub(began).Milliseconds()})
	}
}

func TestWhatIsToldTwiceHasTheSameIDs(t *testing.T) {
	t.Parallel()
	names := func() (ids []string) {
		for range 2 { // processes
			one, kept := memory()
			tell(one, one, run(nil), 0)
			for _, s := range kept.GetSpans() {
				ids = append(ids, s.Name+" "+value(s, "phase")+value(s, "node_phase")+" "+s.SpanContext.TraceID().String()+" "+s.SpanContext.SpanID().String())
			}
		}
		return ids
	}()
	slices.Sort(names)
	require.Len(t, slices.Compact(names), 12)
}

func TestARunThatIsTakenUpAgainHasSpansOfItsOwn(t *testing.T) {
	t.Parallel()
	one, kept := memory()
	tell(one, one, run(nil), 0)
	tell(one, one, run(nil), 1)
	seen := map[string]bool{}
	for _, s := range kept.GetSpans() {
		require.False(t, seen[s.SpanContext.SpanID().String()], s.Name)
		seen[s.SpanContext.SpanID().String()] = true
		require.Equal(t, kept.GetSpans()[0].SpanContext.TraceID(), s.SpanContext.TraceID())
	}
}

func TestTheAnnotationsOfAWorkflowNameItsParent(t *testing.T) {
	t.Parallel()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0"
	for name, c := range map[string]struct {
		annotations map[string]string
		trace       string // "" is one of its own
		spans       int
	}{
		"a trace":                   {map[string]string{tracing.AnnotationParent: parent + "1", tracing.AnnotationState: "a=b"}, "0af7651916cd43dd8448eb211c80319c", 12},
		"a trace that nobody wants": {map[string]string{tracing.AnnotationParent: parent + "0"}, "0af7651916cd43dd8448eb211c80319c", 0},
		"nonsense":                  {map[string]string{tracing.AnnotationParent: "nonsense"}, "", 12},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, kept := memory()
			r := run(c.annotations)
			tell(one, one, r, 0)
			require.Len(t, kept.GetSpans(), c.spans)
			env := one.Environment(r, step, 1)["TRACEPARENT"]
			require.Equal(t, c.trace != "", strings.HasPrefix(env, "00-"+c.trace+"-") && c.trace != "")
			if c.spans == 0 {
				require.True(t, strings.HasSuffix(env, "-00"), env)
				return
			}
			top := find(t, kept.GetSpans(), "workflow")
			require.Equal(t, c.trace != "", top.Parent.IsValid())
			if c.trace != "" {
				require.Equal(t, "b7ad6b7169203331", top.Parent.SpanID().String())
				require.Equal(t, c.trace, top.SpanContext.TraceID().String())
				require.Equal(t, "a=b", one.Environment(r, step, 1)["TRACESTATE"])
			}
		})
	}
}

func TestACommandsSpansAreBelowItsOwn(t *testing.T) {
	t.Parallel()
	one, kept := memory()
	r := run(nil)
	tell(one, one, r, 0)
	chunk := loop.Child("#c64")
	one.Piece(&tracing.Piece{Run: r, Key: chunk, Delivery: 2, From: at(0), To: at(9), Items: [2]int{64, 128}})
	spans := kept.GetSpans()
	parent := func(s tracetest.SpanStub) string {
		return "00-" + s.SpanContext.TraceID().String() + "-" + s.SpanContext.SpanID().String() + "-01"
	}
	require.Equal(t, map[string]string{"TRACEPARENT": parent(find(t, spans, "runMainContainer"))}, one.Environment(r, step, 1))
	last := spans[len(spans)-1]
	require.Equal(t, "delivery", last.Name)
	require.Equal(t, map[string]string{"TRACEPARENT": parent(last)}, one.Environment(r, chunk, 2))
	require.Equal(t, "64", value(last, "items_from"))
	require.Equal(t, loop.ID("wf"), value(last, "node_id"))
}

func TestOfALoopTheFirstItemsAreTold(t *testing.T) {
	t.Parallel()
	one, kept := memory()
	r := run(nil)
	state := &workflow.State{Phase: spec.WorkflowRunning, Started: 1}
	change := &tracing.Change{Run: r, Was: state, State: state}
	for i := range tracing.MaxItems + 100 {
		item := loop.Child(fmt.Sprintf("(%d:x)", i))
		change.Nodes = append(change.Nodes, &workflow.Node{Key: item, Type: spec.NodeTypePod, Phase: spec.NodeSucceeded, Started: 5, Finished: 5})
		one.Piece(&tracing.Piece{Run: r, Key: item, Delivery: 1, From: at(0), To: at(9)})
	}
	change.Nodes = append(change.Nodes, &workflow.Node{
		Key: loop, Type: spec.NodeTypeTaskGroup, Phase: spec.NodeSucceeded, Started: 1, Finished: 5, Loop: &workflow.LoopState{Count: 1100, Next: 1100, Succeeded: 1100},
	})
	one.Committed(change)
	require.Len(t, kept.GetSpans(), 2*tracing.MaxItems+1)
	require.Equal(t, "1100", value(kept.GetSpans()[2*tracing.MaxItems], "succeeded"))
}

func TestWhatHasEndedBeforeIsNotToldAgain(t *testing.T) {
	t.Parallel()
	one, kept := memory()
	state := &workflow.State{Phase: spec.WorkflowRunning, Started: 1}
	was := &workflow.Node{Key: step, Type: spec.NodeTypePod, Phase: spec.NodeSucceeded, Started: 1, Finished: 2}
	now := *was
	now.Message = "a hook has ended"
	one.Committed(&tracing.Change{
		Run: run(nil), Was: state, State: state, Nodes: []*workflow.Node{&now, {Key: loop, Type: spec.NodeTypeSteps, Phase: spec.NodeRunning}},
		Before: map[workflow.Key]*workflow.Node{step: was},
	})
	require.Empty(t, kept.GetSpans())
}

func TestWithoutAnEndpointNothingIsMade(t *testing.T) {
	t.Parallel()
	for name, env := range map[string]map[string]string{
		"nothing":      {},
		"disabled":     {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1", "OTEL_SDK_DISABLED": "true"},
		"no exporter":  {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1", "OTEL_TRACES_EXPORTER": "none"},
		"metrics only": {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://localhost:1"},
	} {
		made, err := tracing.Open(t.Context(), "argosy", "", func(n string) string { return env[n] }, slog.New(slog.DiscardHandler))
		require.NoError(t, err, name)
		require.Nil(t, made, name)
	}
}

func TestWhatCannotBeSentIsRefused(t *testing.T) {
	t.Parallel()
	for want, env := range map[string]map[string]string{
		`OTEL_EXPORTER_OTLP_PROTOCOL: "http/json" is neither grpc nor http/protobuf`: {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
		`OTEL_TRACES_EXPORTER: "zipkin" is neither otlp nor none`:                    {"OTEL_TRACES_EXPORTER": "zipkin"},
	} {
		env["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://localhost:1"
		_, err := tracing.Open(context.Background(), "argosy", "", func(n string) string { return env[n] }, slog.New(slog.DiscardHandler))
		require.EqualError(t, err, want)
	}
}
