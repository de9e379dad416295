package queue

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Pools knows how much pools can take. Whoever serves a pool says how many slots it has, and
// says so again every few seconds; after three times of silence its slots do not count.
type Pools struct {
	conn *Conn
	now  func() time.Time

	mu   sync.Mutex
	seen map[string]*seenSlots
}

// seenSlots is what was read of a pool last.
type seenSlots struct {
	reading sync.Mutex // held by the one that reads anew; the others go by what is known
	at      time.Time
	slots   int
}

const (
	attendEvery = 3 * time.Second
	attendFor   = 3 * attendEvery
	// slotsFresh is how long what was read counts, by the reader's clock.
	slotsFresh = 2 * time.Second
)

// NewPools makes a view on pools; now is the clock that says when to look again, nil is
// time.Now.
func NewPools(c *Conn, now func() time.Time) *Pools {
	if now == nil {
		now = time.Now
	}
	return &Pools{conn: c, now: now, seen: map[string]*seenSlots{}}
}

// Slots returns the slots of all who serve a pool, as they were a short time ago: 0 when
// nobody does. With an error comes what was known last.
func (p *Pools) Slots(ctx context.Context, pool string) (int, error) {
	p.mu.Lock()
	s := p.seen[pool]
	if s == nil {
		s = &seenSlots{}
		p.seen[pool] = s
	}
	known := s.slots
	due := s.at.IsZero() || p.now().Sub(s.at) >= slotsFresh
	p.mu.Unlock()
	if !due || !s.reading.TryLock() {
		return known, nil
	}
	defer s.reading.Unlock()
	slots, err := p.conn.slots(ctx, pool, "", 0)
	p.mu.Lock()
	defer p.mu.Unlock()
	s.at = p.now() // also after an error: the next caller must not wait for Redis either
	if err != nil {
		return known, fmt.Errorf("counting the slots of pool %s: %w", pool, err)
	}
	s.slots = slots
	return slots, nil
}

// Attend says that a server of the pool is there and how many slots it has; 0: it takes
// nothing more. Say so every few seconds.
func (p *Pools) Attend(ctx context.Context, pool, server string, slots int) error {
	if _, err := p.conn.slots(ctx, pool, server, slots); err != nil {
		return fmt.Errorf("telling pool %s of %d slots: %w", pool, slots, err)
	}
	return nil
}

func (c *Conn) slots(ctx context.Context, pool, server string, slots int) (int, error) {
	cmds, err := c.together(ctx, c.note(slotsKey(pool), server, slots, attendFor))
	return int(asInt(cmds[0].Val())), err
}

// attend attends until ctx ends. What it cannot tell counts as silence.
func (p *Pools) attend(ctx context.Context, pool, server string, slots int) {
	tick := time.NewTicker(attendEvery)
	defer tick.Stop()
	for {
		if err := p.Attend(ctx, pool, server, slots); err != nil && ctx.Err() == nil {
			p.conn.log.Debug("a pool was not told of its slots", "error", err)
		}
		select {
		case <-tick.C:
			continue
		case <-ctx.Done():
		}
		leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), wakeWithin)
		defer cancel()
		if err := p.Attend(leave, pool, server, 0); err != nil {
			p.conn.log.Debug("a pool still counts slots that are gone", "error", err)
		}
		return
	}
}

// note is the step that notes a number under a name, for a while; 0 takes it back. Under no
// name it adds up what is noted.
func (c *Conn) note(key, name string, number int, d time.Duration) step {
	return call(c.scripts.tally, []string{key}, name, number, d.Milliseconds())
}
