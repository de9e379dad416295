//go:build cluster

package kube

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"argosy/worker/executortest"
	"argosy/worker/handover"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// As Argo's documentation has it: kubectl debug --target main, and touch below /proc/1/root.
func TestAPausedStepIsLookedAtFromADebugContainerAndGoesOn(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	e := c.executor(t, executortest.NewStore(), nil)
	s := clusterStep(t, "echo worked > /tmp/said; exit 3")
	s.Template.Container.Env = []corev1.EnvVar{{Name: handover.EnvPauseBefore, Value: "true"}, {Name: handover.EnvPauseAfter, Value: "true"}}
	type outcome struct {
		result workflow.Result
		err    error
	}
	ended := make(chan outcome, 1)
	go func() {
		r, err := e.Execute(t.Context(), s)
		ended <- outcome{r, err}
	}()
	pods := c.client.CoreV1().Pods(s.Run.Namespace)
	debug := func(name, script string) {
		list, err := pods.List(t.Context(), metav1.ListOptions{LabelSelector: labelRun + "=" + s.Run.ID})
		require.NoError(t, err)
		require.Len(t, list.Items, 1)
		pod := &list.Items[0]
		pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, corev1.EphemeralContainer{
			TargetContainerName: mainContainer,
			EphemeralContainerCommon: corev1.EphemeralContainerCommon{
				Name: name, Image: busybox, ImagePullPolicy: corev1.PullIfNotPresent, Command: []string{"sh", "-c", script},
			},
		})
		_, err = pods.UpdateEphemeralContainers(t.Context(), pod.Name, pod, metav1.UpdateOptions{})
		require.NoError(t, err)
	}
	says := func(text string) {
		require.Eventually(t, func() bool { return strings.Contains(s.Log.(*executortest.Log).String(), text) }, time.Minute, 50*time.Millisecond, text)
	}
	file := "/proc/1/root" + handover.PauseDir + "/" + mainContainer
	says("paused before the command")
	debug("first", "[ ! -e /proc/1/root/tmp/said ] && touch "+file+"/before")
	says("paused after the command")
	debug("second", "grep worked /proc/1/root/tmp/said && touch "+file+"/after")
	select {
	case o := <-ended:
		require.NoError(t, o.err)
		require.Equal(t, spec.NodeFailed, o.result.Phase)
		require.Contains(t, o.result.Message, "exit code 3")
	case <-time.After(time.Minute):
		t.Fatal("the step did not go on")
	}
}
