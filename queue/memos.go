package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"argosy/workflow"
)

// Memos keep what nodes left for others of their key, by namespace and cache.
type Memos struct{ conn *Conn }

// NewMemos makes a view on all memos.
func NewMemos(c *Conn) *Memos { return &Memos{c} }

// Save keeps memos of a namespace, in the place of older ones.
func (m *Memos) Save(ctx context.Context, namespace string, saves []workflow.MemoSave) error {
	steps := make([]step, 0, 2*len(saves))
	var caches []any
	for i := range saves {
		data, err := json.Marshal(saves[i].Memo)
		if err != nil {
			return fmt.Errorf("encoding what is kept as %s: %w", saves[i].Name, err)
		}
		cache := namespace + "/" + saves[i].Cache
		steps = append(steps, call(m.conn.scripts.memo, memosKeys(cache), saves[i].Name, data))
		caches = append(caches, cache)
	}
	if len(steps) == 0 {
		return nil
	}
	// Last: one that is empty is forgotten.
	if _, err := m.conn.inOrder(ctx, append(steps, command("sadd", cachesKey, caches...))...); err != nil {
		return fmt.Errorf("keeping %d memoized outputs: %w", len(steps), err)
	}
	return nil
}

// Load reads what is kept for nodes of a run: the events to tell it so with Settlement.Told.
func (m *Memos) Load(ctx context.Context, run *workflow.Run, loads []workflow.MemoLoad) ([]workflow.Event, error) {
	if len(loads) == 0 {
		return nil, nil
	}
	steps := make([]step, len(loads))
	for i, l := range loads {
		steps[i] = call(m.conn.scripts.memo, memosKeys(run.Namespace+"/"+l.Cache), l.Name)
	}
	cmds, err := m.conn.together(ctx, steps...)
	if err != nil {
		return nil, fmt.Errorf("reading memoized outputs for run %s: %w", run.ID, err)
	}
	answers := make([]workflow.Event, len(loads))
	for i, cmd := range cmds {
		answers[i] = workflow.Event{Kind: workflow.EventMemo, Key: loads[i].Key}
		if errors.Is(cmd.Err(), redis.Nil) {
			continue
		}
		memo := &workflow.Memo{}
		if err := json.Unmarshal([]byte(asString(cmd.Val())), memo); err != nil {
			m.conn.log.Warn("what is kept cannot be read and does not count", "cache", loads[i].Cache, "key", loads[i].Name, "error", err)
			continue
		}
		answers[i].Memo = memo
	}
	return answers, nil
}

// forgetAtOnce is how many memos one script removes.
const forgetAtOnce = 1000

// Forget removes the memos that nobody wanted for a time, and says how many they were.
func (m *Memos) Forget(ctx context.Context, unwanted time.Duration) (forgotten int, err error) {
	caches, err := m.conn.client.SMembers(ctx, cachesKey).Result()
	if err != nil {
		return 0, fmt.Errorf("listing caches: %w", err)
	}
	for _, cache := range caches {
		for {
			v, err := m.conn.run(ctx, m.conn.scripts.forget, memosKeys(cache), unwanted.Milliseconds(), forgetAtOnce)
			answer := asList(v)
			if err == nil && len(answer) != 2 {
				err = fmt.Errorf("unexpected answer %v", v)
			}
			if err != nil {
				return forgotten, fmt.Errorf("collecting what cache %s has: %w", cache, err)
			}
			forgotten += int(asInt(answer[0]))
			if asInt(answer[1]) == 0 {
				err = m.conn.client.SRem(ctx, cachesKey, cache).Err()
			}
			if err != nil {
				return forgotten, fmt.Errorf("forgetting cache %s: %w", cache, err)
			}
			if asInt(answer[0]) < forgetAtOnce {
				break
			}
		}
	}
	return forgotten, nil
}

// KeepForgetting forgets every now and then until ctx ends.
func (m *Memos) KeepForgetting(ctx context.Context, every, unwanted time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		switch n, err := m.Forget(ctx, unwanted); {
		case err != nil && ctx.Err() == nil:
			m.conn.log.Warn("memoized outputs are not collected", "error", err)
		case n > 0:
			m.conn.log.Info("memoized outputs that nobody wanted were removed", "count", n)
		}
	}
}
