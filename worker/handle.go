package worker

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// Handle works on one delivery until it is reported, dropped or handed back. Run calls it for
// each one that it takes from the queue. A daemon that is ready goes on beside: what it is there
// for may need its slot; and so does what a plugin has begun elsewhere, which needs none.
func (w *Worker) Handle(work context.Context, d Delivery) {
	log := w.log.With("run", d.Run, "node", string(d.Key), "delivery", d.N)

	release, ok := w.leases.take(d)
	if !ok {
		log.Debug("delivery dropped, which is in work here", "hop", "execute")
		return
	}
	var c *Claimed
	err := w.persist(work, log, "claiming", func(ctx context.Context) (err error) {
		c, err = w.queue.Claim(ctx, d, w.cfg.Name, w.cfg.Lease)
		return err
	})
	if err != nil {
		log.Debug("delivery dropped", "hop", "execute", "err", err)
		release()
		return
	}
	if !c.Node.IsDaemon() && c.Node.Type != spec.NodeTypePlugin {
		defer release()
		w.carry(work, log, d, c, nil)
		return
	}
	free := make(chan struct{})
	w.daemons.Add(1)
	w.cfg.Beside(func() {
		defer w.daemons.Done()
		defer release()
		w.carry(work, log, d, c, sync.OnceFunc(func() { close(free) }))
	}, free)
}

// carry works on a delivery that was claimed to its end; aside is called when it needs no slot any more.
func (w *Worker) carry(work context.Context, log *slog.Logger, d Delivery, c *Claimed, aside func()) {
	ctx, end := w.leases.hold(work, d)
	defer end()
	var err error
	if c.Node.Chunk != nil {
		err = w.chunk(ctx, work, log, d, c)
	} else {
		var result workflow.Result
		if result, err = w.execute(ctx, log, d, c, aside); !unreported(err) {
			w.report(work, log, d, asResult(result, err))
			return
		}
	}
	switch {
	case errors.Is(err, ErrLeaseLost):
		log.Warn("step ended unreported", "hop", "execute", "err", err)
	case errors.Is(err, ErrShutdown):
		w.handBack(log, d)
	}
}

// unreported says that the step's end is not for this worker to report.
func unreported(err error) bool { return errors.Is(err, ErrLeaseLost) || errors.Is(err, ErrShutdown) }

// execute resolves the delivery's step and runs it.
func (w *Worker) execute(ctx context.Context, log *slog.Logger, d Delivery, c *Claimed, aside func()) (workflow.Result, error) {
	plan, err := w.plan(ctx, log, c.Digest)
	if err != nil {
		return workflow.Result{}, err
	}
	return w.step(ctx, log, plan, c.Run, c.Node, d, aside)
}

// plan loads a compiled spec. One that cannot be run is a Fault.
func (w *Worker) plan(ctx context.Context, log *slog.Logger, digest string) (plan *workflow.Plan, err error) {
	err = w.persist(ctx, log, "loading the plan", func(ctx context.Context) (err error) {
		plan, err = w.plans.get(ctx, digest)
		return err
	})
	if errors.Is(err, errBadSpec) {
		err = &Fault{Class: ClassInvalid, Err: err}
	}
	return plan, err
}

// step runs one leaf. With aside it may give its slot back, and does so by that: a daemon when it is
// ready.
func (w *Worker) step(ctx context.Context, log *slog.Logger, plan *workflow.Plan, run *workflow.Run, n *workflow.Node, d Delivery, aside func()) (workflow.Result, error) {
	step, err := newStep(plan, run, n, d.N, w.cfg.Now())
	if err != nil {
		return workflow.Result{}, &Fault{Class: ClassInvalid, Err: err}
	}
	step.Counts = func(ctx context.Context) error { return w.leases.counts(ctx, d) }
	switch {
	case aside == nil:
	case n.IsDaemon():
		step.Ready = func(ctx context.Context, r workflow.Ready) { w.ready(ctx, log, d, r, aside) }
	default:
		step.Aside = aside
	}
	if n.Key == d.Key { // and not an item of a chunk, which has no node
		step.Waited = n.Message
		step.Tells = func(ctx context.Context, p spec.Progress) error { return w.queue.Tells(ctx, d.Run, d.Key, p) }
		step.Waits = func(ctx context.Context, message string) error { return w.queue.Waits(ctx, d, message) }
	}
	w.trace(ctx, step, d)
	log.Debug("step starts", "hop", "execute", "template", step.Template.Name)
	started := w.cfg.Now()
	r, err := w.exec.Execute(ctx, step)
	if r.Started == 0 {
		r.Started = workflow.At(started)
	}
	if r.Finished == 0 {
		r.Finished = workflow.At(w.cfg.Now())
	}
	w.ended(step, r, err)
	return r, err
}

// ready tells the run that a daemon is ready. If the delivery is not ours any more, its lease says
// so too, and ends the daemon.
func (w *Worker) ready(ctx context.Context, log *slog.Logger, d Delivery, r workflow.Ready, aside func()) {
	err := w.persist(ctx, log, "telling that the daemon is ready", func(ctx context.Context) error { return w.queue.Ready(ctx, d, r) })
	if err != nil {
		log.Warn("daemon is ready, which nobody wants to know", "hop", "report", "err", err)
		return
	}
	log.Info("daemon is ready", "hop", "report", "address", r.Address)
	w.leases.ready(d, func(ctx context.Context) {
		if err := w.queue.Ready(ctx, d, r); err != nil {
			log.Debug("daemon is ready, which the run does not know yet", "hop", "report", "err", err)
		}
	})
	aside()
}

// report hands the result in. Only the queue can refuse it; trouble on the way is waited
// out, the lease being kept meanwhile.
func (w *Worker) report(work context.Context, log *slog.Logger, d Delivery, r workflow.Result) {
	err := w.handIn(work, log, func(ctx context.Context) error { return w.queue.Report(ctx, d, r) })
	if err != nil {
		log.Warn("result dropped", "hop", "report", "phase", r.Phase, "err", err)
		return
	}
	log.Info("step ended", "hop", "report", "phase", r.Phase, "message", r.Message, "class", r.Class,
		"seconds", r.Finished.Time().Sub(r.Started.Time()).Seconds())
}

// handIn reports what was done.
func (w *Worker) handIn(work context.Context, log *slog.Logger, report func(context.Context) error) error {
	// It is worth a last try even if the worker was told to stop just now.
	ctx := work
	if work.Err() != nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(work), w.cfg.Lease)
		defer cancel()
		ctx = last
	}
	return w.persist(ctx, log, "reporting", report)
}

// handBack gives up a step that the shutdown ended or left. If it fails, the lease expires.
func (w *Worker) handBack(log *slog.Logger, d Delivery) {
	ctx, cancel := context.WithTimeout(context.Background(), w.cfg.Retry)
	defer cancel()
	if err := w.queue.Release(ctx, d, w.cfg.Name); err != nil {
		log.Warn("step left to its lease", "hop", "report", "err", err)
		return
	}
	log.Info("step handed back", "hop", "report")
}

// persist calls f until it succeeds, answers for good, or ctx ends.
func (w *Worker) persist(ctx context.Context, log *slog.Logger, doing string, f func(context.Context) error) error {
	wait := 20 * time.Millisecond
	for try := 1; ; try++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := f(ctx)
		switch {
		case err == nil, errors.Is(err, ErrRefused), errors.Is(err, ErrLeaseLost), errors.Is(err, errBadSpec):
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		if try == 3 {
			log.Warn("the queue does not answer; going on trying", "doing", doing, "err", err)
		}
		w.cfg.Pause(ctx, wait)
		wait = min(2*wait, w.cfg.Retry)
	}
}

func beside(run func(), until <-chan struct{}) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		run()
	}()
	select {
	case <-until:
	case <-ended:
	}
}

// pause spreads the tries of many workers.
func pause(ctx context.Context, about time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(about/2 + rand.N(about)):
	}
}
