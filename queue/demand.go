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
	Waiting int // what runs could start and have no credit for
	// OldestAge is how long the oldest ready delivery has waited.
	OldestAge time.Duration
}

// Pool observes a pool. One that nothing was ever sent to has nothing to do.
func (d *Demand) Pool(ctx context.Context, pool string) (Load, error) {
	var steps []step
	for _, q := range queuesOf(pool) {
		steps = append(steps, call(d.conn.scripts.poolDemand, []string{pendingKey(q), activeKey(q), retryKey(q)}, taskPrefix(q)))
	}
	steps = append(steps, d.conn.note(waitKey(pool), "", 0, 0))
	cmds, err := d.conn.together(ctx, steps...)
	if err != nil {
		return Load{}, fmt.Errorf("observing pool %s: %w", pool, err)
	}
	last := len(cmds) - 1
	l := Load{Waiting: int(asInt(cmds[last].Val()))}
	for _, cmd := range cmds[:last] {
		answer := asList(cmd.Val())
		if len(answer) != 3 {
			return Load{}, fmt.Errorf("observing pool %s: unexpected answer %v", pool, cmd.Val())
		}
		l.Ready += int(asInt(answer[0]))
		l.Running += int(asInt(answer[1]))
		l.OldestAge = max(l.OldestAge, time.Duration(asInt(answer[2]))*time.Millisecond)
	}
	return l, nil
}

// Pools returns every pool that something was ever sent to, sorted.
func (d *Demand) Pools(ctx context.Context) ([]string, error) {
	queues, err := d.conn.client.SMembers(ctx, queuesKey).Result()
	if err != nil {
		return nil, fmt.Errorf("listing pools: %w", err)
	}
	pools := make([]string, len(queues))
	for i, q := range queues {
		pools[i], _ = splitQueue(q)
	}
	slices.Sort(pools)
	return slices.Compact(pools), nil
}
