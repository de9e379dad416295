package coordinator

import (
	"context"
	"time"

	"argosy/workflow"
)

// creditPerSlot is how many deliveries a run may have in flight for each slot of its pool:
// enough that no slot waits while results come back and what follows is sent, and not so many
// that one wide run fills the queue, which is served in order.
const creditPerSlot = 2

// normalShare is how many deliveries of a run are of the normal class; what it has in flight
// beyond that is bulk, which a worker takes when nothing else is there. So a small run does not
// wait behind a wide one.
const normalShare = 4

// class is that of a run's next delivery, by its priority and what it has in flight.
func class(priority *int32, inFlight int) Class {
	switch {
	case priority != nil && *priority > 0:
		return ClassHigh
	case priority != nil && *priority < 0, inFlight >= normalShare:
		return ClassBulk
	}
	return ClassNormal
}

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
	if l.Hold, err = c.store.Tight(ctx); err != nil {
		c.log.Debug("how full the store is is not known anew", "hop", "advance", "error", err)
	}
	if c.held.Swap(l.Hold) != l.Hold {
		c.tellHeld(l.Hold)
	}
	return l
}

func (c *Coordinator) tellHeld(held bool) {
	if held {
		c.metrics.held.Set(1)
		c.log.Warn("the store is nearly full: what is in flight may end, nothing new is started", "hop", "dispatch")
		return
	}
	c.metrics.held.Set(0)
	c.log.Info("the store has room again", "hop", "dispatch")
}

// holdFor is the time between two looks whether a run that is held back may go on.
const holdFor = 5 * time.Second

// lookAtLocks is how often a run that has or waits for locks makes sure that they are what it
// takes them for: a crash of Redis may have taken back one side of it alone.
const lookAtLocks = 30 * time.Second

// lookAtPlace is the same of a run that waits for its place among those under way, and for
// nothing else: there may be very many.
const lookAtPlace = 5 * time.Minute

func lookEvery(s *workflow.State) time.Duration {
	if s.Place != "" && s.WaitsToBegin() && s.Lock == nil {
		return lookAtPlace
	}
	return lookAtLocks
}

// again is when a run is looked at again that was held back or waits for locks: nothing else
// may happen to it.
func again(l *Loaded, commit *Commit) time.Duration {
	state := &l.State
	if commit != nil {
		state = commit.State
	}
	switch {
	case commit == nil && !state.Suspended && (state.Phase == "" || len(state.Ready) > 0):
		return holdFor
	case state.Locks > 0 && state.Finished == 0:
		return lookEvery(state)
	}
	return 0
}

// waiting is what the pool is to be told: nothing of a run that never had to wait.
func (c *Coordinator) waiting(l *Loaded, commit *Commit) *Waiting {
	was := l.State.Waiting()
	is := was
	if commit != nil {
		is = commit.Waiting
	}
	if was == 0 && is == 0 {
		return nil
	}
	return &Waiting{Pool: c.config.Pool, N: is}
}
