package queue_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

func TestHowLongARunTookIsKeptForOthersOfItsKinds(t *testing.T) {
	each(t, func(w *world) {
		run := func(id string, labels map[string]string) *workflow.Run {
			return &workflow.Run{ID: id, Namespace: "default", Labels: labels}
		}
		both := map[string]string{"workflows.argoproj.io/cron-workflow": "nightly", "workflows.argoproj.io/workflow-template": "etl"}
		template := map[string]string{"workflows.argoproj.io/workflow-template": "etl"}
		state := workflow.State{Phase: spec.WorkflowSucceeded, Started: 1_000, Finished: 62_500}
		e := state.Estimate(run("1", both))
		require.Equal(t, &workflow.Estimate{Run: "1", Seconds: 61}, e)
		require.NoError(t, w.runs.KeepEstimate(w.ctx, run("1", both), e))
		require.NoError(t, w.runs.KeepEstimate(w.ctx, run("2", template), &workflow.Estimate{Run: "2", Seconds: 5}))
		require.NoError(t, w.runs.KeepEstimate(w.ctx, run("3", nil), &workflow.Estimate{Run: "3"}))
		for _, c := range []struct {
			labels map[string]string
			want   *workflow.Estimate
		}{
			{both, e}, {template, &workflow.Estimate{Run: "2", Seconds: 5}}, {nil, nil},
			{map[string]string{"workflows.argoproj.io/cluster-workflow-template": "etl"}, nil},
		} {
			got, err := w.runs.Estimate(w.ctx, run("4", c.labels))
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		}
		state.Phase = spec.WorkflowFailed
		require.Nil(t, state.Estimate(run("1", both)))
	})
}
