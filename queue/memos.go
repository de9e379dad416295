package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"argosy/workflow"
)

// Memos keep what nodes left for others of their key, by namespace and cache.
type Memos struct{ conn *Conn }

// NewMemos makes a view on all memos.
func NewMemos(c *Conn) *Memos { return &Memos{c} }

// Save keeps memos of a namespace, in the place of older ones.
func (m *Memos) Save(ctx context.Context, namespace string, saves []workflow.MemoSave) error {
	steps := make([]step, 0, len(saves))
	for i := range saves {
		data, err := json.Marshal(saves[i].Memo)
		if err != nil {
			return fmt.Errorf("encoding what is kept as %s: %w", saves[i].Name, err)
		}
		steps = append(steps, command("hset", memosKey(namespace, saves[i].Cache), saves[i].Name, data))
	}
	if len(steps) == 0 {
		return nil
	}
	if _, err := m.conn.together(ctx, steps...); err != nil {
		return fmt.Errorf("keeping %d memoized outputs: %w", len(steps), err)
	}
	return nil
}

// Load tells a run what is kept for its nodes.
func (m *Memos) Load(ctx context.Context, run *workflow.Run, loads []workflow.MemoLoad) error {
	if len(loads) == 0 {
		return nil
	}
	steps := make([]step, len(loads))
	for i, l := range loads {
		steps[i] = command("hget", memosKey(run.Namespace, l.Cache), l.Name)
	}
	cmds, err := m.conn.together(ctx, steps...)
	if err != nil {
		return fmt.Errorf("reading memoized outputs for run %s: %w", run.ID, err)
	}
	answers := make([]told, len(loads))
	for i, cmd := range cmds {
		answers[i] = told{run.ID, workflow.Event{Kind: workflow.EventMemo, Key: loads[i].Key}}
		if errors.Is(cmd.Err(), redis.Nil) {
			continue
		}
		memo := &workflow.Memo{}
		if err := json.Unmarshal([]byte(asString(cmd.Val())), memo); err != nil {
			m.conn.log.Warn("what is kept cannot be read and does not count", "cache", loads[i].Cache, "key", loads[i].Name, "error", err)
			continue
		}
		answers[i].event.Memo = memo
	}
	if err := NewLocks(m.conn).tell(ctx, answers); err != nil {
		return fmt.Errorf("telling run %s of memoized outputs: %w", run.ID, err)
	}
	return nil
}
