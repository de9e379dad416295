//go:build cluster

package kubeevents_test

import (
	"crypto/rand"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"argosy/cmd/argosy/internal/kubeevents"
	"argosy/coordinator"
	"argosy/workflow"
	"argosy/workflow/spec"
)

func TestAClusterTakesTheEventsOfARun(t *testing.T) {
	t.Parallel()
	require.NotEmpty(t, os.Getenv("KUBECONFIG"), "run `make cluster-up` and `eval \"$(bin/devcluster env)\"`")
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	require.NoError(t, err)
	client, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	namespace := "argosy-events-" + strings.ToLower(rand.Text()[:8])
	_, err = client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
	require.NoError(t, err)
	defer func() {
		require.NoError(t, client.CoreV1().Namespaces().Delete(t.Context(), namespace, metav1.DeleteOptions{}))
	}()
	failed := node(step, spec.NodeTypePod, spec.NodeFailed)
	failed.Message = strings.Repeat("ä", 2000)
	of := &workflow.Run{ID: "uid-1", Name: "wf", Namespace: namespace}
	change := turn([]*workflow.Node{node(step, spec.NodeTypePod, spec.NodePending)}, failed)
	change.Run, change.Was = of, &workflow.State{}
	e := kubeevents.New(client, kubeevents.Config{Workflows: true, Nodes: true, AsPods: true}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	var observer coordinator.Observer = e
	observer.Committed(change)
	observer.Committed(change)
	r := &rig{Events: e, t: t, ended: make(chan error, 1)}
	r.start()
	r.stop()
	require.NoError(t, <-r.ended)
	events, err := client.CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.kind=Workflow,involvedObject.name=wf"})
	require.NoError(t, err)
	reasons := map[string]string{}
	for _, e := range events.Items {
		reasons[e.Reason] = e.Annotations["workflows.argoproj.io/node-name"]
	}
	require.Equal(t, map[string]string{"WorkflowRunning": "", "WorkflowNodeRunning": "wf[0].a", "WorkflowNodeFailed": "wf[0].a"}, reasons)
	require.Len(t, events.Items, 3)
}
