package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// ResourceBase is the amount of a resource whose use for a second counts as one second.
func ResourceBase(name corev1.ResourceName) resource.Quantity {
	switch name {
	case corev1.ResourceMemory:
		return resource.MustParse("100Mi")
	case corev1.ResourceStorage, corev1.ResourceEphemeralStorage:
		return resource.MustParse("10Gi")
	}
	return resource.MustParse("1")
}

// Add returns the sum of both, and changes neither.
func (d ResourcesDuration) Add(o ResourcesDuration) ResourcesDuration {
	switch {
	case len(o) == 0:
		return d
	case len(d) == 0:
		return o
	}
	sum := maps.Clone(d)
	for name, seconds := range o {
		sum[name] += seconds
	}
	return sum
}

// String is how Argo writes it: 4s*(1 cpu),41s*(100Mi memory).
func (d ResourcesDuration) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(d)) {
		base := ResourceBase(name)
		parts = append(parts, fmt.Sprintf("%s*(%s %s)", time.Duration(d[name])*time.Second, base.String(), name))
	}
	return strings.Join(parts, ",")
}
