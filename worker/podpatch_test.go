package worker

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"argosy/workflow"
	"argosy/workflow/spec"
)

func TestPodSpecPatchesThatCannotBeApplied(t *testing.T) {
	t.Parallel()
	for patch, want := range map[string]string{
		"containers: [":                   "neither YAML nor JSON",
		"just text":                       "merging",
		"containers: 3":                   "the pod cannot have",
		"activeDeadlineSeconds: soon":     "the pod cannot have",
		`containers: [{$patch: replace}]`: `removes the container "main"`,
	} {
		c := corev1.Container{Name: MainContainer}
		s := &Step{Spec: &spec.WorkflowSpec{}, Template: &spec.Template{Container: &c, PodSpecPatch: patch}}
		_, err := Patched(s, &corev1.PodSpec{Containers: []corev1.Container{c}})
		require.ErrorContains(t, err, "applying podSpecPatch: ", patch)
		require.ErrorContains(t, err, want, patch)
	}
}

func TestWhatHoldsForAllPodsIsSubstituted(t *testing.T) {
	t.Parallel()
	for patch, want := range map[string]string{"{{workflow.name}}-{{workflow.parameters.p}}": "run-v", "plain": "plain"} {
		wf := &spec.Workflow{Spec: spec.WorkflowSpec{
			Entrypoint: "main", Templates: []spec.Template{{Name: "main", Container: &corev1.Container{Image: "a"}}},
			PodSpecPatch: patch, NodeSelector: map[string]string{"a": patch},
		}}
		plan, err := workflow.Compile(wf)
		require.NoError(t, err)
		args := spec.Arguments{Parameters: []spec.Parameter{{Name: "p", Value: spec.AnyStringPtr("v")}}}
		got, err := plan.PodSpec(&workflow.Run{Name: "run", Arguments: args})
		require.NoError(t, err)
		require.Equal(t, want, got.PodSpecPatch)
		require.Equal(t, map[string]string{"a": want}, got.NodeSelector)
	}
}
