package cron

import (
	"encoding/json"
	"fmt"
	"time"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// scope is what expressions of a CronWorkflow know.
func scope(c *spec.CronWorkflow, s *State, now time.Time) (expr.Scope, error) {
	m := expr.Map{
		"cronworkflow.name": c.Name, "cronworkflow.namespace": c.Namespace,
		"cronworkflow.failed": int(s.Failed), "cronworkflow.succeeded": int(s.Succeeded),
		"cronworkflow.lastScheduledTime": nil,
	}
	if s.Scheduled != 0 {
		m["cronworkflow.lastScheduledTime"] = s.Scheduled.Time().UTC()
	}
	for name, set := range map[string]map[string]string{"labels": c.Labels, "annotations": c.Annotations} {
		whole := make(map[string]any, len(set))
		for k, v := range set {
			whole[k] = v
			m["cronworkflow."+name+"."+k] = v
		}
		text, err := json.Marshal(set)
		if err != nil {
			return nil, fmt.Errorf("writing the %s: %w", name, err)
		}
		m["cronworkflow."+name] = whole
		m["cronworkflow."+name+".json"] = string(text)
	}
	return expr.At(m, now), nil
}

// proceeds evaluates the `when` of a CronWorkflow.
func proceeds(c *spec.CronWorkflow, s *State, now time.Time) (bool, error) {
	if c.Spec.When == "" {
		return true, nil
	}
	known, err := scope(c, s, now)
	if err != nil {
		return false, err
	}
	text, err := expr.Substitute(c.Spec.When, known, expr.Strict)
	if err != nil {
		return false, err
	}
	return expr.When(text)
}

// stops evaluates the stop strategy.
func stops(c *spec.CronWorkflow, s *State, now time.Time) (bool, error) {
	if c.Spec.StopStrategy == nil {
		return false, nil
	}
	known, err := scope(c, s, now)
	if err != nil {
		return false, err
	}
	stop, err := expr.EvalBool(c.Spec.StopStrategy.Expression, known)
	if err != nil {
		return false, fmt.Errorf("failed to check CronWorkflow '%s' stopping condition: failed to evaluate stop expression: %w", c.Name, err)
	}
	return stop, nil
}
