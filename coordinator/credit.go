package coordinator

import (
	"context"

	"argosy/workflow"
)

// creditPerSlot is how many deliveries a run may have in flight for each slot of its pool:
// enough that no slot waits while results come back and what follows is sent, and not so many
// that one wide run fills the queue, which is served in order.
const creditPerSlot = 2

// Credit is how many deliveries a run may have in flight in a pool of so many slots.
func (c Config) Credit(slots int) int {
	most := max(c.MinCredit, creditPerSlot*slots)
	if l := c.Limits.InFlight; l > 0 {
		most = min(most, l)
	}
	return most
}

// limits bound a turn that sends to a pool.
func (c *Coordinator) limits(ctx context.Context) workflow.Limits {
	l := c.config.Limits
	slots, err := c.store.Slots(ctx, c.config.Pool)
	if err != nil {
		c.log.Debug("the pool's slots are not known anew", "hop", "advance", "pool", c.config.Pool, "error", err)
	}
	l.Slots, l.InFlight = slots, c.config.Credit(slots)
	return l
}
