package workflow

import (
	"bytes"
	"encoding/json"
	"fmt"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// forPods is what of a workflow's spec shapes each of its pods.
func forPods(s *spec.WorkflowSpec) *spec.WorkflowSpec {
	return &spec.WorkflowSpec{
		ServiceAccountName: s.ServiceAccountName, AutomountServiceAccountToken: s.AutomountServiceAccountToken,
		Executor: s.Executor, Volumes: s.Volumes, VolumeClaimTemplates: s.VolumeClaimTemplates,
		NodeSelector: s.NodeSelector, Affinity: s.Affinity, Tolerations: s.Tolerations,
		ImagePullSecrets: s.ImagePullSecrets, HostNetwork: s.HostNetwork, DNSPolicy: s.DNSPolicy, DNSConfig: s.DNSConfig,
		SchedulerName: s.SchedulerName, PodPriorityClassName: s.PodPriorityClassName, HostAliases: s.HostAliases,
		SecurityContext: s.SecurityContext, PodSpecPatch: s.PodSpecPatch, PodMetadata: s.PodMetadata,
		PodResources: s.PodResources, ResourceClaims: s.ResourceClaims,
		VolumeClaimGC: s.VolumeClaimGC, PodGC: s.PodGC, PodDisruptionBudget: s.PodDisruptionBudget,
	}
}

// compilePods keeps the text of what shapes pods, if it has tags to substitute.
func (p *Plan) compilePods() error {
	data, err := json.Marshal(forPods(p.Spec))
	if err != nil {
		return fmt.Errorf("compiling what holds for all pods: %w", err)
	}
	if bytes.Contains(data, []byte("{{")) {
		p.pods = data
	}
	return nil
}

// PodSpec is the spec of a run with that substituted which holds for each of its pods: it may
// name workflow.* only. What is not for pods is as it was written, or missing.
func (p *Plan) PodSpec(run *Run) (*spec.WorkflowSpec, error) {
	if p.pods == nil {
		return p.Spec, nil
	}
	data, err := expr.SubstituteJSON(p.pods, &nodeScope{plan: p, run: run, node: &Node{Key: Root}}, expr.Lenient)
	if err != nil {
		return nil, fmt.Errorf("resolving what holds for all pods: %w", err)
	}
	filled := &spec.WorkflowSpec{}
	if err := json.Unmarshal(data, filled); err != nil {
		return nil, fmt.Errorf("decoding what holds for all pods: %w", err)
	}
	return filled, nil
}
