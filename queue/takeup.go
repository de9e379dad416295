package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"argosy/workflow"
)

// TakeUp has a run that has ended take turns again, from a state that was made of that of a
// version: workflow.State.TakeUp. run is its header if that changes, else nil. ErrConflict: it is
// of another version, or has not ended; ErrNotFound.
func (r *Runs) TakeUp(ctx context.Context, id string, version int64, state *workflow.State, run *workflow.Run, digest string) error {
	data, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("encoding the state of run %s: %w", id, err)
	}
	record := ""
	if run != nil {
		if record, err = encodeRun(run, digest); err != nil {
			return err
		}
	}
	cmds, err := r.conn.inOrder(ctx,
		r.conn.ringIn(id, submitGuardMillis), // should we die in between
		call(r.conn.scripts.takeup, []string{runKey(id), stateKey(id), metaKey(id), inKey(id), outKey(id), flyKey(id), timersKey(id)},
			id, version, data, record),
		r.conn.ring(id))
	if err != nil {
		return fmt.Errorf("taking up run %s: %w", id, err)
	}
	switch asInt(cmds[1].Val()) {
	case 0:
		return fmt.Errorf("taking up run %s: %w", id, ErrNotFound)
	case -1, -2:
		return fmt.Errorf("taking up run %s: %w", id, ErrConflict)
	}
	return nil
}

// reopenItems is how many items one script looks at: some milliseconds of work.
const reopenItems = 20_000

// Reopen takes back the records of items that run again. It is for the turn that commits the
// loop's new state, and may be repeated by the next one if that does not happen.
func (t *Turns) Reopen(ctx context.Context, l *Loaded, r workflow.Reopen) error {
	id := l.Run.ID
	keys := []string{metaKey(id), packedKey(id, r.Loop), extrasKey(id, r.Loop)}
	for first := 0; first < r.Count; first += reopenItems {
		last := min(first+reopenItems, r.Count) - 1
		args := []any{l.Token, l.Version, workflow.ItemSize, first, last}
		at, _ := slices.BinarySearch(r.Also, first)
		for ; at < len(r.Also) && r.Also[at] <= last; at++ {
			args = append(args, r.Also[at])
		}
		v, err := t.conn.run(ctx, t.conn.scripts.reopen, keys, args...)
		if err == nil && asInt(v) == 0 {
			err = ErrFenced
		}
		if err != nil {
			return fmt.Errorf("reopening loop %q of run %s: %w", r.Loop, id, err)
		}
	}
	return nil
}
