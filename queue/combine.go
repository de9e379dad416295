package queue

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// combine has callers share pipelines: what others want to send while one is under way waits
// for it, and then goes out together. A lone caller waits for nobody, and many cost Redis and
// this process one read and one write for all of them. The commands of one caller stay
// together and in order. It is a hook of a client to one server, the last one that is added.
//
// It has no goroutine of its own: the caller whose pipeline is through hands the lead to the
// first that waits, who sends for all.
type combine struct {
	mu      sync.Mutex
	flying  bool
	waiting []*passenger
}

// passenger is a caller that waits, until it leads or another has sent for it.
type passenger struct {
	cmds  []redis.Cmder
	woken chan struct{}
	leads bool
}

const (
	// maxCombined bounds the commands that go out together.
	maxCombined = 1000
	// combineTime is the least time that a caller must have to share: one that has less
	// must not wait for another's answers.
	combineTime = 5 * time.Second
)

// DialHook is part of redis.Hook.
func (c *combine) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook is part of redis.Hook.
func (c *combine) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

// ProcessPipelineHook is part of redis.Hook.
func (c *combine) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		deadline, hurried := ctx.Deadline()
		if cmds[0].Name() == "multi" || hurried && time.Until(deadline) < combineTime || ctx.Err() != nil {
			return next(ctx, cmds)
		}
		c.send(context.WithoutCancel(ctx), cmds, next)
		for _, cmd := range cmds {
			if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) {
				return err
			}
		}
		return nil
	}
}

// send returns when the commands have their answers.
func (c *combine) send(ctx context.Context, cmds []redis.Cmder, next redis.ProcessPipelineHook) {
	var others []*passenger
	c.mu.Lock()
	if c.flying {
		me := &passenger{cmds: cmds, woken: make(chan struct{})}
		c.waiting = append(c.waiting, me)
		c.mu.Unlock()
		<-me.woken
		if !me.leads {
			return
		}
		c.mu.Lock()
		others = c.board(len(cmds))
	}
	c.flying = true
	c.mu.Unlock()

	defer c.land(others) // also after a panic: others must not wait forever
	all := cmds
	for _, p := range others {
		all = append(all[:len(all):len(all)], p.cmds...)
	}
	_ = next(ctx, all) // each command carries its own error
}

// board takes those who go along with a leader that has n commands.
func (c *combine) board(n int) []*passenger {
	last := 0
	for ; last < len(c.waiting); last++ {
		if n += len(c.waiting[last].cmds); n > maxCombined {
			break
		}
	}
	others := c.waiting[:last:last]
	c.waiting = c.waiting[last:]
	return others
}

// land lets those go who came along, and hands the lead on.
func (c *combine) land(others []*passenger) {
	for _, p := range others {
		close(p.woken)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		c.waiting, c.flying = nil, false
		return
	}
	leader := c.waiting[0]
	c.waiting = c.waiting[1:]
	leader.leads = true
	close(leader.woken)
}

// through has a client send its single commands as pipelines of another one, where they are
// counted and shared.
type through struct{ client redis.UniversalClient }

// DialHook is part of redis.Hook.
func (t through) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook is part of redis.Hook.
func (t through) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		switch cmd.Name() {
		case "hello", "auth", "select", "client", "readonly":
			return next(ctx, cmd) // it is about the connection
		}
		pipe := t.client.Pipeline()
		_ = pipe.Process(ctx, cmd) // only queues it
		_, _ = pipe.Exec(ctx)
		return cmd.Err()
	}
}

// ProcessPipelineHook is part of redis.Hook.
func (t through) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
