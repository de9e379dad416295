package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"argosy/workflow/spec"
)

// RetryArchived brings an archived run back and has it go on: what failed runs again.
func (s *Service) RetryArchived(ctx context.Context, namespace, uid string, o RetryOptions) (*spec.Workflow, error) {
	r, err := s.archivedRun(ctx, namespace, "", uid)
	if err != nil {
		return nil, err
	}
	// What cannot be retried stays where it is.
	if _, _, err := s.again(ctx, r, o); err != nil {
		return nil, err
	}
	switch err := s.archive.Restore(ctx, r.Run.Namespace, uid); {
	case errors.Is(err, ErrExists):
		return nil, errorf(CodeExists, "Workflow already exists on cluster, use argo retry {name} instead")
	case errors.Is(err, ErrNotFound):
		return nil, errArchive()
	case err != nil:
		return nil, fmt.Errorf("bringing run %s back from the archive: %w", uid, err)
	}
	s.log.Info("brought back from the archive", "hop", "submit", "run", uid, "namespace", r.Run.Namespace, "name", r.Run.Name)
	return s.Retry(ctx, r.Run.Namespace, r.Run.Name, o)
}

// ResubmitArchived submits the workflow of an archived run once more.
func (s *Service) ResubmitArchived(ctx context.Context, namespace, uid string, o ResubmitOptions) (*spec.Workflow, error) {
	r, err := s.archivedRun(ctx, namespace, "", uid)
	if err != nil {
		return nil, err
	}
	return s.resubmit(ctx, r, o)
}

func (h *HTTP) retryArchived(r *http.Request) (any, error) {
	var o struct {
		Namespace string `json:"namespace"`
		RetryOptions
	}
	if err := readBody(r, &o); err != nil {
		return nil, err
	}
	return h.Service.RetryArchived(r.Context(), o.Namespace, r.PathValue("uid"), o.RetryOptions)
}

func (h *HTTP) resubmitArchived(r *http.Request) (any, error) {
	var o struct {
		Namespace string `json:"namespace"`
		ResubmitOptions
	}
	if err := readBody(r, &o); err != nil {
		return nil, err
	}
	return h.Service.ResubmitArchived(r.Context(), o.Namespace, r.PathValue("uid"), o.ResubmitOptions)
}
