package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"argosy/queue"
	"argosy/worker"
	"argosy/workflow"
)

// workQueue lets a worker take its work from the queue.
type workQueue struct {
	broker queue.Broker
	tasks  *queue.Tasks
	pool   string
	slots  int
}

func (q *workQueue) Serve(ctx context.Context, handle func(worker.Delivery)) error {
	return q.broker.Serve(ctx, queue.ServeConfig{Pool: q.pool, Slots: q.slots}, func(_ context.Context, d queue.Delivery) {
		handle(worker.Delivery{Run: d.Run, Key: d.Key, N: d.Number})
	})
}

func (q *workQueue) delivery(d worker.Delivery) queue.Delivery {
	return queue.Delivery{Run: d.Run, Key: d.Key, Number: d.N, Pool: q.pool}
}

func (q *workQueue) Claim(ctx context.Context, d worker.Delivery, _ string, _ time.Duration) (*worker.Claimed, error) {
	c, err := q.tasks.Claim(ctx, q.delivery(d))
	var refused *queue.Refused
	if errors.As(err, &refused) {
		return nil, fmt.Errorf("%w: %w", worker.ErrRefused, err)
	}
	if err != nil {
		return nil, err
	}
	return &worker.Claimed{Run: c.Run, Digest: c.Digest, Node: c.Node}, nil
}

func (q *workQueue) Renew(ctx context.Context, _ string, ds []worker.Delivery, _ time.Duration) ([]worker.Lease, error) {
	deliveries := make([]queue.Delivery, len(ds))
	for i, d := range ds {
		deliveries[i] = q.delivery(d)
	}
	renewals, err := q.tasks.Renew(ctx, deliveries)
	if err != nil {
		return nil, err
	}
	leases := make([]worker.Lease, len(renewals))
	for i, r := range renewals {
		switch r {
		case queue.RenewalOK:
			leases[i] = worker.LeaseHeld
		case queue.RenewalCancel:
			leases[i] = worker.LeaseCancelled
		default:
			leases[i] = worker.LeaseLost
		}
	}
	return leases, nil
}

func (q *workQueue) Report(ctx context.Context, d worker.Delivery, r workflow.Result) error {
	err := q.tasks.Report(ctx, q.delivery(d), r)
	if errors.Is(err, queue.ErrFenced) {
		return fmt.Errorf("%w: %w", worker.ErrLeaseLost, err)
	}
	return err
}

func (q *workQueue) Release(ctx context.Context, d worker.Delivery, _ string) error {
	return q.tasks.Release(ctx, q.delivery(d))
}

// logSink keeps the output of steps in the queue's logs.
type logSink struct{ logs *queue.Logs }

func (s logSink) Open(ctx context.Context, step *worker.Step) (io.WriteCloser, error) {
	// What a step wrote until it was ended is worth keeping.
	ctx = context.WithoutCancel(ctx)
	return newLogBuffer(func(data []byte) error {
		return s.logs.Append(ctx, step.Run.ID, step.Key, data)
	}), nil
}
