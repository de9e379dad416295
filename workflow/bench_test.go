package workflow_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// BenchmarkCompletion is the cost of one completion among so many siblings in flight. It
// must stay flat: only the leaf, its loop and the scopes above are touched.
func BenchmarkCompletion(b *testing.B) {
	for _, siblings := range []int{100, 1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint(siblings), func(b *testing.B) {
			view, keys := wideLoop(b, siblings)
			events := []workflow.Event{{Kind: workflow.EventResult, Key: keys[siblings/2], Result: &workflow.Result{Phase: spec.NodeSucceeded}}}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := workflow.Advance(view, events, start); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// wideLoop returns a run with all items of one loop in flight.
func wideLoop(tb testing.TB, n int) (*workflow.View, []workflow.Key) {
	docs, err := spec.Parse("bench.yaml", fmt.Appendf(nil, head+`
  - name: main
    steps:
    - - {name: a, template: echo, withSequence: {count: "%d"}}
`, n))
	require.NoError(tb, err)
	plan, err := workflow.Compile(docs[0].Object.(*spec.Workflow))
	require.NoError(tb, err)
	view := &workflow.View{
		Run: &workflow.Run{ID: "uid", Name: "wf"}, Plan: plan, Complete: true, Limits: workflow.Limits{Launch: n + 2, ChunkFrom: -1},
	}
	d, err := workflow.Advance(view, nil, start)
	require.NoError(tb, err)
	require.Len(tb, d.Dispatch, n)
	return view.Apply(d), d.Dispatch
}

// BenchmarkDAGCompletion is the cost of one completion in a DAG of so many tasks, most of which
// wait for two others of which one has ended.
func BenchmarkDAGCompletion(b *testing.B) {
	for _, tasks := range []int{10, 100, 1_000, 10_000} {
		b.Run(fmt.Sprint(tasks), func(b *testing.B) {
			view, done := latticeDAG(b, tasks)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := workflow.Advance(view, done, start); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// latticeDAG returns a run of a DAG in two rows, each of whose lower tasks waits for two of the
// upper ones, with every second of those ended, and the event that ends one more.
func latticeDAG(tb testing.TB, n int) (*workflow.View, []workflow.Event) {
	var text strings.Builder
	text.WriteString(head + "\n  - name: main\n    dag:\n      tasks:\n")
	half := n / 2
	for i := range half {
		fmt.Fprintf(&text, "      - {name: u%d, template: echo}\n", i)
	}
	for i := range half {
		fmt.Fprintf(&text, "      - {name: l%d, template: echo, depends: u%d && u%d}\n", i, i, (i+1)%half)
	}
	docs, err := spec.Parse("bench.yaml", []byte(text.String()))
	require.NoError(tb, err)
	plan, err := workflow.Compile(docs[0].Object.(*spec.Workflow))
	require.NoError(tb, err)
	view := &workflow.View{Run: &workflow.Run{ID: "uid", Name: "wf"}, Plan: plan, Complete: true, Limits: workflow.Limits{Launch: n + 2}}
	d, err := workflow.Advance(view, nil, start)
	require.NoError(tb, err)
	require.Len(tb, d.Dispatch, half)
	view = view.Apply(d)
	ended := func(i int) workflow.Event {
		return workflow.Event{Kind: workflow.EventResult, Key: workflow.Root.Task(fmt.Sprintf("u%d", i)), Result: &workflow.Result{Phase: spec.NodeSucceeded}}
	}
	var events []workflow.Event
	for i := 0; i < half; i += 2 {
		events = append(events, ended(i))
	}
	d, err = workflow.Advance(view, events, start)
	require.NoError(tb, err)
	return view.Apply(d), []workflow.Event{ended(1)}
}
