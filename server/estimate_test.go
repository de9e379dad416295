package server

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

func TestARunIsLikelyToTakeAsLongAsTheLastOfItsKind(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	labelled := func(name string) *Record {
		return b.accept(t, "default", hello(`{"name":"`+name+`","labels":{"workflows.argoproj.io/cron-workflow":"nightly"}}`))
	}
	first := labelled("first")
	require.Nil(t, first.Run.Estimate, "nobody knows")
	b.store.do(func() {
		b.store.estimates = map[string]*workflow.Estimate{"cron-workflow/nightly": {Run: first.Run.ID, Seconds: 90}}
		began := workflow.At(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC))
		first.State.Phase, first.State.Started, first.State.Finished = spec.WorkflowSucceeded, began, began+90_000
		first.Nodes = map[workflow.Key]*workflow.Node{workflow.Root: {
			Key: workflow.Root, Type: spec.NodeTypePod, Template: "main", Phase: spec.NodeSucceeded, Started: began + 5_000, Finished: began + 85_000,
		}}
		first.Complete = true
	})
	second := labelled("second")
	b.store.do(func() {
		second.State.Phase, second.Complete = spec.WorkflowRunning, true
		second.Nodes = map[workflow.Key]*workflow.Node{workflow.Root: {Key: workflow.Root, Type: spec.NodeTypePod, Template: "main", Phase: spec.NodePending}}
	})
	for range 2 { // what is known of the first is remembered
		wf, err := b.service.Get(t.Context(), "default", "second", "")
		require.NoError(t, err)
		require.EqualValues(t, 90, wf.Status.EstimatedDuration)
		require.EqualValues(t, 80, wf.Status.Nodes["second"].EstimatedDuration)
	}
	other := b.submit(t, "default", "other")
	require.Nil(t, other.Run.Estimate, "it is of no kind")
	require.NoError(t, b.service.Delete(t.Context(), "default", "first", false))
	third := labelled("third")
	b.store.do(func() { third.Complete, third.Nodes = true, second.Nodes; clear(b.service.baselines) })
	wf, err := b.service.Get(t.Context(), "default", "third", "")
	require.NoError(t, err)
	require.EqualValues(t, 90, wf.Status.EstimatedDuration)
	require.Zero(t, wf.Status.Nodes["third"].EstimatedDuration, "the run that says so is gone")
}
