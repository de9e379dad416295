package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

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
	for look := true; ; {
		select {
		case ticket := <-t.ready:
			return ticket, nil
		default:
		}
		left := deadline.Sub(t.opts.Now())
		switch {
		case look:
			look, err = false, t.claimSeen(ctx)
		case left <= 0:
			return nil, nil
		default:
			look, err = true, t.listen(ctx, left)
		}
		if err != nil {
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
func (t *Turns) claimSeen(ctx context.Context) error {
	now := t.opts.Now()
	sweep := now.Sub(t.swept) >= sweepEvery
	if sweep {
		t.swept = now
	}
	var hot []int
	for _, k := range t.order() {
		if !t.wake[k].IsZero() && !t.wake[k].After(now) {
			t.hot[k], t.wake[k] = true, time.Time{}
		}
		t.hot[k] = t.hot[k] || sweep
		if t.hot[k] {
			hot = append(hot, k)
		}
	}
	size := len(hot)
	if t.conn.cluster {
		size = 1
	}
	for ks := range slices.Chunk(hot, max(1, size)) {
		if err := t.claimFrom(ctx, ks); err != nil || len(t.ready) > 0 {
			return err
		}
	}
	return nil
}

// order is the shards as they are to be tried: a busy one must not starve the others.
func (t *Turns) order() []int {
	ks := make([]int, shards)
	for i := range ks {
		ks[i] = (t.first + i) % shards
	}
	return ks
}

func (t *Turns) claimFrom(ctx context.Context, ks []int) error {
	if slices.ContainsFunc(ks, func(k int) bool { return t.unsure[k] }) {
		// What is sent while Redis stalls it does when it goes on, and a run would be claimed
		// for nobody, at every attempt. So ask something first that changes nothing.
		if err := t.conn.client.Exists(ctx, dueKey(ks[0])).Err(); err != nil {
			t.putOff(ks)
			return fmt.Errorf("claiming a run: %w", err)
		}
		for k := range t.unsure {
			t.unsure[k] = t.unsure[k] && t.conn.cluster && !slices.Contains(ks, k)
		}
	}
	room := min(int(t.waiting.Load()), maxClaims) - len(t.ready)
	cmds, err := t.conn.together(ctx, t.take(ks, 1+max(0, room)))
	if err != nil {
		t.putOff(ks)
		return fmt.Errorf("claiming a run: %w", err)
	}
	return t.took(ctx, ks, cmds[0].Val())
}

// take is the step that takes some runs of the first shard that has any; on a cluster of the
// only one.
func (t *Turns) take(ks []int, most int) step {
	script := t.conn.scripts.take
	if t.conn.cluster {
		script = t.conn.scripts.claim
	}
	keys := make([]string, 0, 4*len(ks))
	for _, k := range ks {
		keys = append(keys, dueKey(k), takenKey(k), endedKey(k), laterKey(k))
	}
	return call(script, keys, append([]any{t.opts.Lease.Milliseconds(), lookBackAfter.Milliseconds(), most}, t.reads()...)...)
}

// took takes note of the answer to take, and puts the runs where the callers of Claim get them.
func (t *Turns) took(ctx context.Context, ks []int, v any) error {
	answers, begun := []any{v}, any(nil)
	if list := asList(v); !t.conn.cluster && len(list) == 2 {
		answers, begun = asList(list[0]), list[1]
	}
	if len(answers) == shards {
		t.swept = t.opts.Now()
	}
	for i, a := range answers {
		answer := asList(a)
		if len(answer) != 4 || i >= len(ks) {
			return fmt.Errorf("claiming a run: unexpected answer %v", v)
		}
		k := ks[i]
		t.first = k + 1
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
		now, until := t.opts.Now(), asInt(answer[1])
		for _, run := range asList(answer[0]) {
			// There is room: nobody else puts any in.
			t.ready <- &Ticket{Run: asString(run), shard: k, since: now, first: until, until: until, asked: until, begun: asList(begun)}
		}
	}
	return nil
}

// putOff has shards that cannot be asked left alone for a while, so that the others' turns
// go on.
func (t *Turns) putOff(ks []int) {
	for _, k := range ks {
		t.unsure[k], t.hot[k], t.wake[k] = true, false, t.opts.Now().Add(sweepEvery)
	}
}

// listen waits for a ring, or until a run that was seen comes due. On one server it takes a run
// in the same round trip: Redis takes up the second command when the first one ends. Should it be
// cut between the two at the process's end, the run's lease has to pass.
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
	ks, along := t.order(), !t.conn.cluster && !slices.Contains(t.unsure[:], true)
	var took *redis.Cmd
	rung := -1
	err := t.bell.during(ctx, func() error {
		pipe := t.bell.Pipeline()
		bell := pipe.Do(ctx, brpop(wait, turnsBell)...)
		if along {
			took = t.take(ks, 1).send(ctx, pipe)
		}
		_, _ = pipe.Exec(ctx) // each command carries its own error
		ring, err := bell.StringSlice()
		if err == nil {
			if k, err := strconv.Atoi(ring[1]); err == nil && k >= 0 && k < shards {
				t.hot[k], rung = true, k
			}
		}
		return err
	})
	if took != nil && took.Err() == nil {
		if err := t.took(ctx, ks, took.Val()); err != nil {
			return err
		}
		if rung >= 0 && t.hot[rung] && len(t.ready) > 0 {
			// The run is another one than it was rung for, whose turn somebody else may take.
			if _, err := t.conn.together(ctx, command("lpush", turnsBell, rung)); err != nil {
				t.conn.log.Debug("a ring is not passed on", "hop", "claim", "error", err)
			}
		}
		return nil
	}
	if err != nil && !errors.Is(err, redis.Nil) {
		for k := range t.unsure {
			t.unsure[k] = t.unsure[k] || along
		}
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
