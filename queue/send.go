package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// taskType is the type of our asynq tasks.
const taskType = "step"

// farFuture is the deadline of our tasks: without one, asynq ends them after 30 minutes.
var farFuture = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// Asynq is the Broker over asynq: one asynq queue per pool and class.
type Asynq struct {
	conn     *Conn
	recorder *redis.Client
	encoder  *asynq.Client
	log      *slog.Logger
}

// NewAsynq makes the Broker. Close it after the last Send and Serve.
func NewAsynq(c *Conn) *Asynq {
	a := &Asynq{conn: c, recorder: redis.NewClient(&redis.Options{MaxRetries: -1}), log: c.log}
	a.recorder.AddHook(record{})
	a.encoder = asynq.NewClientFromRedisClient(a.recorder)
	return a
}

// Close releases the Broker.
func (a *Asynq) Close() error { return a.recorder.Close() }

// Send is part of Broker: one round trip, however many deliveries; on a cluster one
// more for each queue and pool.
//
// asynq enqueues one task per round trip and has no call to only encode one. So its client
// gets a Redis client that records the commands and sends nothing, and what it recorded goes
// out in one pipeline.
func (a *Asynq) Send(ctx context.Context, deliveries []Delivery) error {
	steps, _, err := a.sending(ctx, deliveries, func(e enqueue) step {
		return call(a.conn.scripts.learn(e.source), e.keys, e.args...)
	})
	if err != nil || len(steps) == 0 {
		return err
	}
	if _, err := a.conn.inOrder(ctx, steps...); err != nil {
		return fmt.Errorf("sending %d deliveries: %w", len(deliveries), err)
	}
	return nil
}

// sending are the steps of a Send: one, then one for each delivery, in the order that it
// returns, then the rings.
func (a *Asynq) sending(ctx context.Context, deliveries []Delivery, as func(enqueue) step) (steps []step, order []Delivery, err error) {
	var queues []any
	of, rings := map[any][]Delivery{}, map[string]int{}
	for _, d := range deliveries {
		q := d.queue()
		if of[q] == nil {
			queues = append(queues, q)
		}
		of[q] = append(of[q], d)
		rings[d.Pool]++
	}
	if len(queues) == 0 {
		return nil, nil, nil
	}
	steps = []step{command("sadd", queuesKey, queues...)}
	for _, q := range queues { // neighbours of one slot go together
		order = append(order, of[q]...)
	}
	for _, d := range order {
		e, err := a.encode(ctx, d)
		if err != nil {
			return nil, nil, fmt.Errorf("encoding delivery %s: %w", d.ID(), err)
		}
		steps = append(steps, as(e))
	}
	for _, pool := range slices.Sorted(maps.Keys(rings)) {
		steps = append(steps, ring(pool, rings[pool])...)
	}
	return steps, order, nil
}

// maxRings bounds the rings that nobody has heard yet. More workers than that wake one
// another's way: each looks for more work after every task it takes.
const maxRings = 64

// ring are the steps that wake some servers of a pool. Whatever the class of what there is
// to do, they wait at one bell.
func ring(pool string, times int) []step {
	bell := poolBellKey(pool)
	return []step{
		command("lpush", bell, slices.Repeat([]any{1}, min(times, maxRings))...),
		command("ltrim", bell, 0, maxRings-1),
	}
}

// enqueue is asynq's script that enqueues a task, and what it takes. It answers 0 to a task id
// that is there already, which is as good as 1.
type enqueue struct {
	source string
	keys   []string
	args   []any
}

func (a *Asynq) encode(ctx context.Context, d Delivery) (enqueue, error) {
	payload, err := json.Marshal(d)
	if err != nil {
		return enqueue{}, err
	}
	var recorded []any
	_, err = a.encoder.EnqueueContext(context.WithValue(ctx, recordKey{}, &recorded), asynq.NewTask(taskType, payload),
		asynq.TaskID(d.ID()), asynq.Queue(d.queue()), asynq.MaxRetry(math.MaxInt32), asynq.Deadline(farFuture))
	if err != nil {
		return enqueue{}, err
	}
	// eval SOURCE number-of-keys KEYS ARGV
	if len(recorded) < 3 {
		return enqueue{}, errors.New("asynq sent nothing")
	}
	e := enqueue{}
	e.source, _ = recorded[1].(string)
	n, _ := recorded[2].(int)
	if len(recorded) < 3+n {
		return enqueue{}, fmt.Errorf("asynq sent %d arguments and %d keys", len(recorded), n)
	}
	e.keys, e.args = make([]string, n), recorded[3+n:]
	for i := range e.keys {
		e.keys[i], _ = recorded[3+i].(string)
	}
	return e, nil
}

type recordKey struct{}

// record is a hook that sends nothing and notes the script call in the context's record.
type record struct{}

func (record) DialHook(next redis.DialHook) redis.DialHook { return next }

func (record) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (record) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		switch cmd.Name() {
		case "evalsha":
			cmd.SetErr(noScript{}) // has it sent again with the source
			return cmd.Err()
		case "eval":
			if to, ok := ctx.Value(recordKey{}).(*[]any); ok {
				*to = cmd.Args()
			}
			cmd.(*redis.Cmd).SetVal(int64(1))
		}
		return nil
	}
}

// noScript is what Redis answers to the hash of a script that it does not know.
type noScript struct{}

func (noScript) Error() string { return "NOSCRIPT recorded" }
func (noScript) RedisError()   {}

// States is part of Broker.
func (a *Asynq) States(ctx context.Context, deliveries []Delivery) ([]TaskState, error) {
	if len(deliveries) == 0 {
		return nil, nil
	}
	pipe := a.conn.client.Pipeline()
	cmds := make([]*redis.StringCmd, len(deliveries))
	for i, d := range deliveries {
		cmds[i] = pipe.HGet(ctx, taskPrefix(d.queue())+d.ID(), "state")
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("asking for the states of %d deliveries: %w", len(deliveries), err)
	}
	states := make([]TaskState, len(deliveries))
	for i, cmd := range cmds {
		switch cmd.Val() {
		case "pending", "scheduled", "retry":
			states[i] = TaskQueued
		case "active":
			states[i] = TaskTaken
		}
	}
	return states, nil
}
