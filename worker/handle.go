package worker

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"argosy/workflow"
)

// Handle works on one delivery until it is reported, dropped or handed back. Run calls it for
// each one that it takes from the queue.
func (w *Worker) Handle(work context.Context, d Delivery) {
	log := w.log.With("run", d.Run, "node", string(d.Key), "delivery", d.N)

	release, ok := w.leases.take(d)
	if !ok {
		log.Debug("delivery dropped, which is in work here", "hop", "execute")
		return
	}
	defer release()
	var c *Claimed
	err := w.persist(work, log, "claiming", func(ctx context.Context) (err error) {
		c, err = w.queue.Claim(ctx, d, w.cfg.Name, w.cfg.Lease)
		return err
	})
	if err != nil {
		log.Debug("delivery dropped", "hop", "execute", "err", err)
		return
	}

	ctx, end := w.leases.hold(work, d)
	defer end()
	if c.Node.Chunk != nil {
		err = w.chunk(ctx, work, log, d, c)
	} else {
		var result workflow.Result
		if result, err = w.execute(ctx, log, d, c); !unreported(err) {
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
func (w *Worker) execute(ctx context.Context, log *slog.Logger, d Delivery, c *Claimed) (workflow.Result, error) {
	plan, err := w.plan(ctx, log, c.Digest)
	if err != nil {
		return workflow.Result{}, err
	}
	return w.step(ctx, log, plan, c.Run, c.Node, d)
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

// step runs one leaf.
func (w *Worker) step(ctx context.Context, log *slog.Logger, plan *workflow.Plan, run *workflow.Run, n *workflow.Node, d Delivery) (workflow.Result, error) {
	step, err := newStep(plan, run, n, d.N, w.cfg.Now())
	if err != nil {
		return workflow.Result{}, &Fault{Class: ClassInvalid, Err: err}
	}
	log.Debug("step starts", "hop", "execute", "template", step.Template.Name)
	started := w.cfg.Now()
	r, err := w.exec.Execute(ctx, step)
	if r.Started == 0 {
		r.Started = workflow.At(started)
	}
	if r.Finished == 0 {
		r.Finished = workflow.At(w.cfg.Now())
	}
	return r, err
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

// pause spreads the tries of many workers.
func pause(ctx context.Context, about time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(about/2 + rand.N(about)):
	}
}
