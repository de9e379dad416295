package main

import (
	"context"
	"errors"
	"fmt"

	"argosy/queue"
	"argosy/worker"
	"argosy/workflow"
)

// leafFinder lets a gateway look up the steps of other workers.
type leafFinder struct{ runs *queue.Runs }

func (f leafFinder) Find(ctx context.Context, run string, key workflow.Key) (*worker.Claimed, error) {
	s, err := f.runs.Head(ctx, run)
	if errors.Is(err, queue.ErrNotFound) {
		return nil, fmt.Errorf("%w: %w", worker.ErrSuperseded, err)
	}
	if err != nil {
		return nil, err
	}
	nodes, err := f.runs.Nodes(ctx, run, []workflow.Key{key})
	if err != nil {
		return nil, err
	}
	n := nodes[key]
	if n == nil || n.Fulfilled() {
		return nil, fmt.Errorf("%w: node %q does not run", worker.ErrSuperseded, key)
	}
	return &worker.Claimed{Run: s.Run, Digest: s.Digest, Node: n}, nil
}
