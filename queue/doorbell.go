package queue

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// doorbell turns asynq's polling into waiting: after an empty answer to asynq's dequeue
// script it waits for a ring, and asks once more. Only asynq's one dequeuing goroutine
// uses it.
//
// asynq asks one queue after the other. The doorbell answers its question about the first
// for all of them, by asynq's own script: see several.
type doorbell struct {
	conn   *Conn
	pool   string
	queues []string // in the order of their classes
	own    string   // a bell of its own, which ends its wait
	stop   context.Context
	bell   *blocker

	script *redis.Script // several of asynq's, once that is known
	source string        // its
	looked []time.Time   // when each queue was last found empty or taken from
	from   string        // the queue of what was taken last
	unsure bool          // whether Redis did what it was last asked
}

func newDoorbell(stop context.Context, c *Conn, pool string, bell *blocker) *doorbell {
	b := &doorbell{
		conn: c, pool: pool, queues: queuesOf(pool), own: poolBellKey(pool) + ":" + rand.Text(), stop: stop, bell: bell,
	}
	now := time.Now()
	for range b.queues {
		b.looked = append(b.looked, now)
	}
	return b
}

const (
	// retryPause is how long whoever has to ask again waits after an error.
	retryPause = 500 * time.Millisecond
	// wakeWithin is how long the end of a wait may take.
	wakeWithin = time.Second
	// passedOver is for how long a worker may take from higher classes only.
	passedOver = 10 * time.Second
)

func (b *doorbell) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (b *doorbell) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (b *doorbell) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		dequeue, q := b.dequeue(cmd)
		switch {
		case q < 0:
			return next(ctx, cmd)
		case q > 0: // the first was answered for all
			cmd.SetErr(redis.Nil)
			return redis.Nil
		case b.script == nil && cmd.Name() == "evalsha":
			cmd.SetErr(noScript{}) // has it sent again with the source
			return cmd.Err()
		case b.script == nil:
			source, _ := cmd.Args()[1].(string)
			b.source = several(source)
			b.script = b.conn.scripts.learn(b.source)
		}
		err := b.take(ctx, dequeue, next)
		switch {
		case b.stop.Err() != nil:
			if err == nil {
				b.handBack(dequeue.Val())
			}
			err = redis.Nil
		case err != nil && !errors.Is(err, redis.Nil) && !redis.HasErrorPrefix(err, "NOSCRIPT"):
			b.unsure = true
			select {
			case <-time.After(retryPause): // asynq's loop does not pause by itself
			case <-b.stop.Done():
			}
		}
		cmd.SetErr(err)
		return err
	}
}

// dequeue recognises asynq's dequeue script by its keys, and says which queue it asks; -1 is
// none.
func (b *doorbell) dequeue(cmd redis.Cmder) (*redis.Cmd, int) {
	args := cmd.Args()
	c, ok := cmd.(*redis.Cmd)
	if !ok || len(args) < 8 || (cmd.Name() != "evalsha" && cmd.Name() != "eval") {
		return nil, -1
	}
	return c, slices.IndexFunc(b.queues, func(q string) bool { return args[3] == pendingKey(q) && args[4] == pausedKey(q) })
}

// several makes of asynq's dequeue script, which knows one queue, one that takes from the
// first of several that has something.
// KEYS: asynq's four of each queue  ARGV: 1 asynq's first  2.. asynq's second of each queue
// Returns {the queue's place, from 1, and what asynq's returns}, or nil.
func several(dequeue string) string {
	return asFunction("dequeue", dequeue) + `for i = 1, #KEYS / 4 do
  local k = 4 * i - 3
  local msg = dequeue({KEYS[k], KEYS[k + 1], KEYS[k + 2], KEYS[k + 3]}, {ARGV[1], ARGV[i + 1]})
  if msg then
    return {i, msg}
  end
end
return nil`
}

// order is the queues as they are to be tried: one that was passed over for long goes first,
// so that what is always busy with others gets to it in the end.
func (b *doorbell) order() []int {
	var late, usual []int
	now := time.Now()
	for i := range b.queues {
		if now.Sub(b.looked[i]) > passedOver {
			late = append(late, i)
		} else {
			usual = append(usual, i)
		}
	}
	return append(late, usual...)
}

// ask is the command that takes from the first of some queues, in the form of asynq's.
func (b *doorbell) ask(ctx context.Context, asynqs *redis.Cmd, queues []int) *redis.Cmd {
	args := asynqs.Args()
	text := b.script.Hash()
	if asynqs.Name() == "eval" {
		text = b.source
	}
	all := []any{args[0], text, 4 * len(queues)}
	for _, i := range queues {
		q := b.queues[i]
		all = append(all, pendingKey(q), pausedKey(q), activeKey(q), leaseKey(q))
	}
	all = append(all, args[7])
	for _, i := range queues {
		all = append(all, taskPrefix(b.queues[i]))
	}
	return redis.NewCmd(ctx, all...)
}

// heard passes the answer to ask on to asynq.
func (b *doorbell) heard(asynqs, asked *redis.Cmd, err error, queues []int) error {
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	answer, tried := asList(asked.Val()), len(queues)
	if len(answer) == 2 {
		tried = int(asInt(answer[0]))
		b.from = b.queues[queues[tried-1]]
		asynqs.SetVal(answer[1])
	}
	now := time.Now()
	for _, i := range queues[:tried] {
		b.looked[i] = now
	}
	return err
}

// look asks all queues: on one server at once, on a cluster, where each is in a slot of its
// own, one after the other.
func (b *doorbell) look(ctx context.Context, asynqs *redis.Cmd, next redis.ProcessHook) error {
	order := b.order()
	size := len(order)
	if b.conn.cluster {
		size = 1
	}
	for queues := range slices.Chunk(order, size) {
		asked := b.ask(ctx, asynqs, queues)
		if err := b.heard(asynqs, asked, next(ctx, asked), queues); !errors.Is(err, redis.Nil) {
			return err
		}
	}
	return redis.Nil
}

func (b *doorbell) take(ctx context.Context, dequeue *redis.Cmd, next redis.ProcessHook) error {
	if b.stop.Err() != nil {
		return redis.Nil // take nothing more
	}
	if b.unsure {
		// What is sent while Redis stalls it does when it goes on: a task would be taken for
		// nobody, at every attempt. So ask something first that changes nothing.
		for i, q := range b.queues {
			if i > 0 && !b.conn.cluster {
				break // they are all on that server
			}
			if err := next(ctx, redis.NewIntCmd(ctx, "exists", pendingKey(q))); err != nil {
				return err
			}
		}
		b.unsure = false
	}
	if err := b.look(ctx, dequeue, next); !errors.Is(err, redis.Nil) {
		return err
	}
	for {
		// A ring for what was taken without it leads to nothing. asynq would sleep for a while
		// then, in which the next task would come, and leave its ring for the next time.
		heard, err := b.wait(ctx, dequeue, next)
		if !heard || !errors.Is(err, redis.Nil) || b.stop.Err() != nil {
			return err
		}
	}
}

// wait waits for a ring and looks again: on one server in one round trip, since Redis takes
// up the second command when the first one ends. heard says that there was a ring.
func (b *doorbell) wait(ctx context.Context, dequeue *redis.Cmd, next redis.ProcessHook) (heard bool, err error) {
	order := b.order()
	again := b.ask(ctx, dequeue, order)
	over, woken := make(chan struct{}), make(chan struct{})
	b.bell.begin()
	keep := context.AfterFunc(b.stop, func() {
		defer close(woken)
		b.wake(over)
	})
	pipe := b.bell.Pipeline()
	rung := pipe.Do(ctx, brpop(maxBlock, poolBellKey(b.pool), b.own)...)
	if !b.conn.cluster {
		_ = pipe.Process(ctx, again) // only queues it
	}
	_, _ = pipe.Exec(ctx) // each command carries its own error
	close(over)
	if !keep() {
		<-woken
	}
	if err := rung.Err(); err != nil && !errors.Is(err, redis.Nil) {
		return false, err
	}
	heard = rung.Err() == nil
	if b.conn.cluster {
		return heard, b.look(ctx, dequeue, next) // also at the end: the ring was for somebody
	}
	return heard, b.heard(dequeue, again, again.Err(), order)
}

// wake ends a wait with a ring, since the answer may hold a task, and cuts it when Redis
// does not answer.
func (b *doorbell) wake(over <-chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), wakeWithin)
	defer cancel()
	_, err := b.conn.inOrder(ctx, command("lpush", b.own, 1), command("expire", b.own, 2*int(maxBlock.Seconds())))
	if err == nil {
		select {
		case <-over:
			return
		case <-ctx.Done():
		}
	}
	b.bell.cut()
}

// handBack puts back the task that came with the end. Should that fail, the run's next look
// finds it taken and unclaimed.
func (b *doorbell) handBack(msg any) {
	ctx, cancel := context.WithTimeout(context.Background(), wakeWithin)
	defer cancel()
	put := call(b.conn.scripts.handback, []string{activeKey(b.from), leaseKey(b.from), pendingKey(b.from)}, taskPrefix(b.from), msg)
	if _, err := b.conn.inOrder(ctx, append([]step{put}, ring(b.pool, 1)...)...); err != nil {
		b.conn.log.Warn("a task that came with the end is not handed back", "queue", b.from,
			"error", fmt.Errorf("handing back a task: %w", err))
	}
}
