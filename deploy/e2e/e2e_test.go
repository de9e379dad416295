//go:build cluster

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/yaml"
)

func TestAFleetAtZeroScalesUpLosesAWorkerFinishesTheRunAndReturnsToZero(t *testing.T) {
	d := deploy(t)
	fleet := d.watchFleet(t)
	require.Zero(t, fleet.now.Load(), "the fleet starts at zero")

	name := d.submit(t, "testdata/fleet.yaml")
	started := time.Now()
	d.killAWorkerAtWork(t)
	var wf workflow
	require.Eventually(t, func() bool {
		err := d.call(t.Context(), http.MethodGet, "/api/v1/workflows/"+runs+"/"+name, nil, &wf)
		return err == nil && ended(wf.Status.Phase)
	}, 3*time.Minute, 200*time.Millisecond, "the run does not end")
	t.Logf("the run took %v with at most %d workers", time.Since(started).Round(100*time.Millisecond), fleet.most.Load())
	require.Equal(t, "Succeeded", wf.Status.Phase, wf.Status.Message)
	require.Equal(t, "147", wf.total(), "7 x (1 + ... + 6)")
	require.GreaterOrEqual(t, fleet.most.Load(), int32(2), "six steps of two slots a worker want more than one worker")

	d.checkSteps(t, name)

	require.Eventually(t, func() bool { return fleet.now.Load() == 0 }, time.Minute, 100*time.Millisecond,
		"the fleet does not return to zero")
	require.Eventually(t, func() bool {
		pods, err := d.kube.CoreV1().Pods(product).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=argosy-worker"})
		return err == nil && len(pods.Items) == 0
	}, time.Minute, 200*time.Millisecond, "workers stay")

	t.Run("rights", func(t *testing.T) { d.checkRights(t) })
	t.Run("with the runner on nodes", func(t *testing.T) { d.checkNodeRunner(t) })
}

// killAWorkerAtWork waits until six steps run at once and takes one of their workers away
// without a word. Its steps go on, and another worker takes them over: see checkSteps.
func (d *deployment) killAWorkerAtWork(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		pods, err := d.kube.CoreV1().Pods(runs).List(t.Context(), metav1.ListOptions{FieldSelector: "status.phase=Running"})
		return err == nil && len(pods.Items) == 6
	}, time.Minute, 100*time.Millisecond, "six steps do not run at the same time")
	workers, err := d.kube.CoreV1().Pods(product).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=argosy-worker"})
	require.NoError(t, err)
	require.Len(t, workers.Items, 3, "six steps of two slots a worker")
	victim := workers.Items[0].Name
	t.Logf("killing %s", victim)
	now := int64(0)
	require.NoError(t, d.kube.CoreV1().Pods(product).Delete(t.Context(), victim, metav1.DeleteOptions{GracePeriodSeconds: &now}))
}

// fleet is what a watch of the workers' Deployment has seen.
type fleet struct{ now, most atomic.Int32 }

func (d *deployment) watchFleet(t *testing.T) *fleet {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	deployments := d.kube.AppsV1().Deployments(product)
	first, err := deployments.Get(ctx, "argosy-worker", metav1.GetOptions{})
	require.NoError(t, err)
	f := &fleet{}
	f.now.Store(*first.Spec.Replicas)
	w, err := deployments.Watch(ctx, metav1.ListOptions{
		FieldSelector:   fields.OneTermEqualSelector("metadata.name", "argosy-worker").String(),
		ResourceVersion: first.ResourceVersion,
	})
	require.NoError(t, err)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for event := range w.ResultChan() {
			if deployment, ok := event.Object.(*appsv1.Deployment); ok {
				n := *deployment.Spec.Replicas
				if f.now.Swap(n) != n {
					t.Logf("the fleet is set to %d", n)
				}
				f.most.Store(max(f.most.Load(), n))
			}
		}
	}()
	t.Cleanup(func() {
		w.Stop()
		cancel()
		<-watched
	})
	return f
}

// workflow is what the test reads of Argo's object.
type workflow struct {
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Status struct {
		Phase   string `json:"phase"`
		Message string `json:"message"`
		Outputs struct {
			Parameters []struct {
				Name  string `json:"name"`
				Value string `json:"value"`
			} `json:"parameters"`
		} `json:"outputs"`
	} `json:"status"`
}

func (w workflow) total() string {
	for _, p := range w.Status.Outputs.Parameters {
		if p.Name == "total" {
			return p.Value
		}
	}
	return ""
}

func (d *deployment) submit(t *testing.T, path string) (name string) {
	t.Helper()
	body, err := os.ReadFile(path)
	require.NoError(t, err)
	asJSON, err := yaml.YAMLToJSON(body)
	require.NoError(t, err)
	var wf workflow
	require.NoError(t, d.call(t.Context(), http.MethodPost, "/api/v1/workflows/"+runs, map[string]json.RawMessage{"workflow": asJSON}, &wf))
	require.NotEmpty(t, wf.Metadata.Name)
	return wf.Metadata.Name
}

func ended(phase string) bool { return phase == "Succeeded" || phase == "Failed" || phase == "Error" }

// call sends a request to the server's API and decodes the answer.
func (d *deployment) call(ctx context.Context, method, path string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, d.url+path, bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+d.key)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, said)
	}
	return json.Unmarshal(said, into)
}

// checkSteps looks at the Jobs of the run's steps: one each and one pod each, although a
// worker died, and none of them with a credential of ours.
func (d *deployment) checkSteps(t *testing.T, name string) {
	t.Helper()
	s, err := d.kube.CoreV1().Secrets(product).Get(t.Context(), "argosy", metav1.GetOptions{})
	require.NoError(t, err)
	jobs, err := d.kube.BatchV1().Jobs(runs).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, jobs.Items, 8, "one Job for each step of %s", name)
	pods, err := d.kube.CoreV1().Pods(runs).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, pods.Items, 8, "no step of %s was started twice", name)
	for _, job := range jobs.Items {
		spec := job.Spec.Template.Spec
		require.NotNil(t, spec.AutomountServiceAccountToken, job.Name)
		require.False(t, *spec.AutomountServiceAccountToken, job.Name)
		whole, err := json.Marshal(job)
		require.NoError(t, err)
		for key, value := range s.Data {
			require.NotContains(t, string(whole), string(value), "%s holds %s", job.Name, key)
		}
		require.NotContains(t, strings.ToLower(string(whole)), "redis://", job.Name)
	}
}

// checkRights asks Kubernetes what our accounts may do.
func (d *deployment) checkRights(t *testing.T) {
	tests := []struct {
		account, verb, group, resource, namespace string
		want                                      bool
	}{
		{"argosy-worker", "create", "batch", "jobs", runs, true},
		{"argosy-worker", "create", "batch", "jobs", product, false},
		{"argosy-worker", "create", "batch", "jobs", "default", false},
		{"argosy-worker", "create", "", "pods", runs, false},
		{"argosy-worker", "create", "", "configmaps", runs, false},
		{"argosy-worker", "get", "", "secrets", runs, false},
		{"argosy-worker", "get", "", "secrets", product, false},
		{"argosy-worker", "update", "apps", "deployments", product, false},
		{"argosy-autoscaler", "update", "apps", "deployments", product, false},
		{"argosy-autoscaler", "create", "batch", "jobs", runs, false},
		{"argosy-autoscaler", "get", "", "secrets", product, false},
		{"argosy", "list", "", "pods", product, false},
		{"argosy", "get", "", "secrets", product, false},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%s %s %s in %s", test.account, test.verb, test.resource, test.namespace), func(t *testing.T) {
			review, err := d.kube.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
				Spec: authorizationv1.SubjectAccessReviewSpec{
					User:   "system:serviceaccount:" + product + ":" + test.account,
					Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + product, "system:authenticated"},
					ResourceAttributes: &authorizationv1.ResourceAttributes{
						Namespace: test.namespace, Verb: test.verb, Group: test.group, Resource: test.resource,
					},
				},
			}, metav1.CreateOptions{})
			require.NoError(t, err)
			require.Equal(t, test.want, review.Status.Allowed)
		})
	}
}
