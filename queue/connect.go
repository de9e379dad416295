package queue

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// Options are what a connection may be given beside its URL.
type Options struct {
	Log *slog.Logger // required
	// Counter counts what is sent to Redis; nil counts nothing.
	Counter *Counter
}

// Conn is a process's connection to Redis. The types of this package share it.
type Conn struct {
	opts    *redis.Options
	client  redis.UniversalClient
	cluster bool // keys of different slots may live on different servers
	scripts *scripts
	specs   *Specs
	counter *Counter
	log     *slog.Logger
}

// Connect opens a connection to redis://, rediss:// or unix:// and makes sure that somebody
// answers there.
func Connect(ctx context.Context, url string, o Options) (*Conn, error) {
	opts, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("reading the Redis URL: %w", err)
	}
	// A command whose answer got lost is sent again by whoever knows what that means.
	opts.MaxRetries = -1
	opts.DialerRetries = 1
	opts.Protocol = 2
	opts.DisableIdentity = true
	opts.ContextTimeoutEnabled = true
	if opts.PoolSize == 0 {
		opts.PoolSize = 256 // opened as needed; each follower of a log keeps one
	}
	// go-redis can only log for the whole process; what it would log it also returns.
	redis.SetLogger(&logging.VoidLogger{})
	c := &Conn{opts: opts, counter: o.Counter, log: o.Log}
	c.client = c.newClient(opts)
	c.scripts, err = loadScripts()
	if err != nil {
		return nil, err
	}
	c.specs = newSpecs(c.client)
	if err := c.scripts.load(ctx, c.client); err != nil {
		c.client.Close()
		return nil, fmt.Errorf("connecting to Redis at %s: %w", opts.Addr, err)
	}
	return c, nil
}

// Close ends the connection. Whatever uses it must have stopped.
func (c *Conn) Close() error { return c.client.Close() }

// Ping says whether Redis answers.
func (c *Conn) Ping(ctx context.Context) error {
	if err := c.client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("pinging Redis: %w", err)
	}
	return nil
}

func (c *Conn) newClient(opts *redis.Options) *redis.Client {
	client := redis.NewClient(opts)
	if c.counter != nil {
		client.AddHook(c.counter)
	}
	return client
}

// blocker is a connection of its own for one blocking command at a time, which go-redis
// cannot interrupt: a cancelled context closes the socket under it.
type blocker struct {
	*redis.Client
	mu   sync.Mutex
	conn net.Conn
}

// maxBlock bounds how long a command of a blocker may block.
const maxBlock = 5 * time.Second

func (c *Conn) newBlocker() *blocker {
	b := &blocker{}
	opts := *c.opts
	opts.PoolSize = 1
	opts.MinIdleConns = 0
	opts.ReadTimeout = maxBlock + 5*time.Second
	opts.ContextTimeoutEnabled = false
	dial := redis.NewDialer(&opts)
	opts.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.conn = conn
		return conn, err
	}
	b.Client = c.newClient(&opts)
	return b
}

// during runs f, which may block, and cuts its connection when ctx ends.
func (b *blocker) during(ctx context.Context, f func() error) error {
	stop := context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.conn != nil {
			b.conn.Close()
		}
	})
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
