package server

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"argosy/workflow/spec"
)

// pageSize is how many runs are read from the store at once.
const pageSize = 500

// List returns the runs of a namespace, or of all if it is empty, newest first. The list's
// Continue is set when there may be more than Limit.
func (s *Service) List(ctx context.Context, namespace string, o ListOptions) (*spec.WorkflowList, error) {
	sel, err := o.selection()
	if err != nil {
		return nil, err
	}
	list := &spec.WorkflowList{
		TypeMeta: metav1.TypeMeta{APIVersion: spec.APIVersion, Kind: "WorkflowList"},
		Items:    []spec.Workflow{},
	}
	if name, ok := sel.exactName(); ok && namespace != "" {
		return list, s.listOne(ctx, list, namespace, name, sel, o.Nodes)
	}
	next := o.Continue
	for {
		want := pageSize
		if o.Limit > 0 {
			want = min(want, o.Limit-len(list.Items))
		}
		var records []*Record
		records, next, err = s.store.Page(ctx, namespace, next, want, sel.matches)
		if err != nil {
			return nil, fmt.Errorf("listing runs: %w", err)
		}
		for _, r := range records {
			if err := s.appendTo(ctx, list, r, o.Nodes); err != nil {
				return nil, err
			}
		}
		if next == "" || o.Limit > 0 && len(list.Items) >= o.Limit {
			list.Continue = next
			return list, nil
		}
	}
}

func (s *Service) listOne(ctx context.Context, list *spec.WorkflowList, namespace, name string, sel *selection, nodes bool) error {
	r, err := s.read(ctx, namespace, name, s.store.Head)
	var e *Error
	if errors.As(err, &e) && e.Code == CodeNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if name == Latest {
		sel.names = nil
	}
	if !sel.matches(r) {
		return nil
	}
	return s.appendTo(ctx, list, r, nodes)
}

func (s *Service) appendTo(ctx context.Context, list *spec.WorkflowList, r *Record, nodes bool) error {
	if nodes && r.Nodes == nil {
		full, err := s.store.Load(ctx, r.Run.ID, maxShown)
		if errors.Is(err, ErrNotFound) {
			return nil // deleted since
		}
		if err != nil {
			return fmt.Errorf("loading run %s: %w", r.Run.ID, err)
		}
		r = full
	}
	if !nodes {
		r.Nodes = nil
	}
	wf, err := s.object(ctx, r)
	if err != nil {
		return err
	}
	list.Items = append(list.Items, *wf)
	return nil
}
