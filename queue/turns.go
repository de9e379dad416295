package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

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
		listening: make(chan struct{}, 1), ready: make(chan *Ticket, maxClaims),
	}
}

// maxClaims bounds the runs that one caller of Claim takes for all that wait.
const maxClaims = 64

// Close releases what Claim waits on, and runs that it took for callers who had gone. No turn
// may be under way.
func (t *Turns) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), wakeWithin)
	defer cancel()
	errs := []error{t.bell.Close()}
	for {
		select {
		case ticket := <-t.ready:
			errs = append(errs, t.Settle(ctx, ticket, Settlement{Next: 1})) // due since long ago
		default:
			return errors.Join(errs...)
		}
	}
}

// Claim takes a run that is due, or waits for one at most for wait (0: does not wait). No
// ticket and no error means that none was due.
func (t *Turns) Claim(ctx context.Context, wait time.Duration) (*Ticket, error) {
	deadline := t.opts.Now().Add(wait)
	ticket, listening, err := t.queueUp(ctx, wait)
	if !listening {
		return ticket, err
	}
	defer func() { <-t.listening }()
	for {
		select {
		case ticket := <-t.ready:
			return ticket, nil
		default:
		}
		ticket, err := t.claimSeen(ctx)
		if ticket != nil || err != nil {
			return ticket, err
		}
		left := deadline.Sub(t.opts.Now())
		if left <= 0 {
			return nil, nil
		}
		if err := t.listen(ctx, left); err != nil {
			return nil, err
		}
	}
}

// queueUp waits for a run that another caller took, or to be the one that talks to Redis.
func (t *Turns) queueUp(ctx context.Context, wait time.Duration) (ticket *Ticket, listening bool, err error) {
	if wait == 0 {
		select {
		case t.listening <- struct{}{}:
			return nil, true, nil
		default:
			return nil, false, nil
		}
	}
	t.waiting.Add(1)
	defer t.waiting.Add(-1)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case ticket := <-t.ready:
		return ticket, false, nil
	case t.listening <- struct{}{}:
		return nil, true, nil
	case <-timer.C:
		return nil, false, nil
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
}

// claimSeen tries the shards that are known or may be suspected to have a run due.
func (t *Turns) claimSeen(ctx context.Context) (*Ticket, error) {
	now := t.opts.Now()
	sweep := now.Sub(t.swept) >= sweepEvery
	if sweep {
		t.swept = now
	}
	for k := range shards {
		if !t.wake[k].IsZero() && !t.wake[k].After(now) {
			t.hot[k], t.wake[k] = true, time.Time{}
		}
		t.hot[k] = t.hot[k] || sweep
	}
	first := t.first
	for i := range shards {
		k := (first + i) % shards
		if !t.hot[k] {
			continue
		}
		t.first = k + 1 // a busy shard must not starve the others
		ticket, err := t.claimFrom(ctx, k)
		if ticket != nil || err != nil {
			return ticket, err
		}
	}
	return nil, nil
}

func (t *Turns) claimFrom(ctx context.Context, k int) (*Ticket, error) {
	if t.unsure[k] {
		// What is sent while Redis stalls it does when it goes on, and a run would be claimed
		// for nobody, at every attempt. So ask something first that changes nothing.
		if err := t.conn.client.Exists(ctx, dueKey(k)).Err(); err != nil {
			t.putOff(k)
			return nil, fmt.Errorf("claiming a run: %w", err)
		}
		t.unsure[k] = false
	}
	room := min(int(t.waiting.Load()), maxClaims) - len(t.ready)
	v, err := t.conn.run(ctx, t.conn.scripts.claim, []string{dueKey(k), takenKey(k), endedKey(k), laterKey(k)},
		t.opts.Lease.Milliseconds(), lookBackAfter.Milliseconds(), 1+max(0, room))
	if err != nil {
		t.putOff(k)
		return nil, fmt.Errorf("claiming a run: %w", err)
	}
	answer := asList(v)
	if len(answer) != 4 {
		return nil, fmt.Errorf("claiming a run: unexpected answer %v", v)
	}
	if ended := asList(answer[3]); len(ended) > 0 {
		if err := t.lookBack(ctx, k, ended); err != nil {
			// They come again when the lease has passed; the claimed run must not wait for that.
			t.conn.log.Warn("runs that ended could not be looked back at", "runs", len(ended), "error", err)
		}
	}
	wait := asInt(answer[2])
	t.hot[k] = wait == 0
	t.wake[k] = time.Time{}
	if wait > 0 {
		t.wake[k] = t.opts.Now().Add(time.Duration(wait) * time.Millisecond)
	}
	var first *Ticket
	now, until := t.opts.Now(), asInt(answer[1])
	for i, run := range asList(answer[0]) {
		ticket := &Ticket{Run: asString(run), shard: k, since: now, first: until, until: until, asked: until}
		if i == 0 {
			first = ticket
		} else {
			t.ready <- ticket // it has room: nobody else puts any in
		}
	}
	return first, nil
}

// putOff has a shard that cannot be asked left alone for a while, so that the others' turns
// go on.
func (t *Turns) putOff(k int) {
	t.unsure[k], t.hot[k], t.wake[k] = true, false, t.opts.Now().Add(sweepEvery)
}

// listen waits for a ring, or until a run that was seen comes due.
func (t *Turns) listen(ctx context.Context, wait time.Duration) error {
	now := t.opts.Now()
	wait = min(wait, max(0, sweepEvery-now.Sub(t.swept)))
	for _, at := range t.wake {
		if !at.IsZero() {
			wait = min(wait, max(0, at.Sub(now)))
		}
	}
	// 0 would be forever, and Redis's clock has a tick of 1 ms.
	wait = max(wait, time.Millisecond)
	err := t.bell.during(ctx, func() error {
		rung, err := t.bell.Do(ctx, brpop(wait, turnsBell)...).StringSlice()
		if err != nil {
			return err
		}
		if k, err := strconv.Atoi(rung[1]); err == nil && k >= 0 && k < shards {
			t.hot[k] = true
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		t.opts.Pause(ctx, min(wait, retryPause)) // whoever calls us in a loop need not
		return fmt.Errorf("waiting for a run to be due: %w", err)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// brpop is the command that pops a ring. go-redis's own rounds timeouts up to seconds.
func brpop(wait time.Duration, bells ...string) []any {
	args := make([]any, 0, len(bells)+2)
	args = append(args, "brpop")
	for _, b := range bells {
		args = append(args, b)
	}
	return append(args, fmt.Sprintf("%.3f", wait.Seconds()))
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
const waitFor = 30 * time.Second

// Settle ends a turn. A turn whose lease passed has been taken over, and is left alone.
func (t *Turns) Settle(ctx context.Context, ticket *Ticket, s Settlement) error {
	c := t.conn
	k := ticket.shard
	steps := make([]step, 0, 2)
	if s.Sent > 0 {
		steps = append(steps, call(c.scripts.clear, []string{metaKey(ticket.Run), outKey(ticket.Run)}, s.Token, s.Sent))
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
	if _, err := c.inOrder(ctx, steps...); err != nil {
		return fmt.Errorf("settling run %s: %w", ticket.Run, err)
	}
	return nil
}
