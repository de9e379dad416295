package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"argosy/workflow/spec"
)

// Types of WatchEvent.
const (
	Added    = "ADDED"
	Modified = "MODIFIED"
	Deleted  = "DELETED"
)

// WatchEvent is one change that a watch reports.
type WatchEvent struct {
	Type   string         `json:"type"`
	Object *spec.Workflow `json:"object"`
}

// Pace of watches. A look costs what it reads; pausing a multiple of the time it took
// bounds the share of the machine that a watch of something large can take.
const (
	watchPoll      = time.Second
	watchPause     = 50 * time.Millisecond
	watchPauseCost = 4
)

// Watch reports the runs that match as ADDED and then every change. Changes that follow
// each other fast are reported as one.
func (s *Service) Watch(namespace string, o ListOptions) (Feed[WatchEvent], error) {
	sel, err := o.selection()
	if err != nil {
		return nil, err
	}
	name, exact := sel.exactName()
	if !exact || namespace == "" {
		return func(ctx context.Context, send func(WatchEvent) error) error {
			return s.watchMany(ctx, namespace, sel, send)
		}, nil
	}
	if name == Latest {
		sel.names = nil
	}
	return func(ctx context.Context, send func(WatchEvent) error) error {
		return s.watchName(ctx, namespace, name, sel, send)
	}, nil
}

// watchName follows the run with a name, and another one that takes the name later.
func (s *Service) watchName(ctx context.Context, namespace, name string, sel *selection, send func(WatchEvent) error) error {
	for {
		id, err := s.find(ctx, namespace, name)
		if err == nil {
			err = s.watchRun(ctx, id, sel, send)
		}
		var e *Error
		gone := errors.As(err, &e) && e.Code == CodeNotFound
		if err != nil && !gone {
			return ended(ctx, err)
		}
		if !pause(ctx, nil, watchPoll) {
			return nil
		}
	}
}

// watchRun follows one run until it is deleted.
func (s *Service) watchRun(ctx context.Context, id string, sel *selection, send func(WatchEvent) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changed, err := s.store.Watch(ctx, id)
	if err != nil {
		return fmt.Errorf("watching run %s: %w", id, err)
	}
	var last *spec.Workflow
	var lastJSON []byte
	for {
		start := time.Now()
		r, err := s.store.Load(ctx, id, maxShown)
		if errors.Is(err, ErrNotFound) {
			if last == nil {
				return nil
			}
			return send(WatchEvent{Deleted, last})
		}
		if err != nil {
			return fmt.Errorf("loading run %s: %w", id, err)
		}
		if sel.matches(r) {
			wf, err := s.object(ctx, r)
			if err != nil {
				return err
			}
			// A worker that takes a step shows in the status and not in the version.
			data, err := json.Marshal(wf)
			if err != nil {
				return fmt.Errorf("encoding run %s: %w", id, err)
			}
			if !bytes.Equal(data, lastJSON) {
				kind := Modified
				if last == nil {
					kind = Added
				}
				if err := send(WatchEvent{kind, wf}); err != nil {
					return err
				}
				last, lastJSON = wf, data
			}
		}
		if !pause(ctx, nil, max(watchPause, watchPauseCost*time.Since(start))) || !pause(ctx, changed, watchPoll) {
			return ctx.Err()
		}
	}
}

// watchMany looks at all runs again and again.
func (s *Service) watchMany(ctx context.Context, namespace string, sel *selection, send func(WatchEvent) error) error {
	known := map[string]*Record{}
	all := func(*Record) bool { return true } // also those that match no more
	for {
		start := time.Now()
		seen := map[string]bool{}
		for next := ""; ; {
			records, after, err := s.store.Page(ctx, namespace, next, pageSize, all)
			if err != nil {
				return ended(ctx, fmt.Errorf("listing runs: %w", err))
			}
			for _, r := range records {
				seen[r.Run.ID] = true
				if err := s.report(ctx, r, known, sel, send); err != nil {
					return ended(ctx, err)
				}
			}
			if next = after; next == "" {
				break
			}
		}
		for id, r := range known {
			if seen[id] {
				continue
			}
			delete(known, id)
			wf, err := s.object(ctx, r)
			if err != nil {
				return err
			}
			if err := send(WatchEvent{Deleted, wf}); err != nil {
				return ended(ctx, err)
			}
		}
		if !pause(ctx, nil, max(watchPoll, 2*watchPauseCost*time.Since(start))) {
			return nil
		}
	}
}

// report sends a run that is new or has another version than before.
func (s *Service) report(ctx context.Context, r *Record, known map[string]*Record, sel *selection, send func(WatchEvent) error) error {
	before, was := known[r.Run.ID]
	switch {
	case was && before.Version == r.Version:
		return nil
	case !sel.matches(r) && was:
		delete(known, r.Run.ID)
		wf, err := s.object(ctx, r)
		if err != nil {
			return err
		}
		return send(WatchEvent{Deleted, wf})
	case !sel.matches(r):
		return nil
	}
	known[r.Run.ID] = r
	full, err := s.store.Load(ctx, r.Run.ID, maxShown)
	if errors.Is(err, ErrNotFound) {
		return nil // the next round reports it as deleted
	}
	if err != nil {
		return fmt.Errorf("loading run %s: %w", r.Run.ID, err)
	}
	wf, err := s.object(ctx, full)
	if err != nil {
		return err
	}
	kind := Added
	if was {
		kind = Modified
	}
	return send(WatchEvent{kind, wf})
}

// pause waits for a wake-up, at most for d. It is false when ctx ended.
func pause(ctx context.Context, wake <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-wake:
	case <-timer.C:
	}
	return ctx.Err() == nil
}

// ended is nil when the client has gone, which is how a watch ends well.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
