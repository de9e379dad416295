package queue

import (
	"context"
	"net"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Counter counts what is sent to Redis. Budgets are asserted with it.
type Counter struct {
	mu       sync.Mutex
	trips    int
	commands map[string]int
}

// NewCounter makes a Counter at zero.
func NewCounter() *Counter { return &Counter{commands: map[string]int{}} }

// Trips returns the number of round trips: a pipeline is one.
func (c *Counter) Trips() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trips
}

// Commands returns the number of commands sent.
func (c *Counter) Commands() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, k := range c.commands {
		n += k
	}
	return n
}

// Sent returns the number of commands of one name, in lower case, that were sent.
func (c *Counter) Sent(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.commands[name]
}

// Reset sets the Counter to zero.
func (c *Counter) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trips = 0
	clear(c.commands)
}

// DialHook is part of redis.Hook.
func (c *Counter) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook is part of redis.Hook.
func (c *Counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.count(cmd)
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook is part of redis.Hook.
func (c *Counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.count(cmds...)
		return next(ctx, cmds)
	}
}

func (c *Counter) count(cmds ...redis.Cmder) {
	switch cmds[0].Name() {
	case "hello", "auth", "client", "select":
		return // a connection being opened
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trips++
	for _, cmd := range cmds {
		c.commands[cmd.Name()]++
	}
}
