package worker

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Config sets a Worker up. Zero durations mean their defaults.
type Config struct {
	Name  string        // who holds the leases; unique among all workers
	Host  string        // where its steps run, if all of them run on one host
	Lease time.Duration // default 6 s
	Renew time.Duration // how often leases are renewed; default 1 s
	Retry time.Duration // longest wait between tries to reach the queue; default 2 s
	// Drain is how long running steps may go on after the worker was told to stop, before
	// they are ended and handed back. Zero ends them at once, which is right for an
	// executor that others take over from.
	Drain time.Duration
	// Plans is how many compiled specs to keep; default 64.
	Plans int
	// Now is the clock; time.Now.
	Now func() time.Time
	// Pause waits between two tries for about that long, or until ctx ends; for half of it
	// to one and a half.
	Pause func(ctx context.Context, about time.Duration)
	// Beside runs something beside what goes on, and returns when that has ended or until is
	// closed, whichever comes first: a goroutine.
	Beside func(run func(), until <-chan struct{})
	// Tracer is told what the time of steps goes into; nil: nobody wants to know.
	Tracer Tracer
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
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Pause == nil {
		c.Pause = pause
	}
	if c.Beside == nil {
		c.Beside = beside
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

	draining atomic.Bool    // the worker was told to stop
	daemons  sync.WaitGroup // deliveries that give, or have given, their slots back
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
// ends the rest, and returns when all of it is reported or handed back. Daemons that serve are
// among what runs, though they take no slots.
func (w *Worker) Run(ctx context.Context) error {
	work, stopWork := context.WithCancelCause(context.WithoutCancel(ctx))
	keep, stopKeeping := context.WithCancel(context.WithoutCancel(ctx))
	var background sync.WaitGroup
	background.Go(func() { w.keep(keep) })
	stopDrain := context.AfterFunc(ctx, func() {
		w.draining.Store(true)
		drained := time.AfterFunc(w.cfg.Drain, func() { stopWork(ErrShutdown) })
		context.AfterFunc(keep, func() { drained.Stop() })
	})

	err := w.queue.Serve(ctx, func(d Delivery) { w.Handle(work, d) })

	if ctx.Err() != nil {
		w.daemons.Wait()
	}
	stopDrain()
	stopWork(ErrShutdown)
	w.daemons.Wait()
	stopKeeping()
	background.Wait()
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("serving the queue: %w", err)
	}
	return nil
}

// keep renews the leases until ctx ends.
func (w *Worker) keep(ctx context.Context) {
	tick := time.NewTicker(w.cfg.Renew)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.Renew(ctx)
		}
	}
}

// Renew renews the leases of all that the worker holds, once. Run does so all the time.
func (w *Worker) Renew(ctx context.Context) { w.leases.renew(ctx) }
