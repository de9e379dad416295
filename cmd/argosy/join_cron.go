package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"argosy/coordinator"
	"argosy/server"
	"argosy/workflow/spec"
)

// scheduled submits what a CronWorkflow wants, as if a user did.
func (s service) scheduled(ctx context.Context, id string, wf *spec.Workflow) error {
	doc, err := json.Marshal(wf)
	if err != nil {
		return fmt.Errorf("encoding the workflow: %w", err)
	}
	_, err = s.Submit(ctx, wf.Namespace, doc, server.SubmitOptions{ID: id})
	var answer *server.Error
	if !errors.As(err, &answer) {
		return err
	}
	switch answer.Code {
	case server.CodeExists: // somebody took the name
		return nil
	case server.CodeInvalid, server.CodePrecondition, server.CodeForbidden:
		return &coordinator.RefusedError{Reason: err}
	case server.CodeExhausted:
		return fmt.Errorf("%w: %w", coordinator.ErrNoRoom, err)
	}
	return err
}
