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

// List returns the runs of a namespace, or of all if it is empty, newest first: also those that
// are in the archive only. The list's Continue is set when there may be more than Limit.
func (s *Service) List(ctx context.Context, namespace string, o ListOptions) (*spec.WorkflowList, error) {
	page := s.store.Page
	if s.archive != nil {
		page = func(ctx context.Context, ns, after string, limit int, keep func(*Record) bool) ([]*Record, string, error) {
			return s.archive.Page(ctx, ns, after, limit, true, keep)
		}
	}
	return s.list(ctx, namespace, o, page, s.listOne)
}

type (
	pager func(ctx context.Context, namespace, after string, limit int, keep func(*Record) bool) ([]*Record, string, error)
	namer func(ctx context.Context, namespace, name string) ([]*Record, error)
)

// list lists by pages, or by the one name that is wanted.
func (s *Service) list(ctx context.Context, namespace string, o ListOptions, page pager, named namer) (*spec.WorkflowList, error) {
	sel, err := o.selection()
	if err != nil {
		return nil, err
	}
	list := &spec.WorkflowList{
		TypeMeta: metav1.TypeMeta{APIVersion: spec.APIVersion, Kind: "WorkflowList"},
		Items:    []spec.Workflow{},
	}
	if name, ok := sel.exactName(); ok && namespace != "" {
		records, err := named(ctx, namespace, name)
		if name == Latest {
			sel.names = nil
		}
		for _, r := range records {
			if sel.matches(r) && err == nil {
				err = s.appendTo(ctx, list, r, o.Nodes)
			}
		}
		return list, err
	}
	next := o.Continue
	for {
		want := pageSize
		if o.Limit > 0 {
			want = min(want, o.Limit-len(list.Items))
		}
		var records []*Record
		records, next, err = page(ctx, namespace, next, want, sel.matches)
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

// listOne is the run with a name, and those that had it.
func (s *Service) listOne(ctx context.Context, namespace, name string) ([]*Record, error) {
	var found []*Record
	r, err := s.read(ctx, namespace, name, s.store.Head)
	if err == nil {
		found = append(found, r)
	} else if !isNotFound(err) {
		return nil, err
	}
	if s.archive == nil || name == Latest {
		return found, nil
	}
	archived, err := s.archive.Named(ctx, namespace, name)
	for _, a := range archived {
		if r == nil || a.Run.ID != r.Run.ID {
			found = append(found, a)
		}
	}
	return found, err
}

func (s *Service) appendTo(ctx context.Context, list *spec.WorkflowList, r *Record, nodes bool) error {
	if r.Archived {
		list.Items = append(list.Items, *summary(r))
		return nil
	}
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
