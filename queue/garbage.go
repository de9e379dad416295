package queue

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// Garbage are the runs whose artifacts are deleted with an event of theirs. They are looked at
// until it has come:
//
//	Submit: marked ---- Take, every now and then ----> ended: its artifacts go ----> Done
//	   |                                                  |
//	   |                                           (those that stay until it is deleted)
//	   |                                                  |
//	   +-- Delete: marked as to be deleted -- Take -------+--> its artifacts go ---> Remove
//
// What goes wrong on the way leaves the run marked, and it is looked at again. Only runs whose
// spec asks for it are ever marked.
type Garbage struct{ conn *Conn }

// NewGarbage makes the side of whoever deletes artifacts.
func NewGarbage(c *Conn) *Garbage { return &Garbage{c} }

const (
	garbageKey = "{garbage}:due"  // zset: run -> millis at which to look at it
	heldKey    = "{garbage}:held" // hash: run whose deletion waits for its artifacts -> whether it was deleted

	heldKept    = "kept"
	heldDeleted = "deleted"
)

// markUnborn is how long after a submit began its run is looked for.
const markUnborn = time.Minute

// mark notes a run whose artifacts are to be deleted, before anything of it is written.
func (r *Runs) mark(ctx context.Context, run string, specJSON []byte) error {
	if !bytes.Contains(specJSON, []byte(`"artifactGC"`)) {
		return nil
	}
	var wf spec.Workflow
	if err := json.Unmarshal(specJSON, &wf); err != nil {
		return fmt.Errorf("decoding the spec of run %s: %w", run, err)
	}
	plan, err := workflow.Compile(&wf)
	if err != nil {
		return fmt.Errorf("compiling the spec of run %s: %w", run, err)
	}
	var steps []step
	if plan.Collects(spec.ArtifactGCOnWorkflowCompletion) {
		steps = append(steps, call(r.conn.scripts.garbage, []string{garbageKey}, 0, markUnborn.Milliseconds(), 0, run))
	}
	if plan.Collects(spec.ArtifactGCOnWorkflowDeletion) {
		steps = append(steps, command("hsetnx", heldKey, run, heldKept))
	}
	if len(steps) == 0 {
		return nil
	}
	if _, err := r.conn.inOrder(ctx, steps...); err != nil {
		return fmt.Errorf("marking run %s, whose artifacts are to be deleted: %w", run, err)
	}
	return nil
}

// markAgain marks a run that is taken up again: what it writes then ends with it, too.
func (r *Runs) markAgain(ctx context.Context, run, digest string) error {
	specJSON, err := r.Spec(ctx, digest)
	if errors.Is(err, ErrNotFound) {
		return nil // of a run that is not there either
	}
	if err != nil {
		return fmt.Errorf("reading the spec of run %s: %w", run, err)
	}
	return r.mark(ctx, run, specJSON)
}

// born has a run that was marked looked at from now on.
func (r *Runs) born(ctx context.Context, run string, specJSON []byte) error {
	if !bytes.Contains(specJSON, []byte(`"artifactGC"`)) {
		return nil
	}
	err := r.conn.client.ZAddXX(ctx, garbageKey, redis.Z{Score: 0, Member: run}).Err()
	if err != nil {
		return fmt.Errorf("marking run %s, whose artifacts are to be deleted: %w", run, err)
	}
	return nil
}

// held says that a run is not deleted before its artifacts are, and notes that it is to be.
func (r *Runs) held(ctx context.Context, id string) (bool, error) {
	state, err := r.conn.client.HGet(ctx, heldKey, id).Result()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	if err == nil && state != heldDeleted {
		_, err = r.conn.inOrder(ctx,
			command("hset", heldKey, id, heldDeleted),
			call(r.conn.scripts.garbage, []string{garbageKey}, 0, 0, 0, id))
	}
	if err != nil {
		return false, fmt.Errorf("looking whether run %s waits for its artifacts: %w", id, err)
	}
	return true, nil
}

// Take returns runs to look at, at most so many, and whether each is to be deleted: those whose
// time has come, or will within ahead. They come again after the time that is given, unless they
// are done.
func (g *Garbage) Take(ctx context.Context, most int, again, ahead time.Duration) (map[string]bool, error) {
	v, err := g.conn.run(ctx, g.conn.scripts.garbage, []string{garbageKey}, most, again.Milliseconds(), ahead.Milliseconds())
	if err != nil {
		return nil, fmt.Errorf("looking for runs whose artifacts are to be deleted: %w", err)
	}
	runs := map[string]bool{}
	for _, run := range asList(v) {
		id := asString(run)
		state, err := g.conn.client.HGet(ctx, heldKey, id).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, fmt.Errorf("looking for runs whose artifacts are to be deleted: %w", err)
		}
		runs[id] = state == heldDeleted
	}
	return runs, nil
}

// Later has a run looked at again after a time.
func (g *Garbage) Later(ctx context.Context, run string, after time.Duration) error {
	if _, err := g.conn.run(ctx, g.conn.scripts.garbage, []string{garbageKey}, 0, after.Milliseconds(), 0, run); err != nil {
		return fmt.Errorf("putting off run %s, whose artifacts are to be deleted: %w", run, err)
	}
	return nil
}

// Done has a run looked at no more, until it is deleted.
func (g *Garbage) Done(ctx context.Context, run string) error {
	if err := g.conn.client.ZRem(ctx, garbageKey, run).Err(); err != nil {
		return fmt.Errorf("noting that the artifacts of run %s are gone: %w", run, err)
	}
	return nil
}
