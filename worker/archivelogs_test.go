package worker_test

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"argosy/worker"
	"argosy/worker/executortest"
	"argosy/workflow"
	"argosy/workflow/spec"
)

func TestLogsAreArchivedWhereThatIsAskedFor(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for name, tt := range map[string]struct {
		workflow, template, repository *bool
		delivery                       int
		ends                           error
		phase                          spec.NodePhase
		key                            string // "" keeps none
	}{
		"nobody asks":                {delivery: 1, phase: spec.NodeSucceeded},
		"the workflow":               {workflow: &yes, delivery: 1, phase: spec.NodeSucceeded, key: "logs/wf/main.log"},
		"the template":               {template: &yes, delivery: 1, phase: spec.NodeSucceeded, key: "logs/wf/main.log"},
		"not the template":           {workflow: &yes, template: &no, delivery: 1, phase: spec.NodeSucceeded},
		"not the workflow":           {workflow: &no, template: &yes, delivery: 1, phase: spec.NodeSucceeded, key: "logs/wf/main.log"},
		"the repository, always":     {workflow: &no, template: &no, repository: &yes, delivery: 1, phase: spec.NodeSucceeded, key: "logs/wf/main.log"},
		"a repository that does not": {workflow: &yes, repository: &no, delivery: 1, phase: spec.NodeSucceeded, key: "logs/wf/main.log"},
		"of a step that failed":      {workflow: &yes, delivery: 1, phase: spec.NodeFailed, key: "logs/wf/main.log"},
		"of a later delivery":        {workflow: &yes, delivery: 2, phase: spec.NodeSucceeded, key: "logs/wf/main.d2.log"},
		"of a step that goes on":     {workflow: &yes, delivery: 1, ends: worker.ErrLeaseLost},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := worker.ExecutorFunc(func(_ context.Context, s *worker.Step) (workflow.Result, error) {
				fmt.Fprint(s.Log, "said\n")
				return workflow.Result{Phase: tt.phase}, tt.ends
			})
			store := executortest.NewStore()
			s := &worker.Step{
				Run: &workflow.Run{ID: "1", Name: "wf", Namespace: "default"}, PodName: "wf", Delivery: tt.delivery,
				Spec: &spec.WorkflowSpec{ArchiveLogs: tt.workflow}, Log: io.Discard,
				Template: &spec.Template{Name: "t", Container: &corev1.Container{}, ArchiveLocation: &spec.ArtifactLocation{
					ArchiveLogs: tt.template, S3: &spec.S3Artifact{Key: "logs/wf"},
				}},
			}
			if tt.repository != nil {
				s.Repository = &spec.ArtifactRepository{ArchiveLogs: tt.repository}
			}
			r, err := worker.ArchiveLogs(base, store).Execute(t.Context(), s)
			require.ErrorIs(t, err, tt.ends)
			if tt.key == "" {
				require.Empty(t, store.Objects())
				require.Nil(t, r.Outputs)
				return
			}
			require.Equal(t, executortest.Tree{tt.key: "said\n"}, store.Objects())
			require.Equal(t, "main-logs", r.Outputs.Artifacts[0].Name)
			require.Equal(t, tt.key, r.Outputs.Artifacts[0].S3.Key)
		})
	}
}

func TestALogThatCannotBeKeptFailsAStepThatSucceeded(t *testing.T) {
	t.Parallel()
	yes := true
	store := executortest.NewStore()
	store.Break(io.ErrShortWrite)
	for phase, fails := range map[spec.NodePhase]bool{spec.NodeSucceeded: true, spec.NodeFailed: false} {
		base := worker.ExecutorFunc(func(context.Context, *worker.Step) (workflow.Result, error) {
			return workflow.Result{Phase: phase}, nil
		})
		s := &worker.Step{
			Run: &workflow.Run{ID: "1", Name: "wf"}, PodName: "wf", Delivery: 1, Log: io.Discard,
			Spec: &spec.WorkflowSpec{ArchiveLogs: &yes}, Template: &spec.Template{Container: &corev1.Container{}},
		}
		_, err := worker.ArchiveLogs(base, store).Execute(t.Context(), s)
		require.Equal(t, fails, err != nil, err)
	}
}
