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

func (f leafFinder) Find(ctx context.Context, run string, key workflow.Key) (*worker.Claimed, *worker.Chunk, error) {
	s, err := f.runs.Head(ctx, run)
	if errors.Is(err, queue.ErrNotFound) {
		return nil, nil, fmt.Errorf("%w: %w", worker.ErrSuperseded, err)
	}
	if err != nil {
		return nil, nil, err
	}
	keys := []workflow.Key{key}
	loopKey, i, isItem := workflow.ItemOf(key)
	if isItem {
		keys = append(keys, loopKey)
	}
	nodes, err := f.runs.Nodes(ctx, run, keys)
	if err != nil {
		return nil, nil, err
	}
	found := &worker.Claimed{Run: s.Run, Digest: s.Digest, Node: nodes[key]}
	loop := nodes[loopKey]
	if found.Node != nil || !isItem || loop == nil || loop.Loop == nil || loop.Loop.Chunks == nil {
		return found, nil, nil
	}
	c := &worker.Chunk{Loop: loop}
	if c.Needs, err = f.runs.Nodes(ctx, run, workflow.ItemNeeds(loop, i, i+1)); err != nil {
		return nil, nil, err
	}
	packed, err := f.runs.Items(ctx, run, loopKey, i, i+1, nil)
	if err != nil {
		return nil, nil, err
	}
	c.Recorded = *packed
	return found, c, nil
}
