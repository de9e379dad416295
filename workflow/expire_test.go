package workflow_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

func TestAnEndedRunExpires(t *testing.T) {
	t.Parallel()
	s := func(n int32) *int32 { return &n }
	for _, tc := range []struct {
		name                     string
		ttl                      *spec.TTLStrategy
		succeeded, failed, error workflow.Millis
	}{
		{"never", nil, 0, 0, 0},
		{"by nothing", &spec.TTLStrategy{}, 0, 0, 0},
		{"however it ended", &spec.TTLStrategy{SecondsAfterCompletion: s(5)}, 5_100, 5_100, 5_100},
		{"at once", &spec.TTLStrategy{SecondsAfterCompletion: s(0)}, 100, 100, 100},
		{"by how it ended", &spec.TTLStrategy{SecondsAfterCompletion: s(5), SecondsAfterFailure: s(9), SecondsAfterSuccess: s(1)}, 1_100, 9_100, 5_100},
		{"when it failed", &spec.TTLStrategy{SecondsAfterFailure: s(9)}, 0, 9_100, 0},
	} {
		p := &workflow.Plan{Spec: &spec.WorkflowSpec{TTLStrategy: tc.ttl}}
		for phase, want := range map[spec.WorkflowPhase]workflow.Millis{
			spec.WorkflowSucceeded: tc.succeeded, spec.WorkflowFailed: tc.failed, spec.WorkflowError: tc.error,
		} {
			require.Equal(t, want, p.Expires(&workflow.State{Phase: phase, Finished: 100}), "%s: %s", tc.name, phase)
		}
		require.Zero(t, p.Expires(&workflow.State{Phase: spec.WorkflowRunning}), tc.name)
	}
}
