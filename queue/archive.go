package queue

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"argosy/workflow"
)

// Archive are the runs that have ended and are to be archived, and rows of those that are.
// Whether one is to be is a part of its state, of the commit that ends it:
//
//	           Commit            Take, Dump, file, Keep            Archived
//	(under way) ----> Pending -----------------------------> row ------------> Archived --> deleted
//	                    |                                                         ^
//	                    +-- Remove: deleted once it is archived, by Dismiss ------+
//
// Each step may be repeated. A file and a row of a run are replaced by those of a later life.
type Archive struct{ conn *Conn }

// NewArchive makes the side of whoever archives, and of who reads what is archived.
func NewArchive(c *Conn) *Archive { return &Archive{c} }

// archiveKey is a zset: run -> millis at which to archive it.
const archiveKey = "{archive}:due"

// Want has a run archived. It is for one that is Pending; others are taken and dismissed.
func (a *Archive) Want(ctx context.Context, run string) error { return a.Later(ctx, run, 0) }

// Later has a run looked at again after a time.
func (a *Archive) Later(ctx context.Context, run string, after time.Duration) error {
	if _, err := a.conn.run(ctx, a.conn.scripts.garbage, []string{archiveKey}, 0, after.Milliseconds(), 0, run); err != nil {
		return fmt.Errorf("noting that run %s is to be archived: %w", run, err)
	}
	return nil
}

// Take returns runs to archive, at most so many. They come again after the time that is given,
// unless they are done: Archived.
func (a *Archive) Take(ctx context.Context, most int, again time.Duration) ([]string, error) {
	v, err := a.conn.run(ctx, a.conn.scripts.garbage, []string{archiveKey}, most, again.Milliseconds(), 0)
	if err != nil {
		return nil, fmt.Errorf("looking for runs to archive: %w", err)
	}
	var runs []string
	for _, run := range asList(v) {
		runs = append(runs, asString(run))
	}
	return runs, nil
}

// Now is Redis's clock.
func (a *Archive) Now(ctx context.Context) (workflow.Millis, error) {
	now, err := a.conn.client.Time(ctx).Result()
	if err != nil {
		return 0, fmt.Errorf("reading the clock: %w", err)
	}
	return workflow.At(now), nil
}

// Archived notes that what was dumped is in the archive: ErrConflict when the run has been taken up
// again. Dismiss follows.
func (a *Archive) Archived(ctx context.Context, d *Dumped) error {
	id := d.Run.ID
	state := d.State
	state.Archiving = workflow.ArchivingArchived
	data, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("encoding the state of run %s: %w", id, err)
	}
	record := strconv.FormatInt(d.Version, 10) + " " + string(data)
	v, err := a.conn.run(ctx, a.conn.scripts.archiving, []string{metaKey(id), stateKey(id)}, d.record, record)
	if err != nil {
		return fmt.Errorf("noting that run %s is archived: %w", id, err)
	}
	if asInt(v) == 0 {
		// Unless it is our own, whose answer was lost.
		if s, err := NewRuns(a.conn).Head(ctx, id); err != nil || s.State.Archiving != workflow.ArchivingArchived {
			return fmt.Errorf("noting that run %s is archived: %w", id, ErrConflict)
		}
	}
	return nil
}

// Dismiss has a run taken no more, unless it is Pending, and removes it if somebody wanted that
// before it was archived.
func (a *Archive) Dismiss(ctx context.Context, id string) error {
	runs := NewRuns(a.conn)
	s, err := runs.Head(ctx, id)
	if err == nil && s.State.Archiving == workflow.ArchivingArchived {
		err = a.removeDoomed(ctx, id)
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if err := a.conn.client.ZRem(ctx, archiveKey, id).Err(); err != nil {
		return fmt.Errorf("noting that run %s is archived: %w", id, err)
	}
	// It may have ended another time just now.
	s, err = runs.Head(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err == nil && s.State.Archiving == workflow.ArchivingPending:
		return a.Want(ctx, id)
	}
	return err
}

// removeDoomed removes a run that is to be deleted, unless its artifacts go first: then it is removed
// with those.
func (a *Archive) removeDoomed(ctx context.Context, id string) error {
	cmds, err := a.conn.together(ctx, command("hexists", metaKey(id), "doom"), command("hexists", heldKey, id))
	if err != nil {
		return fmt.Errorf("looking whether run %s is to be deleted: %w", id, err)
	}
	if asInt(cmds[0].Val()) == 0 || asInt(cmds[1].Val()) == 1 {
		return nil
	}
	return NewRuns(a.conn).Remove(ctx, id)
}

// reserve reads a run that is about to be removed; nil: it is to be archived first, and will be
// removed then.
func (a *Archive) reserve(ctx context.Context, id string) (*Snapshot, error) {
	for {
		values, err := a.conn.client.MGet(ctx, headKeys(id)...).Result()
		if err != nil {
			return nil, fmt.Errorf("deleting run %s: %w", id, err)
		}
		s, err := decodeHead(id, values)
		if err != nil {
			return nil, fmt.Errorf("deleting: loading run %s: %w", id, err)
		}
		if s.State.Archiving != workflow.ArchivingPending {
			return s, nil
		}
		if err := a.Want(ctx, id); err != nil {
			return nil, err
		}
		// Its artifacts are gone, or nobody waits for that.
		if err := a.conn.client.HDel(ctx, heldKey, id).Err(); err != nil {
			return nil, fmt.Errorf("deleting run %s: %w", id, err)
		}
		v, err := a.conn.run(ctx, a.conn.scripts.archiving, []string{metaKey(id), stateKey(id)}, asString(values[1]), "")
		if err != nil {
			return nil, fmt.Errorf("deleting run %s: %w", id, err)
		}
		if asInt(v) == 1 {
			return nil, nil
		}
	}
}

// row is what is known of an archived run without its file.
type row struct {
	Run     *workflow.Run     `json:"r"`
	State   workflow.State    `json:"s"`
	Digest  string            `json:"d"`
	Version int64             `json:"v"`
	Labels  map[string]string `json:"l,omitempty"` // for lists of labels
}

// maxRowText bounds the arguments, and the annotations, of a row: a list shows them if they are short.
const maxRowText = 2048

// Keep writes the row of a run whose file is written. labels are those that it is found by.
func (a *Archive) Keep(ctx context.Context, s *Snapshot, labels map[string]string) error {
	run, state := *s.Run, s.State
	id := run.ID
	run.ID = ""
	if text, err := json.Marshal(run.Arguments); err != nil || len(text) > maxRowText {
		run.Arguments = workflow.Run{}.Arguments
	}
	if text, err := json.Marshal(run.Annotations); err != nil || len(text) > maxRowText {
		run.Annotations = nil
	}
	state.Archiving, state.Outputs, state.Again, state.Lock = workflow.ArchivingPersisted, nil, nil, nil
	data, err := json.Marshal(row{Run: &run, State: state, Digest: s.Digest, Version: s.Version, Labels: labels})
	if err != nil {
		return fmt.Errorf("encoding the row of run %s: %w", id, err)
	}
	return a.put(ctx, run.Namespace, id, data, int64(run.Created), int64(state.Finished), run.Name)
}

func (a *Archive) put(ctx context.Context, ns, id string, args ...any) error {
	rows, created, names, ended, labels := archivedKeys(ns)
	v, err := a.conn.run(ctx, a.conn.scripts.archived, []string{rows, created, names, ended, labels}, append([]any{id}, args...)...)
	if err != nil {
		return fmt.Errorf("keeping the row of archived run %s/%s: %w", ns, id, err)
	}
	if asInt(v) == 0 {
		return fmt.Errorf("removing the row of archived run %s/%s: %w", ns, id, ErrNotFound)
	}
	return nil
}

// Forget removes a run's row, after its file: ErrNotFound.
func (a *Archive) Forget(ctx context.Context, ns, id string) error { return a.put(ctx, ns, id, "") }

// Row returns an archived run without its nodes. An empty namespace is any: ErrNotFound.
func (a *Archive) Row(ctx context.Context, ns, id string) (*Snapshot, error) {
	namespaces := []string{ns}
	if ns == "" {
		var err error
		if namespaces, err = NewRuns(a.conn).Namespaces(ctx); err != nil {
			return nil, err
		}
	}
	at := make([]cursor, len(namespaces))
	for i, ns := range namespaces {
		at[i] = cursor{id: id, namespace: ns}
	}
	rows, err := a.rows(ctx, at)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if row != nil {
			return row, nil
		}
	}
	return nil, fmt.Errorf("finding archived run %s: %w", id, ErrNotFound)
}

// Named returns the archived runs with a name, the newest first.
func (a *Archive) Named(ctx context.Context, ns, name string) ([]*Snapshot, error) {
	_, _, names, _, _ := archivedKeys(ns)
	members, err := a.conn.client.ZRangeByLex(ctx, names, &redis.ZRangeBy{Min: "[" + name + " ", Max: "(" + name + "!"}).Result()
	if err != nil {
		return nil, fmt.Errorf("finding archived run %s/%s: %w", ns, name, err)
	}
	at := make([]cursor, len(members))
	for i, m := range members {
		at[i] = cursor{id: strings.TrimPrefix(m, name+" "), namespace: ns}
	}
	rows, err := a.rows(ctx, at)
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(s *Snapshot) bool { return s == nil })
	slices.SortFunc(rows, func(a, b *Snapshot) int { return cmp.Compare(b.Run.Created, a.Run.Created) })
	return rows, nil
}

// rows reads rows; one that is not there is nil.
func (a *Archive) rows(ctx context.Context, at []cursor) ([]*Snapshot, error) {
	if len(at) == 0 {
		return nil, nil
	}
	pipe := a.conn.client.Pipeline()
	cmds := make([]*redis.StringCmd, len(at))
	for i, c := range at {
		rows, _, _, _, _ := archivedKeys(c.namespace)
		cmds[i] = pipe.HGet(ctx, rows, c.id)
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("reading rows of archived runs: %w", err)
	}
	out := make([]*Snapshot, len(at))
	for i, cmd := range cmds {
		text, err := cmd.Result()
		if errors.Is(err, redis.Nil) {
			continue
		}
		var r row
		if err == nil {
			err = json.Unmarshal([]byte(text), &r)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the row of archived run %s: %w", at[i].id, err)
		}
		r.Run.ID = at[i].id
		out[i] = &Snapshot{Run: r.Run, Digest: r.Digest, State: r.State, Version: r.Version, Archived: true}
	}
	return out, nil
}

// EndedBefore returns runs of a namespace that ended before a time, the oldest first.
func (a *Archive) EndedBefore(ctx context.Context, ns string, at workflow.Millis, most int) ([]string, error) {
	_, _, _, ended, _ := archivedKeys(ns)
	ids, err := a.conn.client.ZRangeByScore(ctx, ended, &redis.ZRangeBy{Min: "-inf", Max: "(" + strconv.FormatInt(int64(at), 10), Count: int64(most)}).Result()
	if err != nil {
		return nil, fmt.Errorf("looking for old archived runs of %s: %w", ns, err)
	}
	return ids, nil
}

// Labels returns the labels that archived runs have: label -> values.
func (a *Archive) Labels(ctx context.Context) (map[string][]string, error) {
	namespaces, err := NewRuns(a.conn).Namespaces(ctx)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	out := map[string][]string{}
	for _, ns := range namespaces {
		_, _, _, _, labels := archivedKeys(ns)
		entries, err := a.conn.client.HKeys(ctx, labels).Result()
		if err != nil {
			return nil, fmt.Errorf("listing the labels of archived runs: %w", err)
		}
		for _, e := range entries {
			if label, value, _ := strings.Cut(e, "="); !seen[e] {
				seen[e], out[label] = true, append(out[label], value)
			}
		}
	}
	return out, nil
}
