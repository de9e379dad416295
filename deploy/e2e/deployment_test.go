//go:build cluster

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	product = "argosy"      // namespace of what deploy/manifests deploys
	runs    = "argosy-runs" // namespace of workflows
)

// deployment is all of Argosy on the cluster that KUBECONFIG names.
type deployment struct {
	kube kubernetes.Interface
	url  string // of the server's API, as this process reaches it
	key  string // bearer token for it
}

// deploy applies the manifests as they are, with the images built from this tree.
func deploy(t *testing.T) *deployment {
	t.Helper()
	require.NotEmpty(t, os.Getenv("KUBECONFIG"), `there is no cluster: make cluster-up, then eval "$(bin/devcluster env)"`)
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	require.NoError(t, err)
	config.QPS, config.Burst = 100, 200
	kube, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	d := &deployment{kube: kube}

	say(t, "", "make", "-s", "bin/devcluster")
	if os.Getenv("ARGOSY_E2E_IMAGES") != "there" {
		loadImages(t)
	}

	d.remove(t) // what a test that died left behind
	t.Cleanup(func() {
		if t.Failed() {
			d.explain(t)
		}
		d.remove(t)
	})
	say(t, "", devcluster, "kubectl", "apply", "-f", "deploy/manifests/namespaces.yaml")
	secret := say(t, "", "deploy/secret.sh")
	say(t, secret, devcluster, "kubectl", "apply", "-f", "-")
	say(t, "", devcluster, "kubectl", "apply", "-k", "deploy/e2e/overlay")

	// Let it fail by itself where rolling out takes longer than it should.
	for _, workload := range []string{
		"statefulset/argosy-redis", "statefulset/argosy-minio",
		"deployment/argosy-coordinator", "deployment/argosy-server", "deployment/argosy-autoscaler",
	} {
		say(t, "", devcluster, "kubectl", "-n", product, "rollout", "status", "--timeout=2m", workload)
	}
	s, err := kube.CoreV1().Secrets(product).Get(t.Context(), "argosy", metav1.GetOptions{})
	require.NoError(t, err)
	d.key = strings.TrimSpace(string(s.Data["tokens"]))
	d.url = forward(t, "service/argosy-server", 2746)
	return d
}

// devcluster is the tool of that name; its kubectl works on any cluster.
const devcluster = "bin/devcluster"

// loadImages builds the images and gives them to the development cluster.
func loadImages(t *testing.T) {
	t.Helper()
	say(t, "", "make", "-s", "image")
	minio := strings.TrimSpace(say(t, "", devcluster, "minio-binary"))
	say(t, "", "go", "run", "./deploy/image", "redis")
	say(t, "", "go", "run", "./deploy/image", "minio", minio)
	say(t, "", devcluster, "load-image", "dist/argosy.tar", "dist/redis.tar", "dist/minio.tar")
}

// say runs a command in the root of the tree and gives what it printed.
func say(t *testing.T, stdin string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute) // building from cold
	defer cancel()
	if strings.Contains(name, "/") {
		name = filepath.Join(root(t), name)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = root(t)
	cmd.Stdin = strings.NewReader(stdin)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	require.NoError(t, err, "%s %s: %s%s", name, strings.Join(args, " "), out, &complaints)
	return string(out)
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	require.NoError(t, err)
	return dir
}

// forward makes a port of the cluster one of this machine, until the test ends.
func forward(t *testing.T, target string, port int) (url string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(root(t), devcluster), "kubectl", "-n", product,
		"port-forward", "--address=127.0.0.1", target, fmt.Sprintf(":%d", port))
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewReader(out)
	first, err := lines.ReadString('\n') // Forwarding from 127.0.0.1:41234 -> 2746
	require.NoError(t, err)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, lines)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-drained
		_ = cmd.Wait() // it was killed
	})
	_, rest, found := strings.Cut(first, "from ")
	require.True(t, found, first)
	address, _, _ := strings.Cut(rest, " ")
	return "http://" + address
}

// remove deletes all namespaces and waits until they are gone. It works after the test's
// own context has ended, too.
func (d *deployment) remove(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 3*time.Minute)
	defer cancel()
	for _, name := range []string{runs, product, nodes} {
		err := d.kube.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{})
		if !apierrors.IsNotFound(err) {
			require.NoError(t, err)
		}
	}
	for _, name := range []string{runs, product, nodes} {
		require.Eventually(t, func() bool {
			_, err := d.kube.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		}, 3*time.Minute, 200*time.Millisecond, "namespace %s does not go away", name)
	}
}

// explain logs what helps to see why a test failed.
func (d *deployment) explain(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
	defer cancel()
	for _, namespace := range []string{product, runs, nodes} {
		pods, err := d.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			t.Logf("listing the pods of %s: %v", namespace, err)
			continue
		}
		for _, pod := range pods.Items {
			t.Logf("pod %s/%s: %s %s", namespace, pod.Name, pod.Status.Phase, states(pod))
			tail := int64(30)
			for _, previous := range []bool{true, false} {
				body, err := d.kube.CoreV1().Pods(namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
					TailLines: &tail, Previous: previous,
				}).DoRaw(ctx)
				if err == nil {
					t.Logf("log of %s (previous: %t):\n%s", pod.Name, previous, body)
				}
			}
		}
		events, err := d.kube.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=Warning"})
		if err != nil {
			t.Logf("listing the events of %s: %v", namespace, err)
			continue
		}
		for _, e := range events.Items {
			t.Logf("event %s %s: %s", e.InvolvedObject.Name, e.Reason, e.Message)
		}
	}
}

func states(pod corev1.Pod) string {
	var all []string
	for _, c := range pod.Status.ContainerStatuses {
		switch {
		case c.State.Waiting != nil:
			all = append(all, c.State.Waiting.Reason)
		case c.State.Terminated != nil:
			all = append(all, fmt.Sprintf("%s exit %d", c.State.Terminated.Reason, c.State.Terminated.ExitCode))
		}
	}
	return strings.Join(all, ", ")
}
