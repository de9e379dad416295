package worker

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/intstr"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// BenchmarkChunkItem is what a worker does for one item of a wide loop, but for running it.
func BenchmarkChunkItem(b *testing.B) {
	const items = 1_000_000
	queue, specs := newFakeQueue(), newFakeSpecs()
	count := intstr.FromInt32(items)
	specs.wf.Spec.Templates[0].Inputs.Parameters = []spec.Parameter{{Name: "i"}}
	specs.wf.Spec.Templates[0].Container.Args = []string{"{{inputs.parameters.i}}"}
	specs.wf.Spec.Templates = append(specs.wf.Spec.Templates, spec.Template{
		Name: "outer", Steps: []spec.ParallelSteps{{Steps: []spec.WorkflowStep{{
			Name: "a", Template: "main", WithSequence: &spec.Sequence{Count: &count},
			Arguments: spec.Arguments{Parameters: []spec.Parameter{{Name: "i", Value: spec.AnyStringPtr("{{item}}")}}},
		}}}},
	})
	loop := &workflow.Node{
		Key: workflow.Root.Step(0, "a"), Type: spec.NodeTypeTaskGroup, Template: "main",
		Loop: &workflow.LoopState{Count: items, Sequence: &workflow.SequenceState{}},
	}
	call := workflow.ItemNeeds(loop, 0, 0)[0]
	queue.chunk = &Chunk{Loop: loop, Needs: map[workflow.Key]*workflow.Node{call: {Key: call, Call: &workflow.CallState{Caller: "outer"}}}}
	log := slog.New(slog.DiscardHandler)
	exec := Decorate(ExecutorFunc(func(context.Context, *Step) (workflow.Result, error) {
		return workflow.Result{Phase: spec.NodeSucceeded}, nil
	}), Decoration{Metrics: NewMetrics(prometheus.NewRegistry()), Deadlines: true}, log)
	w, err := New(Config{Name: "w", Now: func() time.Time { return time.Time{} }}, queue, specs, exec, log)
	require.NoError(b, err)
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; {
		n := min(20_000, b.N-done)
		queue.node = &workflow.Node{Key: loop.Key.Child("#c0"), Template: "main", Chunk: &workflow.ChunkState{To: n}}
		w.Handle(context.Background(), first)
		done += n
	}
}
