package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"

	"github.com/google/uuid"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// Labels of a run that its successor does not take over, and the one that tells where it comes
// from.
const (
	labelFrom      = "workflows.argoproj.io/resubmitted-from-workflow"
	labelArchiving = "workflows.argoproj.io/workflow-archiving-status"
)

// ResubmitOptions change what Resubmit does.
type ResubmitOptions struct {
	// Memoized has what succeeded in the run skipped, with the outputs that it had.
	Memoized   bool     `json:"memoized"`
	Parameters []string `json:"parameters"` // name=value
}

// Resubmit submits the workflow of a run once more.
func (s *Service) Resubmit(ctx context.Context, namespace, name string, o ResubmitOptions) (*spec.Workflow, error) {
	r, err := s.anywhere(ctx, namespace, name, "")
	if err != nil {
		return nil, err
	}
	return s.resubmit(ctx, r, o)
}

func (s *Service) resubmit(ctx context.Context, r *Record, o ResubmitOptions) (*spec.Workflow, error) {
	plan, err := s.plan(ctx, r)
	if err != nil {
		return nil, err
	}
	args, err := override(r.Run.Arguments, o.Parameters)
	if err != nil {
		return nil, err
	}
	wf := &spec.Workflow{TypeMeta: plan.Source.TypeMeta, Spec: plan.Source.Spec}
	wf.APIVersion, wf.Kind = spec.APIVersion, spec.KindWorkflow
	wf.Namespace, wf.GenerateName = r.Run.Namespace, r.Run.Name+"-"
	if base, ok := generatedFrom(r.Run); ok {
		wf.GenerateName = base
	}
	wf.Labels = map[string]string{}
	maps.Copy(wf.Labels, r.Run.Labels)
	for _, l := range []string{
		labelCreator, labelCreatorEmail, labelCreatorUser, labelActor, labelActorEmail, labelActorUser, labelAction, labelPhase, labelCompleted, labelArchiving,
	} {
		delete(wf.Labels, l)
	}
	wf.Labels[labelFrom] = r.Run.Name
	wf.Annotations = maps.Clone(r.Run.Annotations)
	wf.Spec.Arguments, wf.Spec.Shutdown = args, spec.ShutdownStrategyNone
	if !o.Memoized {
		doc, err := json.Marshal(wf)
		if err != nil {
			return nil, fmt.Errorf("encoding the workflow: %w", err)
		}
		return s.Submit(ctx, r.Run.Namespace, doc, SubmitOptions{})
	}
	return s.memoized(ctx, r, wf, len(o.Parameters) > 0)
}

// memoized creates a run that takes over what succeeded in another.
func (s *Service) memoized(ctx context.Context, r *Record, wf *spec.Workflow, renewed bool) (*spec.Workflow, error) {
	if p := r.State.Phase; p != spec.WorkflowFailed && p != spec.WorkflowError {
		return nil, errorf(CodeInvalid, "workflow must be Failed/Error to resubmit in memoized mode")
	}
	specJSON, err := s.source(r).Spec(ctx, r.Digest)
	if err != nil {
		return nil, fmt.Errorf("reading the spec of run %s: %w", r.Run.ID, err)
	}
	if err := s.room.take(ctx); err != nil {
		return nil, err
	}
	run := &workflow.Run{
		ID: uuid.NewString(), Name: generateName(wf.GenerateName), Generated: true, Namespace: wf.Namespace, Created: workflow.At(s.now()),
		Labels: creates(ctx, wf.Labels), Annotations: wf.Annotations, Arguments: wf.Spec.Arguments,
		From: &workflow.Origin{ID: r.Run.ID, Name: r.Run.Name, Renewed: renewed},
	}
	s.expect(ctx, run)
	if err := create(ctx, s.store.Submit, run, wf, specJSON); err != nil {
		return nil, fmt.Errorf("resubmitting %s/%s: %w", r.Run.Namespace, r.Run.Name, err)
	}
	s.log.Info("accepted", "hop", "submit", "run", run.ID, "namespace", run.Namespace, "name", run.Name, "from", r.Run.Name)
	created, err := s.store.Head(ctx, run.ID)
	if errors.Is(err, ErrNotFound) {
		return nil, notFound(run.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("loading run %s: %w", run.ID, err)
	}
	return s.object(ctx, created)
}

// generatedFrom is what a run's name was generated from.
func generatedFrom(run *workflow.Run) (string, bool) {
	if !run.Generated || len(run.Name) <= nameSuffix {
		return "", false
	}
	return run.Name[:len(run.Name)-nameSuffix], true
}

func (h *HTTP) resubmit(r *http.Request) (any, error) {
	var o ResubmitOptions
	if err := readBody(r, &o); err != nil {
		return nil, err
	}
	return h.Service.Resubmit(r.Context(), r.PathValue("namespace"), r.PathValue("name"), o)
}
