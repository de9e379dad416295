package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"argosy/worker"
	"argosy/workflow"
	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// maxPaths bounds the list that a data template starts from.
const maxPaths = 1_000_000

// data lists the keys of a store and transforms the list.
func (a *Agent) data(ctx context.Context, s *worker.Step) (workflow.Result, error) {
	source := s.Template.Data.Source.ArtifactPaths
	if source == nil {
		return workflow.Result{}, worker.Faultf(worker.ClassInvalid, "data template %q has no source: set source.artifactPaths", s.Template.Name)
	}
	keys, err := a.store.For(s).Keys(ctx, &source.Artifact)
	switch {
	case err != nil && ctx.Err() != nil:
		return workflow.Result{}, fmt.Errorf("ending the listing: %w", context.Cause(ctx))
	case err != nil:
		if fault, ok := errors.AsType[*worker.Fault](err); ok {
			return workflow.Result{}, fault
		}
		return workflow.Result{}, worker.Faultf(worker.ClassStore, "listing artifact paths: %w", err)
	case len(keys) > maxPaths:
		return workflow.Result{}, worker.Faultf(worker.ClassInvalid, "there are more than %d artifact paths", maxPaths)
	}
	var value any = anys(keys)
	for i, step := range s.Template.Data.Transformation {
		if value, err = expr.Eval(step.Expression, expr.Map{"data": value}); err != nil {
			return workflow.Result{}, worker.Faultf(worker.ClassInvalid, "transformation %d: %w", i, err)
		}
	}
	text, err := json.Marshal(value)
	if err != nil {
		return workflow.Result{}, worker.Faultf(worker.ClassInvalid, "encoding the result of the transformation: %w", err)
	}
	if len(text) > worker.MaxResult {
		return workflow.Result{}, worker.Faultf(worker.ClassInvalid, "the transformation's result has %d bytes, over the %d that a result may have", len(text), worker.MaxResult)
	}
	result := string(text)
	return workflow.Result{Phase: spec.NodeSucceeded, Outputs: &workflow.Values{Result: &result}}, nil
}

func anys(texts []string) []any {
	out := make([]any, len(texts))
	for i, text := range texts {
		out[i] = text
	}
	return out
}
