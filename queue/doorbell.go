package queue

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

// doorbell turns asynq's polling into waiting: after an empty answer to asynq's dequeue
// script it waits for a ring, and asks once more. Only asynq's one dequeuing goroutine
// uses it.
type doorbell struct {
	conn *Conn
	pool string
	own  string // a bell of its own, which ends its wait
	stop context.Context
	bell *blocker

	unsure bool // whether Redis did what it was last asked
}

func newDoorbell(stop context.Context, c *Conn, pool string, bell *blocker) *doorbell {
	return &doorbell{conn: c, pool: pool, own: poolBellKey(pool) + ":" + rand.Text(), stop: stop, bell: bell}
}

const (
	// retryPause is how long whoever has to ask again waits after an error.
	retryPause = 500 * time.Millisecond
	// wakeWithin is how long the end of a wait may take.
	wakeWithin = time.Second
)

func (b *doorbell) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (b *doorbell) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (b *doorbell) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		dequeue, ok := b.dequeue(cmd)
		if !ok {
			return next(ctx, cmd)
		}
		err := b.take(ctx, dequeue, next)
		switch {
		case b.stop.Err() != nil:
			if err == nil {
				b.handBack(dequeue.Val())
			}
			err = redis.Nil
		case err != nil && !errors.Is(err, redis.Nil) && !redis.HasErrorPrefix(err, "NOSCRIPT"):
			b.unsure = true
			select {
			case <-time.After(retryPause): // asynq's loop does not pause by itself
			case <-b.stop.Done():
			}
		}
		cmd.SetErr(err)
		return err
	}
}

// dequeue recognises asynq's dequeue script by its keys.
func (b *doorbell) dequeue(cmd redis.Cmder) (*redis.Cmd, bool) {
	args := cmd.Args()
	if len(args) < 5 || (cmd.Name() != "evalsha" && cmd.Name() != "eval") {
		return nil, false
	}
	c, ok := cmd.(*redis.Cmd)
	return c, ok && args[3] == pendingKey(b.pool) && args[4] == pausedKey(b.pool)
}

func (b *doorbell) take(ctx context.Context, dequeue *redis.Cmd, next redis.ProcessHook) error {
	if b.stop.Err() != nil {
		return redis.Nil // take nothing more
	}
	if b.unsure {
		// What is sent while Redis stalls it does when it goes on: a task would be taken for
		// nobody, at every attempt. So ask something first that changes nothing.
		if err := next(ctx, redis.NewIntCmd(ctx, "exists", pendingKey(b.pool))); err != nil {
			return err
		}
		b.unsure = false
	}
	if err := next(ctx, dequeue); !errors.Is(err, redis.Nil) {
		return err
	}
	return b.wait(ctx, dequeue)
}

// wait waits for a ring and dequeues, in one round trip: Redis takes up the second command
// when the first one ends.
func (b *doorbell) wait(ctx context.Context, dequeue *redis.Cmd) error {
	again := redis.NewCmd(ctx, dequeue.Args()...)
	over, woken := make(chan struct{}), make(chan struct{})
	b.bell.begin()
	keep := context.AfterFunc(b.stop, func() {
		defer close(woken)
		b.wake(over)
	})
	pipe := b.bell.Pipeline()
	rung := pipe.Do(ctx, brpop(maxBlock, poolBellKey(b.pool), b.own)...)
	_ = pipe.Process(ctx, again) // only queues it
	_, _ = pipe.Exec(ctx)        // each command carries its own error
	close(over)
	if !keep() {
		<-woken
	}
	if err := rung.Err(); err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	dequeue.SetVal(again.Val())
	return again.Err()
}

// wake ends a wait with a ring, since the answer may hold a task, and cuts it when Redis
// does not answer.
func (b *doorbell) wake(over <-chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), wakeWithin)
	defer cancel()
	_, err := b.conn.inOrder(ctx, command("lpush", b.own, 1), command("expire", b.own, 2*int(maxBlock.Seconds())))
	if err == nil {
		select {
		case <-over:
			return
		case <-ctx.Done():
		}
	}
	b.bell.cut()
}

// handBack puts back the task that came with the end. Should that fail, the run's next look
// finds it taken and unclaimed.
func (b *doorbell) handBack(msg any) {
	ctx, cancel := context.WithTimeout(context.Background(), wakeWithin)
	defer cancel()
	_, err := b.conn.run(ctx, b.conn.scripts.handback,
		[]string{activeKey(b.pool), leaseKey(b.pool), pendingKey(b.pool), poolBellKey(b.pool)},
		taskPrefix(b.pool), msg, maxRings)
	if err != nil {
		b.conn.log.Warn("a task that came with the end is not handed back", "pool", b.pool,
			"error", fmt.Errorf("handing back a task: %w", err))
	}
}
