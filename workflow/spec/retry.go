package spec

import "k8s.io/apimachinery/pkg/util/intstr"

// RetryStrategy says when a template that failed runs again.
type RetryStrategy struct {
	Limit       *intstr.IntOrString `json:"limit,omitempty"`
	RetryPolicy RetryPolicy         `json:"retryPolicy,omitempty"`
	Backoff     *Backoff            `json:"backoff,omitempty"`
	Affinity    *RetryAffinity      `json:"affinity,omitempty"`
	Expression  string              `json:"expression,omitempty"`
}

// RetryPolicy is the set of ends that are retried.
type RetryPolicy string

// The retry policies.
const (
	RetryPolicyAlways           RetryPolicy = "Always"
	RetryPolicyOnFailure        RetryPolicy = "OnFailure"
	RetryPolicyOnError          RetryPolicy = "OnError"
	RetryPolicyOnTransientError RetryPolicy = "OnTransientError"
)

// RetryPolicyActual is the policy that holds: Always where only an expression is given, and
// OnFailure where nothing is.
func (s *RetryStrategy) RetryPolicyActual() RetryPolicy {
	switch {
	case s.RetryPolicy != "":
		return s.RetryPolicy
	case s.Expression != "":
		return RetryPolicyAlways
	}
	return RetryPolicyOnFailure
}

// Backoff is the wait between attempts.
type Backoff struct {
	Duration    string              `json:"duration,omitempty"`
	Factor      *intstr.IntOrString `json:"factor,omitempty"`
	MaxDuration string              `json:"maxDuration,omitempty"`
	Cap         string              `json:"cap,omitempty"`
}

// RetryAffinity keeps an attempt off the hosts of earlier ones.
type RetryAffinity struct {
	NodeAntiAffinity *RetryNodeAntiAffinity `json:"nodeAntiAffinity,omitempty"`
}

// RetryNodeAntiAffinity turns the anti-affinity on; it has no fields.
type RetryNodeAntiAffinity struct{}
