package queue

import (
	"context"
	"fmt"
	"sync"
	"time"

	"argosy/workflow"
)

// Ticket is the right to take a run's turn, for the time of the lease.
type Ticket struct {
	Run   string
	shard int
	since time.Time // by this process's clock
	first int64     // until, when it was claimed
	begun []any     // what begin.lua answered already; nil is nothing
	// expires is when the run, which has finished, is to be deleted; 0 is never.
	expires workflow.Millis

	mu    sync.Mutex
	until int64 // the score that marks the claim
	asked int64 // what Extend makes of it; or has made, if its answer is not known
}

// lease is the score that marks the claim, and the other one that it may have.
func (t *Ticket) lease() (until, asked int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.until, t.asked
}

// Extend makes the lease of a turn that is under way last its full length from now on. One
// call at a time. ErrFenced says that it has passed, and another coordinator took the run.
func (t *Turns) Extend(ctx context.Context, ticket *Ticket) error {
	ticket.mu.Lock()
	if ticket.asked == ticket.until {
		ticket.asked = ticket.first + t.opts.Now().Sub(ticket.since).Milliseconds()
	}
	until, asked := ticket.until, ticket.asked
	ticket.mu.Unlock()
	v, err := t.conn.run(ctx, t.conn.scripts.extend, []string{dueKey(ticket.shard)}, ticket.Run, until, asked)
	if err != nil {
		return fmt.Errorf("extending the turn of run %s: %w", ticket.Run, err)
	}
	if asInt(v) != 1 {
		return fmt.Errorf("extending the turn of run %s: %w", ticket.Run, ErrFenced)
	}
	ticket.mu.Lock()
	defer ticket.mu.Unlock()
	ticket.until = asked
	return nil
}
