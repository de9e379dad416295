package queue

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
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
	if err := r.markAgain(ctx, id, digest); err != nil {
		return err
	}
	cmds, err := r.conn.inOrder(ctx,
		r.conn.ringIn(id, submitGuardMillis), // should we die in between
		call(r.conn.scripts.takeup, []string{runKey(id), stateKey(id), metaKey(id), inKey(id), outKey(id), flyKey(id), timersKey(id)},
			id, version, data, record),
		r.conn.ring(id),
		command("zadd", garbageKey, "xx", 0, id)) // if it was marked
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
		at, _ := slices.BinarySearchFunc(r.Also, first, func(r [2]int, first int) int { return cmp.Compare(r[1]-1, first) })
		for ; at < len(r.Also) && r.Also[at][0] <= last; at++ {
			args = append(args, max(r.Also[at][0], first), min(r.Also[at][1]-1, last))
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

// Copy takes over the records of a chunked loop's items from another run; as Reopen, before which
// it is. archived is that run if it is in the archive only, else nil.
func (t *Turns) Copy(ctx context.Context, l *Loaded, from string, archived *ArchivedRun, c workflow.Copy) error {
	id := l.Run.ID
	failed := func(err error) error {
		return fmt.Errorf("taking over loop %q of run %s from run %s: %w", c.Loop, id, from, err)
	}
	origin := t.origin(from)
	if archived != nil {
		origin = archived.items
	}
	keys := []string{metaKey(id), packedKey(id, c.Loop), extrasKey(id, c.Loop), hostsKey(id)}
	for first := 0; first < c.Count; first += reopenItems {
		last := min(first+reopenItems, c.Count) - 1
		p, hosts, err := origin(ctx, c.Loop, first, last+1)
		if err != nil {
			return failed(err)
		}
		var extras []any
		for _, i := range slices.Sorted(maps.Keys(p.Extras)) {
			extras = append(extras, i, p.Extras[i])
		}
		reused := workflow.Packed{Records: slices.Clone(p.Records)}
		reused.Reuse()
		args := []any{l.Token, l.Version, first * workflow.ItemSize, reused.Records, len(extras) / 2}
		args = append(args, extras...)
		for _, host := range slices.Sorted(maps.Keys(hosts)) {
			args = append(args, host, hosts[host])
		}
		v, err := t.conn.run(ctx, t.conn.scripts.copy, keys, args...)
		if err == nil && asInt(v) == 0 {
			err = ErrFenced
		}
		if err != nil {
			return failed(err)
		}
	}
	return nil
}

// origin reads items [from, to) of a chunked loop of another run, and its hosts.
func (t *Turns) origin(run string) func(ctx context.Context, loop workflow.Key, from, to int) (*workflow.Packed, map[string]string, error) {
	return func(ctx context.Context, loop workflow.Key, from, to int) (*workflow.Packed, map[string]string, error) {
		hosts, err := t.conn.client.HGetAll(ctx, hostsKey(run)).Result()
		if err != nil {
			return nil, nil, err
		}
		p, err := NewRuns(t.conn).Items(ctx, run, loop, from, to, nil)
		return p, hosts, err
	}
}
