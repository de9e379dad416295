package kube

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

func TestADaemonsPodIsReadyWithAllOfItsContainers(t *testing.T) {
	t.Parallel()
	containers := func(ready ...bool) (all []corev1.ContainerStatus) {
		for _, r := range ready {
			all = append(all, corev1.ContainerStatus{Ready: r})
		}
		return all
	}
	for name, tt := range map[string]struct {
		pod  *corev1.Pod
		want bool
	}{
		"no pod":             {nil, false},
		"not started":        {&corev1.Pod{Status: corev1.PodStatus{PodIP: "10.0.0.1"}}, false},
		"not ready":          {&corev1.Pod{Status: corev1.PodStatus{PodIP: "10.0.0.1", ContainerStatuses: containers(true, false)}}, false},
		"without an address": {&corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: containers(true)}}, false},
		"ready":              {&corev1.Pod{Status: corev1.PodStatus{PodIP: "10.0.0.1", ContainerStatuses: containers(true, true)}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, ready(tt.pod))
		})
	}
}
