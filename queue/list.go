package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// ListOptions select runs.
type ListOptions struct {
	Limit    int    // 0 is 100
	Continue string // what the page before returned
	// Of says whether those in the archive are wanted.
	Of ListOf
	// Keep says which runs are wanted; nil wants all. Their Nodes and Flights are not read.
	Keep func(*Snapshot) bool
}

// ListOf is where listed runs are.
type ListOf int

// Where runs are.
const (
	Live     ListOf = iota
	Archived        // those also that are there still
	Anywhere        // each once
)

// List returns runs, the newest first, and where the next page starts ("": there is none).
// An empty namespace is all of them.
func (r *Runs) List(ctx context.Context, namespace string, o ListOptions) ([]*Snapshot, string, error) {
	if o.Limit <= 0 {
		o.Limit = 100
	}
	namespaces := []string{namespace}
	if namespace == "" {
		var err error
		if namespaces, err = r.Namespaces(ctx); err != nil {
			return nil, "", err
		}
	}
	at, err := parseCursor(o.Continue)
	if err != nil {
		return nil, "", err
	}
	var page []*Snapshot
	for {
		// One more than wanted tells whether there is a next page.
		batch, err := r.index(ctx, namespaces, o.Of, at, o.Limit+1)
		if err != nil {
			return nil, "", fmt.Errorf("listing runs: %w", err)
		}
		if len(batch) == 0 {
			return page, "", nil
		}
		runs, err := r.listed(ctx, batch, o.Of)
		if err != nil {
			return nil, "", fmt.Errorf("listing runs: %w", err)
		}
		for i, run := range runs {
			if run == nil || o.Keep != nil && !o.Keep(run) {
				continue
			}
			if len(page) == o.Limit {
				return page, at.String(), nil
			}
			page = append(page, run)
			at = batch[i]
		}
		at = batch[len(batch)-1]
	}
}

// Namespaces returns the namespaces that ever had a run, sorted.
func (r *Runs) Namespaces(ctx context.Context) ([]string, error) {
	namespaces, err := r.conn.client.SMembers(ctx, namespacesKey).Result()
	if err != nil {
		return nil, fmt.Errorf("listing namespaces: %w", err)
	}
	slices.Sort(namespaces)
	return namespaces, nil
}

// cursor is a place in an index: the run that was returned last.
type cursor struct {
	created   int64
	id        string
	namespace string // not of one that a client had
}

func (c cursor) String() string { return strconv.FormatInt(c.created, 10) + "." + c.id }

// after orders cursors as lists go: the newest first.
func (c cursor) compare(d cursor) int {
	return -cmp.Or(cmp.Compare(c.created, d.created), cmp.Compare(c.id, d.id))
}

func parseCursor(text string) (cursor, error) {
	if text == "" {
		return cursor{created: 1 << 53}, nil
	}
	created, id, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(created, 10, 64)
	if err != nil {
		return cursor{}, fmt.Errorf("reading the continue token %q: %w", text, err)
	}
	return cursor{created: n, id: id}, nil
}

// index returns the runs that follow at in the indexes of the namespaces.
func (r *Runs) index(ctx context.Context, namespaces []string, of ListOf, at cursor, limit int) ([]cursor, error) {
	var all []cursor
	for _, ns := range namespaces {
		_, archived, _, _, _ := archivedKeys(ns)
		for _, key := range map[ListOf][]string{Live: {indexKey(ns)}, Archived: {archived}, Anywhere: {indexKey(ns), archived}}[of] {
			some, err := r.indexed(ctx, key, at, limit)
			if err != nil {
				return nil, err
			}
			for i := range some {
				some[i].namespace = ns
			}
			all = append(all, some...)
		}
	}
	slices.SortFunc(all, cursor.compare)
	all = slices.CompactFunc(all, func(a, b cursor) bool { return a.compare(b) == 0 })
	return all[:min(limit, len(all))], nil
}

// indexed returns the runs that follow at in one index.
func (r *Runs) indexed(ctx context.Context, key string, at cursor, limit int) ([]cursor, error) {
	var found []cursor
	for skip := 0; len(found) < limit; {
		// Runs of the same millisecond as at may come before it.
		zs, err := r.conn.client.ZRevRangeByScoreWithScores(ctx, key, &redis.ZRangeBy{
			Min: "-inf", Max: strconv.FormatInt(at.created, 10), Offset: int64(skip), Count: int64(limit),
		}).Result()
		if err != nil {
			return nil, err
		}
		for _, z := range zs {
			id, _ := z.Member.(string)
			if c := (cursor{created: int64(z.Score), id: id}); c.compare(at) > 0 {
				found = append(found, c)
			}
		}
		if len(zs) < limit {
			break
		}
		skip += len(zs)
	}
	return found, nil
}

// listed reads runs by where they are.
func (r *Runs) listed(ctx context.Context, at []cursor, of ListOf) ([]*Snapshot, error) {
	switch of {
	case Archived:
		return NewArchive(r.conn).rows(ctx, at)
	case Anywhere:
	default:
		return r.heads(ctx, at)
	}
	runs, err := r.heads(ctx, at)
	if err != nil {
		return nil, err
	}
	var missing []cursor
	var places []int
	for i, run := range runs {
		if run == nil {
			missing, places = append(missing, at[i]), append(places, i)
		}
	}
	rows, err := NewArchive(r.conn).rows(ctx, missing)
	for i, row := range rows {
		runs[places[i]] = row
	}
	return runs, err
}

// heads reads runs; one that was deleted meanwhile is nil.
func (r *Runs) heads(ctx context.Context, at []cursor) ([]*Snapshot, error) {
	pipe := r.conn.client.Pipeline()
	cmds := make([]*redis.SliceCmd, len(at))
	for i, c := range at {
		cmds[i] = pipe.MGet(ctx, headKeys(c.id)...)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	runs := make([]*Snapshot, len(at))
	for i, cmd := range cmds {
		s, err := decodeHead(at[i].id, cmd.Val())
		if errors.Is(err, ErrNotFound) {
			continue
		} else if err != nil {
			return nil, err
		}
		runs[i] = s
	}
	return runs, nil
}
