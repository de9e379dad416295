package kube

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"argosy/workflow/spec"
)

// resourcesOf is what a pod had of each resource for how long: of each container its time, times
// what it requests by the resource's base amount. It is an estimate, as in Argo, down to the amounts
// of who requests nothing. A sidecar that has not ended yet counts until the others have.
func resourcesOf(pod *corev1.Pod) spec.ResourcesDuration {
	if pod == nil {
		return nil
	}
	statuses := slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses)
	ran := map[string]int64{}
	var last time.Time
	for i := range statuses {
		if t := statuses[i].State.Terminated; t != nil && at(t.StartedAt.Time) != 0 && at(t.FinishedAt.Time) != 0 {
			ran[statuses[i].Name] = int64(t.FinishedAt.Sub(t.StartedAt.Time).Seconds())
			if t.FinishedAt.After(last) {
				last = t.FinishedAt.Time
			}
		}
	}
	if len(ran) == 0 {
		return nil
	}
	for i := range statuses {
		if r := statuses[i].State.Running; r != nil && r.StartedAt.Time.Before(last) && at(r.StartedAt.Time) != 0 {
			ran[statuses[i].Name] = int64(last.Sub(r.StartedAt.Time).Seconds())
		}
	}
	used, shared := spec.ResourcesDuration{}, pod.Spec.Resources
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			c := &list[i]
			has := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("100Mi")}
			if shared != nil && len(c.Resources.Limits)+len(c.Resources.Requests) == 0 {
				request(has, shared)
				shared = nil // it is one amount for all containers
			}
			request(has, &c.Resources)
			for name, q := range has {
				base := spec.ResourceBase(name)
				used[name] += spec.ResourceDuration(q.AsApproximateFloat64() / base.AsApproximateFloat64() * float64(ran[c.Name]))
			}
		}
	}
	return used
}

// request notes what is requested, or else the limit, which Kubernetes takes for the request then.
func request(has corev1.ResourceList, r *corev1.ResourceRequirements) {
	for _, list := range []corev1.ResourceList{r.Limits, r.Requests} {
		for name, q := range list {
			has[name] = q
		}
	}
}
