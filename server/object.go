package server

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// Labels that Argo keeps on every workflow.
const (
	labelPhase     = "workflows.argoproj.io/phase"
	labelCompleted = "workflows.argoproj.io/completed"
)

// maxPlans bounds the cache of compiled specs; beyond it any one makes room.
const maxPlans = 256

// source is where the nodes of a run are.
func (s *Service) source(r *Record) Source {
	if r.From != nil {
		return r.From
	}
	return s.store
}

// plan compiles the spec of a run, or returns what was compiled before: a spec is
// named by its content and never changes.
func (s *Service) plan(ctx context.Context, r *Record) (*workflow.Plan, error) {
	digest := r.Digest
	s.mu.Lock()
	p := s.plans[digest]
	s.mu.Unlock()
	if p != nil {
		return p, nil
	}
	data, err := s.source(r).Spec(ctx, digest)
	if err != nil {
		return nil, fmt.Errorf("reading a run's spec: %w", err)
	}
	var wf spec.Workflow
	if err := json.Unmarshal(data, &wf); err != nil {
		return nil, fmt.Errorf("decoding spec %s: %w", digest, err)
	}
	if p, err = workflow.Compile(&wf); err != nil {
		return nil, fmt.Errorf("compiling spec %s: %w", digest, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.plans) >= maxPlans {
		for other := range s.plans {
			delete(s.plans, other)
			break
		}
	}
	s.plans[digest] = p
	return p, nil
}

// object makes the Workflow that clients see of a record. Without nodes the status is what
// a list shows.
func (s *Service) object(ctx context.Context, r *Record) (*spec.Workflow, error) {
	plan, err := s.plan(ctx, r)
	if err != nil {
		return nil, err
	}
	v := &workflow.View{Run: r.Run, Plan: plan, State: r.State, Complete: true}
	if r.Nodes != nil {
		if v.Nodes, v.Cut, err = s.shown(ctx, r); err != nil {
			return nil, err
		}
	}
	wf := &spec.Workflow{
		TypeMeta:   metav1.TypeMeta{APIVersion: spec.APIVersion, Kind: spec.KindWorkflow},
		ObjectMeta: metadata(r),
		Spec:       plan.Source.Spec,
		Status:     workflow.Status(v, r.Held),
	}
	if v.Cut != nil {
		if err := markCut(wf, v); err != nil {
			return nil, err
		}
	}
	if r.Nodes != nil {
		if err := s.estimate(ctx, r.Run, wf); err != nil {
			return nil, err
		}
	}
	wf.Spec.Arguments = r.Run.Arguments
	if r.Nodes != nil {
		wf.Status.StoredTemplates = plan.Source.Status.StoredTemplates
		if joined := plan.Source.Status.StoredWorkflowSpec; joined != nil {
			whole := *joined
			whole.Arguments = r.Run.Arguments
			wf.Status.StoredWorkflowSpec = &whole
		}
	}
	wf.Spec.Suspend = nil
	if r.State.Suspended || r.State.Phase == "" && plan.Spec.Suspend != nil && *plan.Spec.Suspend {
		wf.Spec.Suspend = new(true)
	}
	if r.State.Shutdown != "" {
		wf.Spec.Shutdown = spec.ShutdownStrategy(r.State.Shutdown)
	}
	if r.Nodes == nil {
		wf.Status.Nodes = nil
	}
	return wf, nil
}

func metadata(r *Record) metav1.ObjectMeta {
	base, _ := generatedFrom(r.Run)
	return metav1.ObjectMeta{
		GenerateName: base,
		Name:         r.Run.Name, Namespace: r.Run.Namespace, UID: uidOf(r.Run),
		CreationTimestamp: metav1.Time{Time: r.Run.Created.Time()},
		ResourceVersion:   strconv.FormatInt(r.Version, 10),
		Labels:            labelsOf(r), Annotations: r.Run.Annotations,
	}
}

// Labels are those that a run has that is in this state.
func Labels(run *workflow.Run, state *workflow.State) map[string]string {
	return labelsOf(&Record{Run: run, State: *state})
}

// labelsOf are the run's own labels and those that Argo derives from its state.
func labelsOf(r *Record) map[string]string {
	out := make(map[string]string, len(r.Run.Labels)+2)
	maps.Copy(out, r.Run.Labels)
	maps.Copy(out, r.State.By)
	phase := r.State.Phase
	if phase == "" {
		phase = spec.WorkflowPending
	}
	out[labelPhase] = string(phase)
	out[labelCompleted] = strconv.FormatBool(phase.Completed())
	if a := r.State.Archiving; a != "" {
		out[labelArchiving] = string(a)
	}
	return out
}
