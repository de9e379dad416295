package workflow

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"argosy/workflow/spec"
)

// conditions are what Argo observes of a run beside its phase. held has the leaves that a
// worker has taken; nil is not known.
func conditions(s *State, held map[Key]bool) spec.Conditions {
	var all spec.Conditions
	add := func(kind spec.ConditionType, holds bool, message string) {
		status := metav1.ConditionFalse
		if holds {
			status = metav1.ConditionTrue
		}
		all = append(all, spec.Condition{Type: kind, Status: status, Message: message})
	}
	if held != nil && s.Total > 0 {
		running := false
		for _, taken := range held {
			running = running || taken
		}
		add(spec.ConditionTypePodRunning, running && s.Finished == 0, "")
	}
	if s.BadSpec {
		add(spec.ConditionTypeSpecError, true, s.Message)
	}
	if s.MetricsError != "" {
		add(spec.ConditionTypeMetricsError, true, s.MetricsError)
	}
	if s.Finished != 0 {
		add(spec.ConditionTypeCompleted, true, "")
	}
	return all
}
