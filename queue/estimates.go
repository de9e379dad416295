package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"argosy/workflow"
)

// KeepEstimate notes how long a run took that has succeeded, for others of its kinds.
func (r *Runs) KeepEstimate(ctx context.Context, run *workflow.Run, e *workflow.Estimate) error {
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encoding how long run %s took: %w", run.ID, err)
	}
	var pairs []any
	for _, kind := range run.Kinds() {
		pairs = append(pairs, kind, data)
	}
	if len(pairs) == 0 {
		return nil
	}
	if err := r.conn.client.HSet(ctx, estimatesKey(run.Namespace), pairs...).Err(); err != nil {
		return fmt.Errorf("keeping how long run %s took: %w", run.ID, err)
	}
	return nil
}

// Estimate is how long a run is likely to take; nil: nobody knows.
func (r *Runs) Estimate(ctx context.Context, run *workflow.Run) (*workflow.Estimate, error) {
	kinds := run.Kinds()
	if len(kinds) == 0 {
		return nil, nil
	}
	data, err := r.conn.client.HGet(ctx, estimatesKey(run.Namespace), kinds[0]).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	e := &workflow.Estimate{}
	if err == nil {
		err = json.Unmarshal(data, e)
	}
	if err != nil {
		return nil, fmt.Errorf("reading how long %s took: %w", kinds[0], err)
	}
	return e, nil
}
