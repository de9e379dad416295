package queue

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// An idle worker's commands, per second: the doorbell's loop (counted here) has 3 in 5 s,
// asynq's heartbeat 3 in 5 s, and for each of three queues its forwarder 2 in 15 s, its
// janitor 1 in 8 s and its recoverer 2 in 60 s; the pool is told of the slots 1 in 3 s. That is
// 2.4 a second; the budget is 5. On a cluster, where each queue is asked by itself, the loop has
// 7 in 5 s, and all of it is 3.2 a second.
func TestIdleLoopCostsThreeCommandsInFiveSeconds(t *testing.T) {
	t.Parallel()
	e, err := StartEmbedded(t.Context(), EmbeddedMemory)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Stop()) })
	count := NewCounter()
	conn, err := Connect(t.Context(), e.URL, Options{Log: slog.New(slog.DiscardHandler), Counter: count})
	require.NoError(t, err)
	defer conn.Close()
	bell := conn.newBlocker()
	defer bell.Close()
	// A ring that leads to nothing has it wait again, at once.
	require.NoError(t, conn.client.LPush(t.Context(), poolBellKey("default"), 1).Err())
	client := open(conn.opts) // as Serve does
	defer client.Close()
	client.AddHook(newDoorbell(t.Context(), conn, "default", bell))
	client.AddHook(through{conn.client})
	count.Reset()

	dequeue := redis.NewScript(`return redis.call('RPOP', KEYS[1])`)
	for _, q := range queuesOf("default") {
		keys := []string{pendingKey(q), pausedKey(q), activeKey(q), leaseKey(q)}
		require.ErrorIs(t, dequeue.Run(t.Context(), client, keys, 0, taskPrefix(q)).Err(), redis.Nil)
	}
	require.Equal(t, 2+1, count.Trips(), "the first queue is asked about for all")
	require.Equal(t, 3+2, count.Commands())
	require.EqualValues(t, 5, maxBlock.Seconds())
}

// bareConn has nobody at its other end.
func bareConn(t *testing.T) *Conn {
	s, err := loadScripts()
	require.NoError(t, err)
	return &Conn{scripts: s}
}

// asynqs is asynq's question about a queue.
func asynqs(t *testing.T, name, q string) *redis.Cmd {
	return redis.NewCmd(t.Context(), name, "return nil", 4, pendingKey(q), pausedKey(q), activeKey(q), leaseKey(q), 123, taskPrefix(q))
}

func TestDoorbellTakesNothingAfterTheEnd(t *testing.T) {
	t.Parallel()
	ended, end := context.WithCancel(t.Context())
	end()
	b := newDoorbell(ended, bareConn(t), "default", nil)
	sent := false
	hook := b.ProcessHook(func(context.Context, redis.Cmder) error {
		sent = true
		return nil
	})
	require.ErrorIs(t, hook(t.Context(), asynqs(t, "eval", "default.high")), redis.Nil)
	require.False(t, sent)
	require.NoError(t, hook(t.Context(), redis.NewCmd(t.Context(), "evalsha", "sha", 1, pendingKey("other"))))
	require.True(t, sent)
}

// What is sent to a Redis that stalls is done when it goes on. So nothing is dequeued once
// more, for nobody, before Redis has answered something.
func TestDoorbellAsksBeforeItTakesAfterAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newDoorbell(t.Context(), bareConn(t), "default", nil)
		down := errors.New("down")
		answers := []error{down, down, down, nil, nil, nil}
		var sent []string
		hook := b.ProcessHook(func(_ context.Context, cmd redis.Cmder) error {
			sent = append(sent, cmd.Name())
			return answers[len(sent)-1]
		})
		began := time.Now()
		for range 5 {
			_ = hook(t.Context(), asynqs(t, "eval", "default.high"))
		}
		require.Equal(t, []string{"eval", "exists", "exists", "exists", "eval", "eval"}, sent)
		require.Equal(t, 3*retryPause, time.Since(began), "asynq's loop does not pause by itself")
	})
}

// A worker that always finds something of a higher class gets to the others now and then.
func TestDoorbellGoesToAQueueThatWasPassedOverForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newDoorbell(t.Context(), bareConn(t), "default", nil)
		has := map[string]bool{"default": true, "default.bulk": true}
		var took []string
		hook := b.ProcessHook(func(_ context.Context, cmd redis.Cmder) error {
			args, n := cmd.Args(), 0
			for i := 3; i < 3+args[2].(int); i += 4 {
				n++
				for q := range has {
					if args[i] == pendingKey(q) {
						require.Equal(t, []any{activeKey(q), leaseKey(q)}, args[i+2:i+4])
						cmd.(*redis.Cmd).SetVal([]any{int64(n), "msg of " + q})
						return nil
					}
				}
			}
			cmd.SetErr(redis.Nil)
			return redis.Nil
		})
		take := func() {
			cmd := asynqs(t, "eval", "default.high")
			require.NoError(t, hook(t.Context(), cmd))
			took = append(took, cmd.Val().(string))
		}
		for range 5 {
			take()
			time.Sleep(4 * time.Second)
		}
		require.Equal(t, []string{"msg of default", "msg of default", "msg of default", "msg of default.bulk", "msg of default"}, took)
		require.Equal(t, "default", b.from)

		has = map[string]bool{"default.bulk": true}
		time.Sleep(time.Minute)
		take()
		has["default"] = true
		take()
		require.Equal(t, []string{"msg of default.bulk", "msg of default"}, took[5:], "nobody was passed over")
	})
}
