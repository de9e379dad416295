package join

import (
	"context"
	"errors"
	"fmt"
	"time"

	"argosy/queue"
	"argosy/worker"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// Work lets a worker take its work from the queue.
type Work struct {
	Broker queue.Broker
	Tasks  *queue.Tasks
	Pool   string
	Slots  int
}

// Serve is part of worker.Queue.
func (q *Work) Serve(ctx context.Context, handle func(worker.Delivery)) error {
	return q.Broker.Serve(ctx, queue.ServeConfig{Pool: q.Pool, Slots: q.Slots}, func(_ context.Context, d queue.Delivery) {
		handle(worker.Delivery{Run: d.Run, Key: d.Key, N: d.Number})
	})
}

func (q *Work) delivery(d worker.Delivery) queue.Delivery {
	return queue.Delivery{Run: d.Run, Key: d.Key, Number: d.N, Pool: q.Pool}
}

// Claim is part of worker.Queue.
func (q *Work) Claim(ctx context.Context, d worker.Delivery, _ string, _ time.Duration) (*worker.Claimed, error) {
	c, err := q.Tasks.Claim(ctx, q.delivery(d))
	var refused *queue.Refused
	if errors.As(err, &refused) {
		return nil, fmt.Errorf("%w: %w", worker.ErrRefused, err)
	}
	if err != nil {
		return nil, err
	}
	return &worker.Claimed{Run: c.Run, Digest: c.Digest, Node: c.Node}, nil
}

// Renew is part of worker.Queue.
func (q *Work) Renew(ctx context.Context, _ string, ds []worker.Delivery, _ time.Duration) ([]worker.Lease, error) {
	deliveries := make([]queue.Delivery, len(ds))
	for i, d := range ds {
		deliveries[i] = q.delivery(d)
	}
	renewals, err := q.Tasks.Renew(ctx, deliveries)
	if err != nil {
		return nil, err
	}
	leases := make([]worker.Lease, len(renewals))
	for i, r := range renewals {
		switch r {
		case queue.RenewalOK:
			leases[i] = worker.LeaseHeld
		case queue.RenewalReady:
			leases[i] = worker.LeaseServes
		case queue.RenewalCancel:
			leases[i] = worker.LeaseCancelled
		case queue.RenewalOver:
			leases[i] = worker.LeaseOver
		default:
			leases[i] = worker.LeaseLost
		}
	}
	return leases, nil
}

// Report is part of worker.Queue.
func (q *Work) Report(ctx context.Context, d worker.Delivery, r workflow.Result) error {
	return fenced(q.Tasks.Report(ctx, q.delivery(d), r))
}

// Ready is part of worker.Queue.
func (q *Work) Ready(ctx context.Context, d worker.Delivery, r workflow.Ready) error {
	return fenced(q.Tasks.Ready(ctx, q.delivery(d), r))
}

// Waits is part of worker.Queue.
func (q *Work) Waits(ctx context.Context, d worker.Delivery, message string) error {
	return fenced(q.Tasks.Waits(ctx, q.delivery(d), message))
}

// Tells is part of worker.Queue.
func (q *Work) Tells(ctx context.Context, run string, key workflow.Key, p spec.Progress) error {
	return fenced(q.Tasks.Tells(ctx, run, key, p))
}

func fenced(err error) error {
	if errors.Is(err, queue.ErrFenced) {
		return fmt.Errorf("%w: %w", worker.ErrLeaseLost, err)
	}
	return err
}

// Chunk is part of worker.Queue.
func (q *Work) Chunk(ctx context.Context, d worker.Delivery, c *workflow.ChunkState, host string) (*worker.Chunk, error) {
	chunk, err := q.Tasks.Chunk(ctx, q.delivery(d), c, host)
	if errors.Is(err, queue.ErrNotFound) {
		return nil, fmt.Errorf("%w: %w", worker.ErrLeaseLost, err)
	}
	if err != nil {
		return nil, err
	}
	return (*worker.Chunk)(chunk), nil
}

// ReportItems is part of worker.Queue.
func (q *Work) ReportItems(ctx context.Context, d worker.Delivery, p *workflow.Pack) error {
	return fenced(q.Tasks.ReportItems(ctx, q.delivery(d), p))
}

// Release is part of worker.Queue.
func (q *Work) Release(ctx context.Context, d worker.Delivery, _ string) error {
	return q.Tasks.Release(ctx, q.delivery(d))
}
