package queue

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"path"
	"sync"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/*.lua
var luaFiles embed.FS

// scripts holds the Lua scripts by the names of their files.
type scripts struct {
	ring, claim, settle          *redis.Script
	create, takename, signal     *redis.Script
	begin, commit, clear, touch  *redis.Script
	hold, renew, report, release *redis.Script
	log, poolDemand              *redis.Script

	mu      sync.Mutex
	sources []string
	learned map[string]*redis.Script
}

// learn adds a script that is not ours, to have it loaded with the others.
func (s *scripts) learn(src string) *redis.Script {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.learned[src] == nil {
		s.learned[src] = redis.NewScript(src)
		s.sources = append(s.sources, src)
	}
	return s.learned[src]
}

func loadScripts() (*scripts, error) {
	s := &scripts{learned: map[string]*redis.Script{}}
	for name, script := range map[string]**redis.Script{
		"ring": &s.ring, "claim": &s.claim, "settle": &s.settle,
		"create": &s.create, "takename": &s.takename, "signal": &s.signal,
		"begin": &s.begin, "commit": &s.commit, "clear": &s.clear, "touch": &s.touch,
		"hold": &s.hold, "renew": &s.renew, "report": &s.report, "release": &s.release,
		"log": &s.log, "demand": &s.poolDemand,
	} {
		src, err := luaFiles.ReadFile(path.Join("lua", name+".lua"))
		if err != nil {
			return nil, fmt.Errorf("reading a Lua script: %w", err)
		}
		*script = redis.NewScript(string(src))
		s.sources = append(s.sources, string(src))
	}
	return s, nil
}

// load makes Redis know every script, in one round trip.
func (s *scripts) load(ctx context.Context, client redis.UniversalClient) error {
	pipe := client.Pipeline()
	s.mu.Lock()
	for _, src := range s.sources {
		pipe.ScriptLoad(ctx, src)
	}
	s.mu.Unlock()
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("loading the Lua scripts: %w", err)
	}
	return nil
}

// A step is one command, put on a pipeline or sent by itself.
type step func(ctx context.Context, c redis.Cmdable) *redis.Cmd

// call is the step that runs a script by its hash.
func call(s *redis.Script, keys []string, args ...any) step {
	return func(ctx context.Context, c redis.Cmdable) *redis.Cmd {
		return s.EvalSha(ctx, c, keys, args...)
	}
}

// command is the step that sends a plain command.
func command(args ...any) step {
	return func(ctx context.Context, c redis.Cmdable) *redis.Cmd {
		type doer interface {
			Do(ctx context.Context, args ...any) *redis.Cmd
		}
		return c.(doer).Do(ctx, args...)
	}
}

// inOrder takes steps one after the other. One server takes pipelined commands in order, so
// there they cost one round trip, but a later step is taken even if an earlier one failed:
// steps must be such that this does no harm. On a cluster each waits for the one before.
func (c *Conn) inOrder(ctx context.Context, steps ...step) ([]*redis.Cmd, error) {
	cmds := make([]*redis.Cmd, len(steps))
	loaded := false
	for first := 0; first < len(steps); {
		c.take(ctx, steps, cmds, first)
		failed := -1
		for i := first; i < len(steps) && failed < 0; i++ {
			if err := cmds[i].Err(); err != nil && !errors.Is(err, redis.Nil) {
				failed = i
			}
		}
		if failed < 0 {
			return cmds, nil
		}
		if loaded || !redis.HasErrorPrefix(cmds[failed].Err(), "NOSCRIPT") {
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

// take sends the steps from first on, once.
func (c *Conn) take(ctx context.Context, steps []step, cmds []*redis.Cmd, first int) {
	if !c.cluster {
		pipe := c.client.Pipeline()
		for i := first; i < len(steps); i++ {
			cmds[i] = steps[i](ctx, pipe)
		}
		// Each command carries its own error.
		_, _ = pipe.Exec(ctx)
		return
	}
	for i := first; i < len(steps); i++ {
		cmds[i] = steps[i](ctx, c.client)
		if err := cmds[i].Err(); err != nil && !errors.Is(err, redis.Nil) {
			for j := i + 1; j < len(steps); j++ {
				cmds[j] = redis.NewCmd(ctx)
				cmds[j].SetErr(fmt.Errorf("not sent after: %w", err))
			}
			return
		}
	}
}

// run runs one script; a nil answer is no error.
func (c *Conn) run(ctx context.Context, s *redis.Script, keys []string, args ...any) (any, error) {
	v, err := s.Run(ctx, c.client, keys, args...).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return v, err
}

// ring is the step that says that a run needs a turn, at once.
func (c *Conn) ring(run string) step { return c.ringIn(run, 0) }

// ringIn is the step that makes a run due in some milliseconds unless it is due anyway.
func (c *Conn) ringIn(run string, millis int64) step {
	k := shardOf(run)
	return call(c.scripts.ring, []string{dueKey(k), takenKey(k), bellKey(k)}, run, millis)
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
