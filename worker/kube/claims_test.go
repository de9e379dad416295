package kube

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"argosy/worker"
	"argosy/workflow/spec"
)

func claimStep(strategy spec.VolumeClaimGCStrategy, mounts ...string) *worker.Step {
	s := unitStep(&spec.Template{Container: &corev1.Container{Image: "busybox", Command: []string{"true"}}})
	for _, name := range []string{"work", "other"} {
		s.Spec.VolumeClaimTemplates = append(s.Spec.VolumeClaimTemplates, corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	if strategy != "" {
		s.Spec.VolumeClaimGC = &spec.VolumeClaimGC{Strategy: strategy}
	}
	for _, name := range mounts {
		s.Template.Container.VolumeMounts = append(s.Template.Container.VolumeMounts, corev1.VolumeMount{Name: name, MountPath: "/" + name})
	}
	return s
}

func claimsExecutor(t *testing.T) *Executor {
	t.Helper()
	client := fake.NewClientset()
	hub, err := newHub(client, "", "argosy")
	require.NoError(t, err)
	return &Executor{cfg: Config{Owner: "mine"}.withDefaults(), client: client, hub: hub, log: slog.New(slog.DiscardHandler)}
}

func (e *Executor) claimNames(t *testing.T) []string {
	t.Helper()
	list, err := e.client.CoreV1().PersistentVolumeClaims("team").List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	var names []string
	for _, c := range list.Items {
		names = append(names, c.Name)
	}
	return names
}

func TestAStepGetsTheClaimsThatItMounts(t *testing.T) {
	t.Parallel()
	e := claimsExecutor(t)
	s := claimStep("", "work")
	require.NoError(t, e.provideClaims(t.Context(), s))
	require.NoError(t, e.provideClaims(t.Context(), s), "the next step finds it")
	require.Equal(t, []string{"ci-x7k2p-work"}, e.claimNames(t))
	pod, err := buildPod(e.cfg, s, nil, time.Now())
	require.NoError(t, err)
	require.Equal(t, []corev1.Volume{{Name: "work", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "ci-x7k2p-work"},
	}}}, pod.Spec.Volumes)

	stranger := claimStep("", "work")
	run := *stranger.Run
	run.ID = "another"
	stranger.Run = &run
	require.ErrorContains(t, e.provideClaims(t.Context(), stranger), "pvc create error: there is a claim team/ci-x7k2p-work that belongs to something else")
	require.NoError(t, e.provideClaims(t.Context(), claimStep("")), "who mounts none gets none")
}

func TestClaimsGoWhenTheirRunNeedsThemNoMore(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		strategy spec.VolumeClaimGCStrategy
		phase    spec.WorkflowPhase
		gone     bool
		kept     bool
	}{
		"it goes on":                  {kept: true},
		"it succeeded":                {phase: spec.WorkflowSucceeded},
		"it failed":                   {phase: spec.WorkflowFailed, kept: true},
		"it failed, and that is said": {phase: spec.WorkflowFailed, strategy: spec.VolumeClaimGCOnCompletion},
		"it was deleted":              {gone: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := claimsExecutor(t)
			require.NoError(t, e.provideClaims(t.Context(), claimStep(tt.strategy, "work")))
			_, err := e.client.CoreV1().PersistentVolumeClaims("team").Create(t.Context(), &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
				Name: "foreign", Labels: map[string]string{labelOwner: "another", labelRun: "x"},
			}}, metav1.CreateOptions{})
			require.NoError(t, err)
			require.NoError(t, e.SweepVolumes(t.Context(), func(_ context.Context, run string) (spec.WorkflowPhase, bool, error) {
				if run != claimStep("").Run.ID {
					return "", false, errors.New("asked for another install's run")
				}
				return tt.phase, tt.gone, nil
			}))
			if tt.kept {
				require.Equal(t, []string{"ci-x7k2p-work", "foreign"}, e.claimNames(t))
			} else {
				require.Equal(t, []string{"foreign"}, e.claimNames(t))
			}
		})
	}
}
