package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// Serve is part of Broker. It runs one asynq Server.
func (a *Asynq) Serve(ctx context.Context, c ServeConfig, handle Handler) error {
	work := c.Work
	if work == nil {
		work = context.Background()
	}
	opts := *a.conn.opts
	client := a.conn.newClient(&opts)
	defer client.Close()
	bell := a.conn.newBlocker()
	defer bell.Close()
	client.AddHook(&doorbell{pool: c.Pool, stop: ctx, bell: bell})

	server := asynq.NewServerFromRedisClient(client, asynq.Config{
		Concurrency: c.Slots,
		Queues:      map[string]int{c.Pool: 1},
		// The doorbell does the waiting.
		TaskCheckInterval:        time.Millisecond,
		DelayedTaskCheckInterval: 5 * time.Second,
		// What asynq takes from a dead worker goes back to the queue at once, and is no
		// failure: our own claim decides who runs it.
		RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return 0 },
		IsFailure:      func(error) bool { return false },
		// We wait for handlers; whoever wants them to end cancels Work.
		ShutdownTimeout: 365 * 24 * time.Hour,
		Logger:          asynqLog{a.log.With("pool", c.Pool)},
		LogLevel:        asynq.InfoLevel,
	})

	// asynq frees the slot of a task whose lease it lost, while its handler still runs.
	slots := make(chan struct{}, c.Slots)
	process := func(_ context.Context, task *asynq.Task) error {
		slots <- struct{}{}
		defer func() { <-slots }()
		var d Delivery
		if err := json.Unmarshal(task.Payload(), &d); err != nil {
			a.log.Error("a task cannot be read and is dropped", "pool", c.Pool, "error", err)
			return nil
		}
		handle(work, d)
		return nil
	}
	if err := server.Start(asynq.HandlerFunc(process)); err != nil {
		return fmt.Errorf("serving pool %s: %w", c.Pool, err)
	}
	<-ctx.Done()
	server.Stop()
	server.Shutdown()
	for range c.Slots {
		slots <- struct{}{}
	}
	return nil
}

// doorbell turns asynq's polling into waiting: after an empty answer to asynq's dequeue
// script it waits for a ring, and asks once more.
type doorbell struct {
	pool string
	stop context.Context
	bell *blocker
}

// retryPause is how long asynq's loop, which does not pause by itself, waits after an error.
const retryPause = 500 * time.Millisecond

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
		if b.stop.Err() != nil {
			cmd.SetErr(redis.Nil) // take nothing more
			return redis.Nil
		}
		err := next(ctx, cmd)
		if errors.Is(err, redis.Nil) {
			if err = b.wait(ctx, dequeue); err == nil {
				dequeue.SetErr(nil)
				return nil
			}
			cmd.SetErr(err)
		}
		if err != nil && !errors.Is(err, redis.Nil) && !redis.HasErrorPrefix(err, "NOSCRIPT") {
			select {
			case <-time.After(retryPause):
			case <-b.stop.Done():
			}
		}
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

// wait waits for a ring and dequeues, in one round trip: Redis takes up the second command
// when the first one ends.
func (b *doorbell) wait(ctx context.Context, dequeue *redis.Cmd) error {
	again := redis.NewCmd(ctx, dequeue.Args()...)
	err := b.bell.during(b.stop, func() error {
		pipe := b.bell.Pipeline()
		rung := pipe.Do(ctx, brpop(maxBlock, poolBellKey(b.pool))...)
		if err := pipe.Process(ctx, again); err != nil {
			return err
		}
		_, _ = pipe.Exec(ctx)
		if err := rung.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		return again.Err()
	})
	if b.stop.Err() != nil {
		return redis.Nil
	}
	dequeue.SetVal(again.Val())
	return err
}

// asynqLog gives asynq our logger. What it calls an error it tries again.
type asynqLog struct{ log *slog.Logger }

func (l asynqLog) Debug(args ...any) { l.log.Debug("asynq: " + fmt.Sprint(args...)) }
func (l asynqLog) Info(args ...any)  { l.log.Debug("asynq: " + fmt.Sprint(args...)) }
func (l asynqLog) Warn(args ...any)  { l.log.Warn("asynq: " + fmt.Sprint(args...)) }
func (l asynqLog) Error(args ...any) { l.log.Warn("asynq: " + fmt.Sprint(args...)) }
func (l asynqLog) Fatal(args ...any) { l.log.Error("asynq: " + fmt.Sprint(args...)) }
