package worker

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Config sets a Worker up. Zero durations mean their defaults.
type Config struct {
	Name  string        // who holds the leases; unique among all workers
	Lease time.Duration // default 6 s
	Renew time.Duration // how often leases are renewed; default 1 s
	Retry time.Duration // longest wait between tries to reach the queue; default 2 s
	// Drain is how long running steps may go on after the worker was told to stop, before
	// they are ended and handed back. Zero ends them at once, which is right for an
	// executor that others take over from.
	Drain time.Duration
	// Plans is how many compiled specs to keep; default 64.
	Plans int
}

func (c Config) withDefaults() (Config, error) {
	if c.Name == "" {
		return c, fmt.Errorf("configuring the worker: it has no name")
	}
	if c.Lease <= 0 {
		c.Lease = 6 * time.Second
	}
	if c.Renew <= 0 {
		c.Renew = time.Second
	}
	if c.Renew >= c.Lease {
		return c, fmt.Errorf("configuring the worker: leases of %v cannot be kept by renewing every %v", c.Lease, c.Renew)
	}
	if c.Retry <= 0 {
		c.Retry = 2 * time.Second
	}
	if c.Plans <= 0 {
		c.Plans = 64
	}
	return c, nil
}

// Worker takes deliveries from the queue and runs their steps.
type Worker struct {
	cfg    Config
	queue  Queue
	exec   Executor
	plans  *plans
	leases *leases
	log    *slog.Logger
}

// New makes a worker whose steps run on exec, which comes decorated (see Decorate).
func New(cfg Config, queue Queue, specs SpecSource, exec Executor, log *slog.Logger) (*Worker, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	log = log.With("worker", cfg.Name)
	return &Worker{
		cfg:    cfg,
		queue:  queue,
		exec:   exec,
		plans:  newPlans(specs, cfg.Plans),
		leases: newLeases(queue, cfg.Name, cfg.Lease, log),
		log:    log,
	}, nil
}

// Run works until ctx ends: then it takes no more work, gives what runs the drain time,
// ends the rest, and returns when all of it is reported or handed back.
func (w *Worker) Run(ctx context.Context) error {
	work, stopWork := context.WithCancelCause(context.WithoutCancel(ctx))
	keep, stopKeeping := context.WithCancel(context.WithoutCancel(ctx))
	var background sync.WaitGroup
	background.Go(func() { w.leases.keep(keep, w.cfg.Renew) })
	stopDrain := context.AfterFunc(ctx, func() {
		drained := time.AfterFunc(w.cfg.Drain, func() { stopWork(ErrShutdown) })
		context.AfterFunc(keep, func() { drained.Stop() })
	})

	err := w.queue.Serve(ctx, func(d Delivery) { w.handle(work, d) })

	stopDrain()
	stopWork(ErrShutdown)
	stopKeeping()
	background.Wait()
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("serving the queue: %w", err)
	}
	return nil
}
