package kube

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"argosy/workflow/spec"
)

func resourceOf(text string) resource.Quantity { return resource.MustParse(text) }

// ranFor is a pod whose main container ran for three seconds, with resources.
func ranFor(adjust func(*corev1.PodSpec)) *corev1.Pod {
	pod := podIn(corev1.PodSucceeded, terminated(0, "Completed", ""))
	pod.Spec.Containers = []corev1.Container{{Name: mainContainer}}
	if adjust != nil {
		adjust(&pod.Spec)
	}
	return pod
}

// alongside adds a container that still runs, since some time after the main one's start.
func alongside(pod *corev1.Pod, name string, since time.Duration) *corev1.Pod {
	began := pod.Status.ContainerStatuses[0].State.Terminated.StartedAt.Add(since)
	pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
		Name: name, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Time{Time: began}}},
	})
	return pod
}

func TestWhatAPodHadOfResourcesIsCounted(t *testing.T) {
	t.Parallel()
	list := func(cpu, memory string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resourceOf(cpu), corev1.ResourceMemory: resourceOf(memory)}
	}
	for name, tt := range map[string]struct {
		pod  *corev1.Pod
		want spec.ResourcesDuration
	}{
		"no pod":           {nil, nil},
		"it never ran":     {podIn(corev1.PodPending), nil},
		"nothing is asked": {ranFor(nil), spec.ResourcesDuration{"cpu": 0, "memory": 3}},
		"requests go before limits": {ranFor(func(p *corev1.PodSpec) {
			p.Containers[0].Resources = corev1.ResourceRequirements{Requests: list("2", "50Mi"), Limits: list("4", "1Gi")}
		}), spec.ResourcesDuration{"cpu": 6, "memory": 1}},
		"limits": {ranFor(func(p *corev1.PodSpec) {
			p.Containers[0].Resources.Limits = corev1.ResourceList{"example.com/gpu": resourceOf("2")}
		}), spec.ResourcesDuration{"cpu": 0, "memory": 3, "example.com/gpu": 6}},
		"a sidecar that goes on": {alongside(ranFor(func(p *corev1.PodSpec) {
			p.Containers = append(p.Containers, corev1.Container{Name: "db", Resources: corev1.ResourceRequirements{Requests: list("1", "100Mi")}})
		}), "db", -2*time.Second), spec.ResourcesDuration{"cpu": 5, "memory": 8}},
		"one that began after the others": {alongside(ranFor(func(p *corev1.PodSpec) {
			p.Containers = append(p.Containers, corev1.Container{Name: "db"})
		}), "db", 10*time.Second), spec.ResourcesDuration{"cpu": 0, "memory": 3}},
		"the pod's own count once": {ranFor(func(p *corev1.PodSpec) {
			r := corev1.ResourceRequirements{Requests: list("1", "200Mi")}
			p.Resources = &r
			p.Containers = append(p.Containers, corev1.Container{Name: "other"})
		}), spec.ResourcesDuration{"cpu": 3, "memory": 6}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, resourcesOf(tt.pod))
		})
	}
}
