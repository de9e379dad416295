package queue

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// blocker is a client of its own for one blocking command at a time, which go-redis cannot
// interrupt: to cut it closes the sockets under it.
type blocker struct {
	redis.UniversalClient
	mu     sync.Mutex
	conns  map[*heldConn]bool
	ending bool // what was to block was cut; nothing is to be connected for it any more
}

// maxBlock bounds how long a command of a blocker may block.
const maxBlock = 5 * time.Second

func (c *Conn) newBlocker() *blocker {
	b := &blocker{conns: map[*heldConn]bool{}}
	opts := *c.opts
	opts.PoolSize = 2 // on a cluster, one may be asked where the slots are
	opts.MinIdleConns = 0
	opts.ReadTimeout = maxBlock + 5*time.Second
	if c.opts.ReadTimeout > 0 {
		opts.ReadTimeout = maxBlock + c.opts.ReadTimeout
	}
	opts.ContextTimeoutEnabled = false
	dial := dialer(c.opts)
	opts.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		held := &heldConn{Conn: conn, by: b}
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.ending {
			return nil, errors.Join(net.ErrClosed, conn.Close())
		}
		b.conns[held] = true
		return held, nil
	}
	b.UniversalClient = c.newClient(&opts)
	return b
}

// heldConn is a connection that its blocker can cut.
type heldConn struct {
	net.Conn
	by *blocker
}

// Close is part of net.Conn.
func (h *heldConn) Close() error {
	h.by.mu.Lock()
	delete(h.by.conns, h)
	h.by.mu.Unlock()
	return h.Conn.Close()
}

// cut ends what blocks.
func (b *blocker) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ending = true
	for h := range b.conns {
		h.Conn.Close()
	}
}

// begin makes it ready for the next command that may block.
func (b *blocker) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ending = false
}

// during runs f, which may block, and cuts it when ctx ends.
func (b *blocker) during(ctx context.Context, f func() error) error {
	b.begin()
	stop := context.AfterFunc(ctx, b.cut)
	defer stop()
	if err := ctx.Err(); err != nil {
		return err
	}
	err := f()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
