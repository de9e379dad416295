package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// Options are what a connection may be given beside its URL.
type Options struct {
	Log *slog.Logger // required
	// Counter counts what is sent to Redis; nil counts nothing.
	Counter *Counter
	// Hook sees everything that is sent to Redis, after Counter; nil is none. A simulation
	// answers in Redis's place with it.
	Hook redis.Hook
	// Wait is how long Connect waits for a server that does not answer yet, or still loads its
	// data; 0 is not at all.
	Wait time.Duration
	// BySlot has one server be treated as if it were a cluster.
	BySlot bool
}

// Conn is a process's connection to Redis. The types of this package share it.
type Conn struct {
	opts    *redis.UniversalOptions
	client  redis.UniversalClient
	cluster bool // keys of different slots may live on different servers
	scripts *scripts
	specs   *Specs
	counter *Counter
	hook    redis.Hook
	log     *slog.Logger
}

// Connect opens a connection and makes sure that somebody answers there: one server
// (redis://, rediss://, unix://), a cluster (redis+cluster://host:port,..) or what Sentinels
// watch (redis+sentinel://host:port,../master); see parseAddress.
func Connect(ctx context.Context, url string, o Options) (*Conn, error) {
	opts, err := parseAddress(url)
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
	c := &Conn{opts: opts, cluster: opts.IsClusterMode || o.BySlot, counter: o.Counter, hook: o.Hook, log: o.Log}
	c.client = c.newClient(opts)
	if !c.cluster && c.hook == nil {
		c.client.AddHook(&combine{})
	}
	c.scripts, err = loadScripts()
	if err != nil {
		return nil, err
	}
	c.specs = newSpecs(c.client)
	if err := c.arrive(ctx, o.Wait); err != nil {
		c.client.Close()
		return nil, fmt.Errorf("connecting to Redis at %s: %w", strings.Join(opts.Addrs, ","), err)
	}
	return c, nil
}

// waitPause is how long Connect waits between two attempts.
const waitPause = 500 * time.Millisecond

// arrive loads the scripts as soon as Redis lets us.
func (c *Conn) arrive(ctx context.Context, wait time.Duration) error {
	limit := time.Now().Add(wait)
	for first := true; ; first = false {
		err := c.scripts.load(ctx, c.client)
		if err == nil || !mayCome(err) || !time.Now().Before(limit) {
			return err
		}
		if first {
			c.log.Warn("Redis does not answer yet; waiting for it", "address", strings.Join(c.opts.Addrs, ","), "for", wait, "error", err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(waitPause):
		}
	}
}

// mayCome says that Redis is only not there yet.
func mayCome(err error) bool {
	var net net.Error
	return errors.As(err, &net) || redis.IsLoadingError(err) || redis.IsMasterDownError(err) || redis.IsClusterDownError(err)
}

// Addresses are those of the servers that the URL named, as host:port.
func (c *Conn) Addresses() []string { return slices.Clone(c.opts.Addrs) }

// Close ends the connection. Whatever uses it must have stopped.
func (c *Conn) Close() error { return c.client.Close() }

// Ping says whether Redis answers.
func (c *Conn) Ping(ctx context.Context) error {
	err := each(ctx, c.client, func(ctx context.Context, client redis.UniversalClient) error {
		return client.Ping(ctx).Err()
	})
	if err != nil {
		return fmt.Errorf("pinging Redis: %w", err)
	}
	return nil
}

// each calls f for every server that has keys.
func each(ctx context.Context, client redis.UniversalClient, f func(context.Context, redis.UniversalClient) error) error {
	cluster, ok := client.(*redis.ClusterClient)
	if !ok {
		return f(ctx, client)
	}
	return cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return f(ctx, c) })
}

func (c *Conn) newClient(opts *redis.UniversalOptions) redis.UniversalClient {
	client := open(opts)
	if c.counter != nil {
		client.AddHook(c.counter)
	}
	if c.hook != nil {
		client.AddHook(c.hook)
	}
	return client
}
