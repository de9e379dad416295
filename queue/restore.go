package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"argosy/workflow"
)

// A run is restored by one at a time, who has a lock. What it writes goes by itself if it is not
// heard of again before it is a run.
const (
	restoreLock  = 30 * time.Second // from one write to the next
	restoreStays = 15 * time.Minute
	restoreBatch = 500 // fields that are written at once
)

// Restore brings an archived run back as it was when it had ended. It does not expire. ErrExists:
// another run has the name, this one is there, or somebody else restores it.
func (r *Runs) Restore(ctx context.Context, a *ArchivedRun) error {
	if err := r.restore(ctx, a); err != nil {
		return fmt.Errorf("restoring run %s/%s: %w", a.Run.Namespace, a.Run.Name, err)
	}
	return nil
}

func (r *Runs) restore(ctx context.Context, a *ArchivedRun) error {
	id := a.Run.ID
	if _, err := r.Head(ctx, id); err == nil {
		return ErrExists
	} else if !errors.Is(err, ErrNotFound) {
		return err
	}
	if err := r.reserve(ctx, a.Run); err != nil {
		return err
	}
	w := &restoring{conn: r.conn, id: id, token: uuid.NewString()}
	err := r.conn.client.Do(ctx, "set", restoringKey(id), w.token, "nx", "px", restoreLock.Milliseconds()).Err()
	if errors.Is(err, redis.Nil) {
		return ErrExists
	} else if err != nil {
		return err
	}
	if err := w.parts(ctx, a); err != nil {
		return err
	}
	// Once more: a name without a run is anybody's after some seconds.
	if err := r.reserve(ctx, a.Run); err != nil {
		return err
	}
	if err := r.mark(ctx, id, a.Spec); err != nil {
		return err
	}
	_, err = r.conn.inOrder(ctx,
		command("del", unusedKey(a.Digest)), // as in submit
		command("set", specKey(a.Digest), a.Spec, "nx"),
		command("sadd", specsKey, a.Digest))
	if err != nil {
		return err
	}
	if err := w.finish(ctx, a); err != nil {
		return err
	}
	_, err = r.conn.inOrder(ctx,
		command("zadd", indexKey(a.Run.Namespace), int64(a.Run.Created), id),
		command("sadd", namespacesKey, a.Run.Namespace))
	if err != nil {
		return err
	}
	return r.born(ctx, id, a.Spec)
}

// restoring writes the keys of a run.
type restoring struct {
	conn  *Conn
	id    string
	token string
	keys  []string // that were written
	key   string   // of fields
	batch []any
}

func (w *restoring) parts(ctx context.Context, a *ArchivedRun) error {
	err := a.table.Below(ctx, "n ", func(key string, value []byte) error {
		return w.field(ctx, nodesKey(w.id), strings.TrimPrefix(key, "n "), value)
	})
	if err != nil {
		return err
	}
	for host, at := range a.head.Hosts {
		if err := w.field(ctx, hostsKey(w.id), host, []byte(at)); err != nil {
			return err
		}
	}
	for _, loop := range a.head.Loops {
		if err := w.loop(ctx, a, loop); err != nil {
			return err
		}
	}
	return w.flush(ctx)
}

func (w *restoring) write(ctx context.Context, key, how string, args ...any) error {
	if len(w.keys) == 0 || w.keys[len(w.keys)-1] != key {
		w.keys = append(w.keys, key)
	}
	all := append([]any{w.token, restoreLock.Milliseconds(), restoreStays.Milliseconds(), how}, args...)
	v, err := w.conn.run(ctx, w.conn.scripts.restore, []string{restoringKey(w.id), runKey(w.id), key}, all...)
	if err == nil && asInt(v) == 0 {
		err = ErrExists
	}
	return err
}

func (w *restoring) field(ctx context.Context, key, field string, value []byte) error {
	if w.key != key || len(w.batch) >= 2*restoreBatch {
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	w.key = key
	w.batch = append(w.batch, field, value)
	return nil
}

func (w *restoring) flush(ctx context.Context) error {
	if len(w.batch) == 0 {
		return nil
	}
	err := w.write(ctx, w.key, "HSET", w.batch...)
	w.batch = w.batch[:0]
	return err
}

// loop writes the records of a chunked loop, or what they have beside them.
func (w *restoring) loop(ctx context.Context, a *ArchivedRun, loop string) error {
	key := runTag(w.id) + loop
	return a.table.Below(ctx, loop+"/", func(at string, value []byte) error {
		at = strings.TrimPrefix(at, loop+"/")
		if strings.HasPrefix(loop, "x:") {
			return w.field(ctx, key, at, value)
		}
		block, err := strconv.Atoi(at)
		if err != nil {
			return fmt.Errorf("reading %s: %w", key, err)
		}
		return w.write(ctx, key, "SETRANGE", block*archiveBlock*workflow.ItemSize, value)
	})
}

// finish makes a run of what was written.
func (w *restoring) finish(ctx context.Context, a *ArchivedRun) error {
	record, err := encodeRun(a.Run, a.Digest)
	if err != nil {
		return err
	}
	state := a.State
	state.Archiving = workflow.ArchivingArchived
	data, err := json.Marshal(state)
	if err != nil {
		return err
	}
	version := strconv.FormatInt(a.Version, 10)
	args := []any{w.token, record, version + " " + string(data), version, int64(state.Finished)}
	for _, loop := range a.head.Loops {
		args = append(args, runTag(w.id)+loop)
	}
	keys := append([]string{restoringKey(w.id), runKey(w.id), stateKey(w.id), metaKey(w.id), loopsKey(w.id)}, w.keys...)
	v, err := w.conn.run(ctx, w.conn.scripts.restored, keys, args...)
	if err == nil && asInt(v) == 0 {
		err = ErrExists
	}
	return err
}
