package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// A step is one command, put on a pipeline or sent by itself.
type step struct {
	send func(ctx context.Context, c redis.Cmdable) *redis.Cmd
	key  string // of its slot
	// rings is what to put on the turns' bell if the answer is 1; nothing if empty.
	rings string
}

// call is the step that runs a script by its hash.
func call(s *redis.Script, keys []string, args ...any) step {
	return step{key: keys[0], send: func(ctx context.Context, c redis.Cmdable) *redis.Cmd {
		return s.EvalSha(ctx, c, keys, args...)
	}}
}

// command is the step that sends a plain command, whose first argument is a key.
func command(name, key string, args ...any) step {
	all := append([]any{name, key}, args...)
	return step{key: key, send: func(ctx context.Context, c redis.Cmdable) *redis.Cmd {
		type doer interface {
			Do(ctx context.Context, args ...any) *redis.Cmd
		}
		return c.(doer).Do(ctx, all...)
	}}
}

// inOrder takes steps one after the other. One server takes pipelined commands in order, so
// there they cost one round trip, but a later step is taken even if an earlier one failed:
// steps must be such that this does no harm. On a cluster that holds for neighbours of one
// slot; else each waits for the one before.
func (c *Conn) inOrder(ctx context.Context, steps ...step) ([]*redis.Cmd, error) {
	return c.take(ctx, steps, c.cluster)
}

// together takes steps in any order, in one round trip for each server.
func (c *Conn) together(ctx context.Context, steps ...step) ([]*redis.Cmd, error) {
	return c.take(ctx, steps, false)
}

func (c *Conn) take(ctx context.Context, steps []step, bySlot bool) ([]*redis.Cmd, error) {
	cmds := make([]*redis.Cmd, len(steps))
	loaded := false
	for first := 0; first < len(steps); {
		next := len(steps)
		if bySlot {
			next = first + neighbours(steps[first:])
		}
		c.pipe(ctx, steps[first:next], cmds[first:next])
		failed := -1
		for i := first; i < next && failed < 0; i++ {
			if err := cmds[i].Err(); err != nil && !errors.Is(err, redis.Nil) {
				failed = i
			}
		}
		switch {
		case failed < 0:
			first = next
			continue
		case loaded || !redis.HasErrorPrefix(cmds[failed].Err(), "NOSCRIPT"):
			for i := next; i < len(steps); i++ {
				cmds[i] = redis.NewCmd(ctx)
				cmds[i].SetErr(fmt.Errorf("not sent after: %w", cmds[failed].Err()))
			}
			return cmds, cmds[failed].Err()
		}
		// Redis was restarted. The steps before this one are done; it and the rest follow.
		if err := c.scripts.load(ctx, c.client); err != nil {
			return cmds, err
		}
		loaded, first = true, failed
	}
	return cmds, nil
}

// neighbours counts the steps at the head that are of one slot.
func neighbours(steps []step) int {
	for i := range steps {
		if hashTag(steps[i].key) != hashTag(steps[0].key) {
			return i
		}
	}
	return len(steps)
}

// hashTag is the part of a key that its slot follows from.
func hashTag(key string) string {
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			return tag
		}
	}
	return key
}

// pipe sends steps in one pipeline, and rings for those that have to be rung for.
func (c *Conn) pipe(ctx context.Context, steps []step, cmds []*redis.Cmd) {
	pipe := c.client.Pipeline()
	for i, s := range steps {
		cmds[i] = s.send(ctx, pipe)
	}
	// Each command carries its own error.
	_, _ = pipe.Exec(ctx)
	var rings []any
	for i, s := range steps {
		if s.rings != "" && asInt(cmds[i].Val()) == 1 {
			rings = append(rings, s.rings)
		}
	}
	if len(rings) > 0 {
		// A ring that is lost costs time only: see sweepEvery.
		pipe := c.client.Pipeline()
		pipe.LPush(ctx, turnsBell, rings...)
		pipe.LTrim(ctx, turnsBell, 0, maxTurnRings-1)
		_, _ = pipe.Exec(ctx)
	}
}

// run runs one script; a nil answer is no error.
func (c *Conn) run(ctx context.Context, s *redis.Script, keys []string, args ...any) (any, error) {
	cmds, err := c.together(ctx, call(s, keys, args...))
	return cmds[0].Val(), err
}

// ring is the step that says that a run needs a turn, at once.
func (c *Conn) ring(run string) step { return c.ringIn(run, 0) }

// ringIn is the step that makes a run due in some milliseconds unless it is due anyway.
func (c *Conn) ringIn(run string, millis int64) step {
	k := shardOf(run)
	return c.onShard(c.scripts.ring, k, run, millis)
}

// onShard is the step that runs ring.lua or settle.lua. The turns' bell is another slot than
// the shard's: on one server the script rings it, on a cluster whoever called the script.
func (c *Conn) onShard(s *redis.Script, k int, args ...any) step {
	shard := strconv.Itoa(k)
	keys := []string{dueKey(k), takenKey(k), endedKey(k), laterKey(k)}
	if !c.cluster {
		keys = append(keys, turnsBell)
	}
	st := call(s, keys, append([]any{shard, maxTurnRings}, args...)...)
	if c.cluster {
		st.rings = shard
	}
	return st
}

// What scripts answer: integers, strings, nil and lists of them.

func asInt(v any) int64 {
	n, _ := v.(int64)
	return n
}

func asString(v any) string {
	s, _ := v.(string)
	return s
}

func asList(v any) []any {
	l, _ := v.([]any)
	return l
}
