//go:build cluster

package kube

import (
	"bytes"
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"argosy/worker/executortest"
	"argosy/workflow/spec"
)

// nodeRunner is the DaemonSet that deploy/node-runner installs, with the image of the tests.
func nodeRunner(t *testing.T, image, ns string) *appsv1.DaemonSet {
	text, err := os.ReadFile("../../deploy/node-runner/daemonset.yaml")
	require.NoError(t, err)
	_, text, found := bytes.Cut(text, []byte("\n---\n")) // a namespace comes first
	require.True(t, found)
	var set appsv1.DaemonSet
	require.NoError(t, yaml.UnmarshalStrict(text, &set))
	set.Namespace = ns
	set.Spec.Template.Spec.Containers[0].Image = image
	return &set
}

func TestStepsUseTheRunnerOfTheirNode(t *testing.T) {
	c := testCluster(t)
	const ns = "default"
	sets := c.client.AppsV1().DaemonSets(ns)
	set, err := sets.Create(t.Context(), nodeRunner(t, c.runnerImage, ns), metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, sets.Delete(context.Background(), set.Name, metav1.DeleteOptions{}))
	})
	require.Eventually(t, func() bool {
		now, err := sets.Get(t.Context(), set.Name, metav1.GetOptions{})
		require.NoError(t, err)
		return now.Status.NumberReady > 0
	}, 2*time.Minute, 200*time.Millisecond)

	dir := set.Spec.Template.Spec.Volumes[0].HostPath.Path
	e := c.executor(t, executortest.NewStore(), func(cfg *Config) { cfg.NodeRunner = dir })
	s := clusterStep(t, "echo 42 > /tmp/answer")
	s.Run.Namespace = ns
	s.Template.Outputs.Parameters = []spec.Parameter{{Name: "answer", ValueFrom: &spec.ValueFrom{Path: "/tmp/answer"}}}
	out, err := e.Execute(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, "42", out.Outputs.Parameters[0].Value)
	pod, err := c.client.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{LabelSelector: labelRun + "=" + s.Run.ID})
	require.NoError(t, err)
	require.Len(t, pod.Items, 1)
	require.Empty(t, pod.Items[0].Spec.InitContainers)
}
