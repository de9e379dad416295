package queue

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hibiken/asynq"
)

// Serve is part of Broker. It runs one asynq Server.
func (a *Asynq) Serve(ctx context.Context, c ServeConfig, handle Handler) error {
	work := c.Work
	if work == nil {
		work = context.Background()
	}
	opts := *a.conn.opts
	client := open(&opts)
	defer client.Close()
	bell := a.conn.newBlocker()
	defer bell.Close()
	client.AddHook(newDoorbell(ctx, a.conn, c.Pool, bell))
	client.AddHook(through{a.conn.client})

	server := asynq.NewServerFromRedisClient(client, asynq.Config{
		Concurrency: c.Slots,
		// The doorbell does the waiting, and takes from the first queue that has something.
		Queues:                   ranked(queuesOf(c.Pool)),
		StrictPriority:           true,
		TaskCheckInterval:        time.Millisecond,
		DelayedTaskCheckInterval: 15 * time.Second,
		// What asynq takes from a dead worker goes back to the queue at once, and is no
		// failure: our own claim decides who runs it.
		RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return 0 },
		IsFailure:      func(error) bool { return false },
		// We wait for handlers; whoever wants them to end cancels Work.
		ShutdownTimeout: 365 * 24 * time.Hour,
		Logger:          asynqLog{a.log.With("pool", c.Pool)},
		LogLevel:        asynq.InfoLevel,
	})

	// Handlers have goroutines of their own, whose stacks have grown for good: asynq makes one
	// for each task. And asynq frees the slot of a task whose lease it lost, while its handler
	// still runs.
	jobs := make(chan job)
	var handlers sync.WaitGroup
	for range c.Slots {
		handlers.Go(func() {
			for j := range jobs {
				a.perform(work, c.Pool, j, handle)
			}
		})
	}
	process := func(_ context.Context, task *asynq.Task) error {
		j := job{payload: task.Payload(), done: make(chan struct{})}
		jobs <- j
		<-j.done
		return nil
	}
	if err := server.Start(asynq.HandlerFunc(process)); err != nil {
		return fmt.Errorf("serving pool %s: %w", c.Pool, err)
	}
	NewPools(a.conn, nil).attend(ctx, c.Pool, rand.Text(), c.Slots)
	server.Stop()
	server.Shutdown()
	close(jobs)
	handlers.Wait()
	return nil
}

// job is a task for a handler.
type job struct {
	payload []byte
	done    chan struct{} // closed when it is handled
}

func (a *Asynq) perform(work context.Context, pool string, j job, handle Handler) {
	defer close(j.done)
	var d Delivery
	if err := json.Unmarshal(j.payload, &d); err != nil {
		a.log.Error("a task cannot be read and is dropped", "pool", pool, "error", err)
		return
	}
	handle(work, d)
}

// ranked gives queues priorities by their order, as asynq wants them.
func ranked(queues []string) map[string]int {
	ranks := make(map[string]int, len(queues))
	for i, q := range queues {
		ranks[q] = len(queues) - i
	}
	return ranks
}

// asynqLog gives asynq our logger. What it calls an error it tries again.
type asynqLog struct{ log *slog.Logger }

func (l asynqLog) Debug(args ...any) { l.log.Debug("asynq: " + fmt.Sprint(args...)) }
func (l asynqLog) Info(args ...any)  { l.log.Debug("asynq: " + fmt.Sprint(args...)) }
func (l asynqLog) Warn(args ...any)  { l.log.Warn("asynq: " + fmt.Sprint(args...)) }
func (l asynqLog) Error(args ...any) { l.log.Warn("asynq: " + fmt.Sprint(args...)) }
func (l asynqLog) Fatal(args ...any) { l.log.Error("asynq: " + fmt.Sprint(args...)) }
