package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// maxBaselines bounds the runs that are remembered for how long their nodes took.
const maxBaselines = 64

// expect notes how long a run is likely to take, before it is submitted. That nobody knows is no
// reason not to.
func (s *Service) expect(ctx context.Context, run *workflow.Run) {
	e, err := s.store.Estimate(ctx, run)
	if err != nil {
		s.log.Warn("how long a run will take is not known", "hop", "submit", "namespace", run.Namespace, "name", run.Name, "err", err)
		return
	}
	run.Estimate = e
}

// estimate shows how long nodes are likely to take, as long as the run is there that says so.
func (s *Service) estimate(ctx context.Context, run *workflow.Run, wf *spec.Workflow) error {
	if run.Estimate == nil {
		return nil
	}
	took, err := s.baseline(ctx, run.Estimate.Run)
	if err != nil {
		return err
	}
	for id, n := range wf.Status.Nodes {
		if d, ok := took[strings.TrimPrefix(n.Name, run.Name)]; ok {
			n.EstimatedDuration = spec.EstimatedDuration(d / time.Second)
			wf.Status.Nodes[id] = n
		}
	}
	return nil
}

// baseline is how long the nodes of a run took, by what their names have after the run's.
func (s *Service) baseline(ctx context.Context, id string) (map[string]time.Duration, error) {
	s.mu.Lock()
	took := s.baselines[id]
	s.mu.Unlock()
	if took != nil {
		return took, nil
	}
	took = map[string]time.Duration{}
	r, err := s.store.Load(ctx, id, maxShown)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("loading run %s, for how long it took: %w", id, err)
	}
	if err == nil && r.Complete && r.State.Finished != 0 {
		base := *r.Run
		base.Estimate = nil
		r.Run = &base
		wf, err := s.object(ctx, r)
		if err != nil {
			return nil, err
		}
		for _, n := range wf.Status.Nodes {
			if !n.FinishedAt.IsZero() {
				took[strings.TrimPrefix(n.Name, r.Run.Name)] = n.FinishedAt.Sub(n.StartedAt.Time)
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.baselines) >= maxBaselines {
		clear(s.baselines)
	}
	s.baselines[id] = took
	return took, nil
}
