package spec

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// ContainerSetTemplate is a graph of containers in one pod.
type ContainerSetTemplate struct {
	Containers    []ContainerNode            `json:"containers"`
	VolumeMounts  []corev1.VolumeMount       `json:"volumeMounts,omitempty"`
	RetryStrategy *ContainerSetRetryStrategy `json:"retryStrategy,omitempty"`
}

// ContainerNode is one container of the set.
type ContainerNode struct {
	corev1.Container `json:",inline"`
	Dependencies     []string `json:"dependencies,omitempty"`
}

// ContainerSetRetryStrategy runs a container's command again within the container.
type ContainerSetRetryStrategy struct {
	Duration string              `json:"duration,omitempty"`
	Retries  *intstr.IntOrString `json:"retries"`
}
