//go:build cluster

package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const nodes = "argosy-nodes" // namespace of what deploy/node-runner adds

// checkNodeRunner turns the deployment into that of deploy/node-runner, and sees that a step with
// an output has its runner from its node.
func (d *deployment) checkNodeRunner(t *testing.T) {
	say(t, "", devcluster, "kubectl", "apply", "-k", "deploy/e2e/node-runner")
	say(t, "", devcluster, "kubectl", "-n", nodes, "rollout", "status", "--timeout=2m", "daemonset/argosy-node-runner")
	name := d.submit(t, "testdata/output.yaml")
	var wf workflow
	require.Eventually(t, func() bool {
		err := d.call(t.Context(), http.MethodGet, "/api/v1/workflows/"+runs+"/"+name, nil, &wf)
		return err == nil && ended(wf.Status.Phase)
	}, 2*time.Minute, 200*time.Millisecond, "the run does not end")
	require.Equal(t, "Succeeded", wf.Status.Phase, wf.Status.Message)
	require.Equal(t, "42", wf.total())

	pods, err := d.kube.CoreV1().Pods(runs).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	var seen []corev1.PodSpec
	for _, p := range pods.Items {
		if strings.HasPrefix(p.Name, name) {
			seen = append(seen, p.Spec)
		}
	}
	require.Len(t, seen, 1)
	require.Empty(t, seen[0].InitContainers)
	for _, v := range seen[0].Volumes {
		if v.HostPath != nil {
			require.Equal(t, "/var/lib/argosy", v.HostPath.Path)
			require.Contains(t, seen[0].Containers[0].VolumeMounts, corev1.VolumeMount{Name: v.Name, MountPath: "/var/run/argosy", ReadOnly: true})
			return
		}
	}
	require.Fail(t, "the runner is not the node's", "%+v", seen[0].Volumes)
}
