package kube

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

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
