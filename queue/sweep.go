package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Specs are shared by their content, and nobody counts who has one: a run and its spec are in
// different slots, and a count that a crash leaves wrong never comes right. Instead they are
// swept now and then, in two steps:
//
//	             no run has it              still none, keepUnused later
//	(in use) ----------------------> marked ----------------------------> gone
//	     ^                            |
//	     +--- Submit, or a run has it +
//
// A submit takes the mark away before it makes sure of the spec, and its run is to be seen
// long before a spec that is marked anew may go.

const (
	sweepSpecsEvery = time.Hour
	keepUnused      = time.Hour
	sweepBatch      = 1000
)

// KeepSwept has the specs that no run has swept every hour until ctx ends, by one of all the
// processes that call it.
func (r *Runs) KeepSwept(ctx context.Context) {
	ticker := time.NewTicker(sweepSpecsEvery / 6)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		removed, err := r.sweepInTurn(ctx, keepUnused)
		switch {
		case err != nil && ctx.Err() == nil:
			r.conn.log.Warn("the specs are not swept", "error", err)
		case removed > 0:
			r.conn.log.Info("specs that no run has are gone", "specs", removed)
		}
	}
}

// sweepInTurn sweeps unless somebody did within the hour.
func (r *Runs) sweepInTurn(ctx context.Context, keep time.Duration) (int, error) {
	err := r.conn.client.Do(ctx, "set", sweepingKey, 1, "nx", "ex", int(sweepSpecsEvery.Seconds())).Err()
	if errors.Is(err, redis.Nil) {
		return 0, nil
	} else if err != nil {
		return 0, fmt.Errorf("taking one's turn to sweep: %w", err)
	}
	if err := NewCrons(r.conn).remind(ctx); err != nil {
		return 0, err
	}
	return r.SweepSpecs(ctx, keep)
}

// SweepSpecs removes the specs that no run had at an earlier sweep, at least keep ago, and
// none has now. It returns how many.
func (r *Runs) SweepSpecs(ctx context.Context, keep time.Duration) (int, error) {
	specs, err := r.conn.client.SMembers(ctx, specsKey).Result()
	if err != nil {
		return 0, fmt.Errorf("listing specs: %w", err)
	}
	used, err := r.usedSpecs(ctx)
	if err != nil {
		return 0, fmt.Errorf("looking for the specs that runs have: %w", err)
	}
	removed := 0
	for first := 0; first < len(specs); first += sweepBatch {
		batch := specs[first:min(first+sweepBatch, len(specs))]
		steps := make([]step, len(batch))
		for i, digest := range batch {
			steps[i] = call(r.conn.scripts.sweep, []string{specKey(digest), unusedKey(digest)}, used[digest], keep.Milliseconds())
		}
		cmds, err := r.conn.together(ctx, steps...)
		if err != nil {
			return removed, fmt.Errorf("sweeping specs: %w", err)
		}
		var gone []any
		for i, cmd := range cmds {
			if asInt(cmd.Val()) == 1 {
				gone = append(gone, batch[i])
			}
		}
		if len(gone) == 0 {
			continue
		}
		removed += len(gone)
		// One that was submitted again meanwhile is not swept until it is submitted once more.
		if err := r.conn.client.SRem(ctx, specsKey, gone...).Err(); err != nil {
			return removed, fmt.Errorf("sweeping specs: %w", err)
		}
	}
	return removed, nil
}

// usedSpecs finds the digests that runs have: 1 for each.
func (r *Runs) usedSpecs(ctx context.Context) (map[string]int, error) {
	namespaces, err := r.Namespaces(ctx)
	if err != nil {
		return nil, err
	}
	used := map[string]int{}
	for _, ns := range namespaces {
		cursor := uint64(0)
		for {
			// A scan returns whatever is there all the time; pages by rank would shift.
			var members []string // run, score, ..
			members, cursor, err = r.conn.client.ZScan(ctx, indexKey(ns), cursor, "", sweepBatch).Result()
			if err != nil {
				return nil, err
			}
			pipe := r.conn.client.Pipeline()
			var digests []*redis.StringCmd
			for i := 0; i+1 < len(members); i += 2 {
				digests = append(digests, pipe.GetRange(ctx, runKey(members[i]), 0, digestLen-1))
			}
			if len(digests) > 0 {
				if _, err := pipe.Exec(ctx); err != nil {
					return nil, err
				}
			}
			for _, d := range digests {
				used[d.Val()] = 1
			}
			if cursor == 0 {
				break
			}
		}
	}
	return used, nil
}
