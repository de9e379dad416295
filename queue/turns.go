package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"argosy/workflow"
)

// TurnOptions tune Turns; zero values mean the defaults.
type TurnOptions struct {
	// Lease is how long a turn may take before another coordinator takes the run: 5 s.
	Lease time.Duration
	// Check is the time between two looks at what a run has in flight: 3 s. A worker's death
	// is seen within its lease and this.
	Check time.Duration
	// WholeNodes bounds the nodes that Begin reads unasked: 256.
	WholeNodes int
	// Events bounds the events of one turn: 1,000.
	Events int
	// Now is this process's clock, which decides only when to look again: time.Now.
	Now func() time.Time
	// Pause waits for a time, or until ctx ends.
	Pause func(ctx context.Context, d time.Duration)
}

// Turns is the coordinator's side: claim, begin, commit, dispatch, settle. Any number of
// goroutines and processes may take turns at once.
type Turns struct {
	*Specs
	conn   *Conn
	broker Broker
	opts   TurnOptions
	bell   *blocker
	locks  *Locks

	// waiting counts the callers of Claim that leave it to another to talk to Redis; ready are
	// the runs that it took for them.
	waiting atomic.Int32
	ready   chan *Ticket

	// listening is held by the one caller of Claim that talks to Redis; the rest is its.
	listening chan struct{}
	hot       [shards]bool      // may have another run due
	wake      [shards]time.Time // when its next run is due, as far as was seen
	unsure    [shards]bool      // whether Redis did what it was last asked
	swept     time.Time         // when every shard was last looked at
	first     int               // the shard to look at first
}

// sweepEvery bounds the delay of what no bell was heard for.
const sweepEvery = 2 * time.Second

// NewTurns makes a coordinator's side. Close it after the last turn.
func NewTurns(c *Conn, b Broker, o TurnOptions) *Turns {
	if o.Lease == 0 {
		o.Lease = 5 * time.Second
	}
	if o.Check == 0 {
		o.Check = 3 * time.Second
	}
	if o.WholeNodes == 0 {
		o.WholeNodes = 256
	}
	if o.Events == 0 {
		o.Events = 1000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Pause == nil {
		o.Pause = pause
	}
	return &Turns{
		Specs: c.specs, conn: c, broker: b, opts: o, bell: c.newBlocker(), locks: NewLocks(c),
		listening: make(chan struct{}, 1), ready: make(chan *Ticket, maxClaims+1),
	}
}

// Settlement ends a turn.
type Settlement struct {
	// Next is when the run needs its next turn by Redis's clock: Committed.Next, or
	// Loaded.Next when nothing was committed; 0 is never, unless something rings.
	Next workflow.Millis
	// Token and Sent take what was dispatched off the run's out list: Loaded.Token and the
	// length of Committed.Out and Locks (or Loaded's).
	Token int64
	Sent  int
	// Ordered counts what was done about locks and the run's place: Ordering.Done. If Redis lost
	// that meanwhile, it stays on the out list, and the run takes another turn.
	Ordered int
	// Told are events for the run itself, which come of what was dispatched: it has them once
	// that is off its out list, and not without.
	Told []workflow.Event
	// Rests says that the run has not ended, and waits for somebody: it is looked back at only
	// after a long time.
	Rests bool
	// Later says that this is no run that goes on.
	Later bool
	// Cron is the CronWorkflow that is told that its run has ended, by CronID.
	Cron string
	// Waiting tells the pool what the run could start there and has no credit for; nil tells
	// nothing. It counts for a while only: say so at each turn, and zero when it is over.
	Waiting *Waiting
}

// Waiting is a part of a pool's demand that is not on its queues.
type Waiting struct {
	Pool string
	N    int
}

// waitFor is how long what is said to wait counts. A run that has anything in flight takes
// a turn every Check.
const waitFor = 40 * time.Second

// Settle ends a turn. A turn whose lease passed has been taken over, and is left alone.
func (t *Turns) Settle(ctx context.Context, ticket *Ticket, s Settlement) error {
	c := t.conn
	k := ticket.shard
	steps := make([]step, 0, 2)
	if s.Sent > 0 {
		ordered := s.Ordered
		if c.cluster {
			ordered = 0 // locks are elsewhere, and what is lost there is not what is lost here
		}
		args := []any{s.Token, s.Sent, ordered}
		for i := range s.Told {
			data, err := json.Marshal(&s.Told[i])
			if err != nil {
				return fmt.Errorf("settling run %s: encoding an event: %w", ticket.Run, err)
			}
			args = append(args, data)
		}
		steps = append(steps, call(c.scripts.clear, []string{metaKey(ticket.Run), outKey(ticket.Run), inKey(ticket.Run)}, args...))
		if len(s.Told) > 0 {
			steps = append(steps, c.ring(ticket.Run))
		}
	}
	until, asked := ticket.lease()
	later, rest := 0, int64(0)
	if s.Rests {
		rest = restFor.Milliseconds()
	}
	if s.Later {
		later = 1
	}
	steps = append(steps, c.onShard(c.scripts.settle, k, ticket.Run, until, int64(s.Next), sweepEvery.Milliseconds(), asked, later, rest))
	if s.Cron != "" {
		steps = append(steps, c.ring(s.Cron))
	}
	if w := s.Waiting; w != nil {
		steps = append(steps, c.note(waitKey(w.Pool), ticket.Run, w.N, waitFor))
	}
	cmds, err := c.inOrder(ctx, steps...)
	if err == nil && s.Sent > 0 && asInt(cmds[0].Val()) < 0 {
		_, err = c.inOrder(ctx, c.ring(ticket.Run))
	}
	if err != nil {
		return fmt.Errorf("settling run %s: %w", ticket.Run, err)
	}
	return nil
}
