package workflow_test

import (
	"fmt"
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
