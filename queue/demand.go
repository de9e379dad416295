package queue

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Demand is the autoscaler's side: what the pools have to do.
type Demand struct{ conn *Conn }

// NewDemand makes the autoscaler's side.
func NewDemand(c *Conn) *Demand { return &Demand{conn: c} }

// Load is what a pool has to do.
type Load struct {
	Ready   int // deliveries that wait for a worker
	Running int // deliveries that a worker took
	// OldestAge is how long the oldest ready delivery has waited.
	OldestAge time.Duration
}

// Pool observes a pool. One that nothing was ever sent to has nothing to do.
func (d *Demand) Pool(ctx context.Context, pool string) (Load, error) {
	v, err := d.conn.run(ctx, d.conn.scripts.poolDemand,
		[]string{pendingKey(pool), activeKey(pool), retryKey(pool)}, taskPrefix(pool))
	if err != nil {
		return Load{}, fmt.Errorf("observing pool %s: %w", pool, err)
	}
	answer := asList(v)
	if len(answer) != 3 {
		return Load{}, fmt.Errorf("observing pool %s: unexpected answer %v", pool, v)
	}
	return Load{
		Ready: int(asInt(answer[0])), Running: int(asInt(answer[1])),
		OldestAge: time.Duration(max(0, asInt(answer[2]))) * time.Millisecond,
	}, nil
}

// Pools returns every pool that something was ever sent to, sorted.
func (d *Demand) Pools(ctx context.Context) ([]string, error) {
	pools, err := d.conn.client.SMembers(ctx, poolsKey).Result()
	if err != nil {
		return nil, fmt.Errorf("listing pools: %w", err)
	}
	slices.Sort(pools)
	return pools, nil
}
