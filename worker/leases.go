package worker

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// leases keeps the leases of the deliveries that the worker holds.
type leases struct {
	queue  Queue
	worker string
	length time.Duration
	log    *slog.Logger

	mu   sync.Mutex
	held map[Delivery]context.CancelCauseFunc // nil while it is being claimed
	told map[Delivery]func(context.Context)   // of daemons that are ready: tells the run again
	down bool                                 // the last renewal failed
}

func newLeases(q Queue, worker string, length time.Duration, log *slog.Logger) *leases {
	return &leases{queue: q, worker: worker, length: length, log: log, held: map[Delivery]context.CancelCauseFunc{}, told: map[Delivery]func(context.Context){}}
}

// take reserves the delivery for the caller, until its release. False: it is in work here
// already, though the queue handed it out again.
func (l *leases) take(d Delivery) (release func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, taken := l.held[d]; taken {
		return nil, false
	}
	l.held[d] = nil
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.held, d)
		delete(l.told, d)
	}, true
}

// ready notes that the run was told that a daemon is ready. Should Redis lose that, it is told
// again.
func (l *leases) ready(d Delivery, again func(context.Context)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[d] != nil {
		l.told[d] = again
	}
}

func (l *leases) again(ctx context.Context, d Delivery) {
	l.mu.Lock()
	tell := l.told[d]
	l.mu.Unlock()
	if tell != nil {
		tell(ctx)
	}
}

// hold starts to renew the lease of a delivery that was taken. The context ends when the
// lease says so.
func (l *leases) hold(ctx context.Context, d Delivery) (held context.Context, end func()) {
	held, cancel := context.WithCancelCause(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[d] = cancel
	return held, func() { cancel(context.Canceled) }
}

// renew renews all leases once.
func (l *leases) renew(ctx context.Context) {
	ds := l.deliveries()
	if len(ds) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, l.length)
	defer cancel()
	states, err := l.queue.Renew(ctx, l.worker, ds, l.length)
	if err != nil {
		// Not a reason to end a step: see the package comment.
		if ctx.Err() == nil && !l.down {
			l.log.Warn("leases cannot be renewed; steps go on", "held", len(ds), "err", err)
		}
		l.down = true
		return
	}
	if l.down {
		l.log.Info("leases are renewed again", "held", len(ds))
		l.down = false
	}
	for i, state := range states {
		switch state {
		case LeaseHeld:
			l.again(ctx, ds[i])
		case LeaseCancelled, LeaseOver:
			l.cancel(ds[i], ErrStopped)
		case LeaseLost:
			l.cancel(ds[i], ErrLeaseLost)
		}
	}
}

// counts asks the queue whether a delivery is still the worker's: ErrSuperseded if not.
func (l *leases) counts(ctx context.Context, d Delivery) error {
	states, err := l.queue.Renew(ctx, l.worker, []Delivery{d}, l.length)
	switch {
	case err != nil:
		return fmt.Errorf("asking whether the step is still this worker's: %w", err)
	case states[0] == LeaseLost || states[0] == LeaseOver:
		return ErrSuperseded
	}
	return nil
}

func (l *leases) deliveries() []Delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	ds := make([]Delivery, 0, len(l.held))
	for d, cancel := range l.held {
		if cancel != nil {
			ds = append(ds, d)
		}
	}
	slices.SortFunc(ds, func(a, b Delivery) int {
		return cmp.Or(cmp.Compare(a.Run, b.Run), cmp.Compare(a.Key, b.Key), cmp.Compare(a.N, b.N))
	})
	return ds
}

func (l *leases) cancel(d Delivery, cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if cancel := l.held[d]; cancel != nil {
		cancel(cause)
	}
}
