package worker

import (
	"container/list"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// plans caches compiled specs by digest; the least recently used goes first.
type plans struct {
	source SpecSource
	size   int

	mu    sync.Mutex
	byKey map[string]*list.Element
	order list.List // of *cachedPlan, most recent first
}

type cachedPlan struct {
	digest string
	plan   *workflow.Plan
}

func newPlans(source SpecSource, size int) *plans {
	return &plans{source: source, size: size, byKey: map[string]*list.Element{}}
}

// errBadSpec marks a spec that will not get better by trying again.
var errBadSpec = errors.New("the stored spec is not usable")

func (p *plans) get(ctx context.Context, digest string) (*workflow.Plan, error) {
	if plan := p.cached(digest); plan != nil {
		return plan, nil
	}
	data, err := p.source.Spec(ctx, digest)
	if err != nil {
		return nil, fmt.Errorf("loading spec %s: %w", digest, err)
	}
	var wf spec.Workflow
	if err := json.Unmarshal(data, &wf); err != nil {
		return nil, fmt.Errorf("decoding spec %s: %w: %w", digest, errBadSpec, err)
	}
	plan, err := workflow.Compile(&wf)
	if err != nil {
		return nil, fmt.Errorf("compiling spec %s: %w: %w", digest, errBadSpec, err)
	}
	p.add(digest, plan)
	return plan, nil
}

func (p *plans) cached(digest string) *workflow.Plan {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.byKey[digest]
	if e == nil {
		return nil
	}
	p.order.MoveToFront(e)
	return e.Value.(*cachedPlan).plan
}

// add keeps the plan. Two that came at once for the same digest are equal: either may stay.
func (p *plans) add(digest string, plan *workflow.Plan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byKey[digest] != nil {
		return
	}
	p.byKey[digest] = p.order.PushFront(&cachedPlan{digest, plan})
	for p.order.Len() > p.size {
		last := p.order.Back()
		p.order.Remove(last)
		delete(p.byKey, last.Value.(*cachedPlan).digest)
	}
}
