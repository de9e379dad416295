package coordinator

import (
	"container/list"
	"context"
	"fmt"
	"sync"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// plans compiles specs and keeps the most recently used: a fleet's runs share few specs.
type plans struct {
	source Specs
	most   int

	mu    sync.Mutex
	byKey map[string]*list.Element
	order *list.List // of *plan, most recently used first
}

type plan struct {
	digest string
	plan   *workflow.Plan
	err    error
}

// Specs gives the shared spec of a digest.
type Specs interface {
	Spec(ctx context.Context, digest string) ([]byte, error)
}

func newPlans(source Specs, most int) *plans {
	return &plans{source: source, most: most, byKey: map[string]*list.Element{}, order: list.New()}
}

// get returns the compiled spec. A spec that cannot be compiled is a *badSpecError; any other
// error may pass.
func (p *plans) get(ctx context.Context, digest string) (*workflow.Plan, error) {
	p.mu.Lock()
	if e, ok := p.byKey[digest]; ok {
		p.order.MoveToFront(e)
		p.mu.Unlock()
		found := e.Value.(*plan)
		return found.plan, found.err
	}
	p.mu.Unlock()
	data, err := p.source.Spec(ctx, digest)
	if err != nil {
		return nil, fmt.Errorf("reading spec %s: %w", digest, err)
	}
	compiled := &plan{digest: digest}
	if compiled.plan, err = compile(data); err != nil {
		compiled.err = &badSpecError{err}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.byKey[digest]; !ok {
		p.byKey[digest] = p.order.PushFront(compiled)
		for p.order.Len() > p.most {
			last := p.order.Back()
			delete(p.byKey, last.Value.(*plan).digest)
			p.order.Remove(last)
		}
	}
	return compiled.plan, compiled.err
}

// compile takes a panic for an error: a spec that trips the compiler must not end the process,
// and the next one that takes the run.
func compile(data []byte) (p *workflow.Plan, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("internal error: %v", r)
		}
	}()
	wf, err := spec.DecodeWorkflow(data)
	if err != nil {
		return nil, err
	}
	return workflow.Compile(wf)
}

// badSpecError says that a stored spec cannot be run: the run must end, not wait.
type badSpecError struct{ err error }

func (e *badSpecError) Error() string { return "the stored spec cannot be run: " + e.err.Error() }
func (e *badSpecError) Unwrap() error { return e.err }
