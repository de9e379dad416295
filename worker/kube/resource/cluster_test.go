//go:build cluster

package resource

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"argosy/worker"
	"argosy/worker/executortest"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// real is a namespace of the cluster, with an executor that acts in it and an account that may
// do what the tests do.
type real struct {
	*Executor
	client    kubernetes.Interface
	namespace string
}

func newReal(t *testing.T) *real {
	t.Helper()
	path := os.Getenv("KUBECONFIG")
	require.NotEmpty(t, path, "run `make cluster-up` and `eval \"$(bin/devcluster env)\"`")
	config, err := clientcmd.BuildConfigFromFlags("", path)
	require.NoError(t, err)
	config.QPS, config.Burst = 100, 200
	client, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	r := &real{client: client, namespace: fmt.Sprintf("resource-%x", time.Now().UnixNano())}
	ctx := t.Context()
	_, err = client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: r.namespace}}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, client.CoreV1().Namespaces().Delete(context.Background(), r.namespace, metav1.DeleteOptions{}))
	})
	for _, name := range []string{"robot", "nobody"} {
		_, err = client.CoreV1().ServiceAccounts(r.namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	_, err = client.RbacV1().Roles(r.namespace).Create(ctx, &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "robot"},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"*"}},
			{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"create", "get", "delete"}}, // and no watch
			{APIGroups: []string{"batch"}, Resources: []string{"jobs"}, Verbs: []string{"*"}},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = client.RbacV1().RoleBindings(r.namespace).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "robot"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "robot"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: r.namespace, Name: "robot"}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	cluster := NewCluster(ClusterConfig{Owner: r.namespace}, client, config)
	r.Executor = New(nil, cluster, nil, executortest.NewStore(), "here")
	return r
}

// do acts as the account that may, in a run of its own for each id.
func (r *real) do(t *testing.T, id string, delivery int, do spec.ResourceTemplate, outputs ...spec.Parameter) workflow.Result {
	t.Helper()
	s := step(do, outputs...)
	s.Run = &workflow.Run{ID: id, Name: id, Namespace: r.namespace}
	s.Delivery, s.Spec.ServiceAccountName = delivery, "robot"
	result, err := r.Execute(t.Context(), s)
	require.NoError(t, err)
	return result
}

func succeeded(t *testing.T, r workflow.Result) {
	t.Helper()
	require.Equal(t, spec.NodeSucceeded, r.Phase, r.Message)
}

func TestActionsOnAClustersObjects(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	data := func() map[string]string {
		m, err := r.client.CoreV1().ConfigMaps(r.namespace).Get(t.Context(), "cm", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		require.NoError(t, err)
		return m.Data
	}
	for i, tt := range []struct {
		do    spec.ResourceTemplate
		after map[string]string
	}{
		{spec.ResourceTemplate{Action: "create", Manifest: manifest + "data: {a: '1'}"}, map[string]string{"a": "1"}},
		{spec.ResourceTemplate{Action: "patch", Manifest: manifest + "data: {b: '2'}"}, map[string]string{"a": "1", "b": "2"}},
		{spec.ResourceTemplate{Action: "patch", MergeStrategy: "merge", Manifest: "data: {a: null}", Flags: []string{"cm", "cm"}}, map[string]string{"b": "2"}},
		{spec.ResourceTemplate{Action: "patch", MergeStrategy: "json", Manifest: "- {op: add, path: /data/c, value: '3'}", Flags: []string{"configmap", "cm"}}, map[string]string{"b": "2", "c": "3"}},
		{spec.ResourceTemplate{Action: "replace", Manifest: manifest + "data: {d: '4'}"}, map[string]string{"d": "4"}},
		{spec.ResourceTemplate{Action: "apply", Manifest: manifest + "data: {d: '5', e: '6'}"}, map[string]string{"d": "5", "e": "6"}},
		{spec.ResourceTemplate{Action: "apply", Manifest: manifest + "data: {d: '5'}"}, map[string]string{"d": "5"}},
		{spec.ResourceTemplate{Action: "delete", Flags: []string{"cm", "cm"}}, nil},
		{spec.ResourceTemplate{Action: "apply", Manifest: manifest + "data: {f: '7'}"}, map[string]string{"f": "7"}},
	} {
		succeeded(t, r.do(t, fmt.Sprintf("run-%d", i), 1, tt.do))
		require.Equal(t, tt.after, data(), "after %s, number %d", tt.do.Action, i)
	}
	strict := r.do(t, "strict", 1, spec.ResourceTemplate{Action: "create", Manifest: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndatum: {}"})
	require.Equal(t, spec.NodeFailed, strict.Phase)
	require.Contains(t, strict.Message, `unknown field "datum"`)
	succeeded(t, r.do(t, "lax", 1, spec.ResourceTemplate{Action: "create", Manifest: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndatum: {}", Flags: []string{"--validate=false"}}))
}

func TestAPodIsMadeAndAwaited(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	pod := func(command string) spec.ResourceTemplate {
		return spec.ResourceTemplate{
			Action: "create", SuccessCondition: "status.phase == Succeeded", FailureCondition: "status.phase == Failed",
			Manifest: "apiVersion: v1\nkind: Pod\nmetadata: {generateName: made-}\nspec:\n  restartPolicy: Never\n  containers:\n" +
				"  - {name: main, image: busybox:latest, imagePullPolicy: IfNotPresent, command: [sh, -c, '" + command + "']}",
		}
	}
	out := []spec.Parameter{
		{Name: "name", ValueFrom: &spec.ValueFrom{JSONPath: "{.metadata.name}"}},
		{Name: "phase", ValueFrom: &spec.ValueFrom{JQFilter: ".status.phase"}},
	}
	well := r.do(t, "well", 1, pod("sleep 1"), out...)
	succeeded(t, well)
	require.Equal(t, "Succeeded", well.Outputs.Parameters[1].Value)
	badly := r.do(t, "badly", 1, pod("exit 3"), out...)
	require.Equal(t, spec.NodeFailed, badly.Phase)
	require.Contains(t, badly.Message, "failure condition '{status.phase == [Failed]}' evaluated true")

	// Two workers have the same step.
	var both sync.WaitGroup
	names := make([]string, 2)
	for i := range names {
		both.Go(func() {
			if made := r.do(t, "shared", i+1, pod("sleep 1"), out...); made.Phase == spec.NodeSucceeded {
				names[i] = made.Outputs.Parameters[0].Value
			}
		})
	}
	both.Wait()
	require.NotEmpty(t, names[0])
	require.Equal(t, names[0], names[1])
	pods, err := r.client.CoreV1().Pods(r.namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, pods.Items, 3)
}

func TestAnAccountMayDoWhatItMayAndNoMore(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	for account, message := range map[string]string{
		"nobody": `User "system:serviceaccount:` + r.namespace + `:nobody" cannot get resource "configmaps"`,
		"":       `User "system:serviceaccount:` + r.namespace + `:default" cannot get resource "configmaps"`,
	} {
		s := step(spec.ResourceTemplate{Action: "get", Manifest: manifest})
		s.Run = &workflow.Run{ID: "1", Name: "wf", Namespace: r.namespace}
		s.Template.ServiceAccountName = account
		got, err := r.Execute(t.Context(), s)
		require.NoError(t, err)
		require.Equal(t, spec.NodeFailed, got.Phase)
		require.Contains(t, got.Message, "Error from server (Forbidden)")
		require.Contains(t, got.Message, message)
	}
	secrets := r.do(t, "secrets", 1, spec.ResourceTemplate{Action: "get", Flags: []string{"secret", "any"}})
	require.Contains(t, secrets.Message, `cannot get resource "secrets"`)
	elsewhere := r.do(t, "elsewhere", 1, spec.ResourceTemplate{Action: "get", Flags: []string{"configmap", "kube-root-ca.crt", "-n", "kube-system"}})
	require.Contains(t, elsewhere.Message, "Forbidden")

	s := step(spec.ResourceTemplate{Action: "get", Manifest: manifest})
	s.Run = &workflow.Run{ID: "1", Name: "wf", Namespace: r.namespace}
	s.Template.ServiceAccountName = "missing"
	_, err := r.Execute(t.Context(), s)
	var fault *worker.Fault
	require.ErrorAs(t, err, &fault)
	require.Equal(t, worker.ClassInvalid, fault.Class)
}

func TestKubernetesDeletesWhatADeletedRunOwned(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	own := spec.ResourceTemplate{Action: "create", SetOwnerReference: true, Manifest: manifest}
	succeeded(t, r.do(t, "owner", 1, own))
	own.Manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}"
	succeeded(t, r.do(t, "owner", 1, own))
	there := func() int {
		n := 0
		for _, name := range []string{"cm", "other"} {
			if _, err := r.client.CoreV1().ConfigMaps(r.namespace).Get(t.Context(), name, metav1.GetOptions{}); err == nil {
				n++
			}
		}
		return n
	}
	require.NoError(t, r.cluster.Sweep(t.Context(), "", func(context.Context, string) (bool, error) { return false, nil }))
	require.Equal(t, 2, there())
	require.NoError(t, r.cluster.Sweep(t.Context(), "", func(context.Context, string) (bool, error) { return true, nil }))
	require.Eventually(t, func() bool { return there() == 0 }, time.Minute, 200*time.Millisecond)
}
