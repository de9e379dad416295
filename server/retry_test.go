package server

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
)

// loopSpec is a loop that fails if an item does.
func loopSpec(items int) string {
	return fmt.Sprintf(`{"entrypoint":"main","templates":[
		{"name":"main","steps":[[{"name":"a","template":"leaf","withSequence":{"count":"%d"}}]]},
		{"name":"leaf","container":{"image":"busybox","command":["true"]}}]}`, items)
}

func TestASelectorPicksRangesOfTheItemsOfWideLoops(t *testing.T) {
	t.Parallel()
	const items = 30_000 // more than may be picked one by one
	b := newBench(t)
	e := b.run(t, "wide", loopSpec(items), 1)
	e.fails = func(k workflow.Key) bool {
		_, i, ok := workflow.ItemOf(k)
		return ok && i%10_000 == 9_999
	}
	e.finish()
	for selector, want := range map[string][][2]int{
		"phase=Succeeded": {{0, 9_999}, {10_000, 19_999}, {20_000, 29_999}},
		"phase=Failed":    nil, // as the root is
	} {
		r, err := b.service.load(t.Context(), "default", "wide")
		require.NoError(t, err)
		again, err := b.service.picked(t.Context(), r, selector)
		require.NoError(t, err)
		if want == nil {
			require.Equal(t, workflow.Again{Keys: []workflow.Key{workflow.Root}}, again)
			continue
		}
		require.Empty(t, again.Keys)
		require.Len(t, again.Items, 1)
		for loop, ranges := range again.Items {
			require.NotNil(t, e.view.Nodes[loop].Loop)
			require.Equal(t, want, ranges)
		}
	}
}

func TestASelectorThatMatchesTooManyNodesIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	e := b.run(t, "wide", loopSpec(2*maxPicked+2), 1)
	e.fails = func(k workflow.Key) bool {
		_, i, ok := workflow.ItemOf(k)
		return ok && i%2 == 1
	}
	e.finish()
	r, err := b.service.load(t.Context(), "default", "wide")
	require.NoError(t, err)
	_, err = b.service.picked(t.Context(), r, "phase=Succeeded")
	require.ErrorContains(t, err, fmt.Sprintf("matches more than %d nodes", maxPicked))
}
