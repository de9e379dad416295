package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/fields"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// RetryOptions change what Retry does.
type RetryOptions struct {
	// With RestartSuccessful what NodeFieldSelector matches runs again too, and what comes after.
	RestartSuccessful bool     `json:"restartSuccessful"`
	NodeFieldSelector string   `json:"nodeFieldSelector"`
	Parameters        []string `json:"parameters"` // name=value
}

// maxPicked bounds the nodes that a selector may match, of wide loops the ranges of items: the request
// is a part of the run's state until its next turn.
const maxPicked = 20_000

// retryAttempts is how often a run is looked at that changes under our hands.
const retryAttempts = 3

// Retry takes up a run that has ended: what failed runs again.
func (s *Service) Retry(ctx context.Context, namespace, name string, o RetryOptions) (*spec.Workflow, error) {
	for attempt := 1; ; attempt++ {
		r, err := s.load(ctx, namespace, name)
		if err != nil {
			return nil, err
		}
		wf, err := s.retry(ctx, r, o)
		switch {
		case errors.Is(err, ErrNotFound):
			return nil, notFound(name)
		case errors.Is(err, ErrConflict) && attempt < retryAttempts:
			continue
		}
		return wf, err
	}
}

// again is the state from which a run goes on, and its header if that changes.
func (s *Service) again(ctx context.Context, r *Record, o RetryOptions) (state workflow.State, run *workflow.Run, err error) {
	var again workflow.Again
	if o.RestartSuccessful && o.NodeFieldSelector != "" && r.State.Phase.Completed() {
		if again, err = s.picked(ctx, r, o.NodeFieldSelector); err != nil {
			return state, nil, err
		}
	}
	if state, err = r.State.TakeUp(again); err != nil {
		return state, nil, errorf(CodeInvalid, "%v", err)
	}
	if len(o.Parameters) > 0 {
		changed := *r.Run
		if changed.Arguments, err = override(r.Run.Arguments, o.Parameters); err != nil {
			return state, nil, err
		}
		run, state.Again.Renewed = &changed, true
	}
	return state, run, nil
}

func (s *Service) retry(ctx context.Context, r *Record, o RetryOptions) (*spec.Workflow, error) {
	state, run, err := s.again(ctx, r, o)
	if err != nil {
		return nil, err
	}
	if err := s.room.take(ctx); err != nil {
		return nil, err
	}
	until, cancel := context.WithTimeout(ctx, heardWithin)
	defer cancel()
	changed, err := s.store.Watch(until, r.Run.ID)
	if err != nil {
		return nil, fmt.Errorf("watching run %s: %w", r.Run.ID, err)
	}
	if err := s.store.TakeUp(ctx, r, &state, run); err != nil {
		return nil, fmt.Errorf("taking up run %s: %w", r.Run.ID, err)
	}
	s.log.Info("taken up again", "hop", "submit", "run", r.Run.ID, "namespace", r.Run.Namespace, "name", r.Run.Name, "nodes", len(state.Again.Keys))
	r.Version++ // that is ours
	return s.heard(ctx, until, r, changed)
}

// override gives parameters their new values; one that is not there yet is added.
func override(args spec.Arguments, parameters []string) (spec.Arguments, error) {
	args.Parameters = slices.Clone(args.Parameters)
	for _, p := range parameters {
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			return args, errorf(CodeInvalid, "expected parameter of the form: NAME=VALUE. Received: %s", p)
		}
		i := slices.IndexFunc(args.Parameters, func(q spec.Parameter) bool { return q.Name == name })
		if i < 0 {
			i = len(args.Parameters)
			args.Parameters = append(args.Parameters, spec.Parameter{Name: name})
		}
		args.Parameters[i].Value, args.Parameters[i].ValueFrom = spec.AnyStringPtr(value), nil
	}
	return args, nil
}

// picked are the nodes of a run that a selector matches. Of a node and those below it only the
// node is: those run again with it.
func (s *Service) picked(ctx context.Context, r *Record, selector string) (again workflow.Again, err error) {
	matches, err := fields.ParseSelector(selector)
	if err != nil {
		return again, errorf(CodeInvalid, "nodeFieldSelector: %v", err)
	}
	l, err := s.lens(ctx, r)
	if err != nil {
		return again, err
	}
	root, err := l.root(ctx)
	if root == nil || err != nil {
		return again, err
	}
	if matches.Matches(nodeFields(r, root, nil)) {
		again.Keys = []workflow.Key{workflow.Root}
		return again, nil
	}
	loops := map[workflow.Key]bool{}   // those in chunks
	last, count := workflow.Key(""), 0 // the tree is walked in its order
	next, err := l.walk(ctx, root, nil, nil, nil, nil, math.MaxInt, func(_ []int, n, _, scope *workflow.Node) bool {
		if chunked(n) {
			loops[n.Key] = true
		}
		if last != "" && strings.HasPrefix(string(n.Key), string(last)+"/") || !matches.Matches(nodeFields(r, n, scope)) {
			return true
		}
		last = n.Key
		loop, i, ok := workflow.ItemOf(n.Key)
		if !ok || !loops[loop] {
			again.Keys = append(again.Keys, n.Key)
			count++
			return count <= maxPicked
		}
		if again.Items == nil {
			again.Items = map[workflow.Key][][2]int{}
		}
		ranges := again.Items[loop]
		if at := len(ranges) - 1; at >= 0 && i <= ranges[at][1] {
			ranges[at][1] = i + 1
			return true
		}
		again.Items[loop] = append(ranges, [2]int{i, i + 1})
		count++
		return count <= maxPicked
	})
	if err != nil {
		return again, err
	}
	if len(next) > 0 {
		return again, errorf(CodeInvalid, "nodeFieldSelector: %s matches more than %d nodes; name the loop or step that they belong to", selector, maxPicked)
	}
	return again, nil
}

func (h *HTTP) retry(r *http.Request) (any, error) {
	var o RetryOptions
	if err := readBody(r, &o); err != nil {
		return nil, err
	}
	return h.Service.Retry(r.Context(), r.PathValue("namespace"), r.PathValue("name"), o)
}
