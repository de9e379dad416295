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
// asynq's heartbeat 3 in 5 s, its forwarder 2 in 5 s, its janitor 1 in 8 s and its recoverer
// 2 in 60 s, and the pool is told of the slots 1 in 3 s. That is 2.1 a second; the budget is 5.
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
	// A ring that was not for us ends the wait at once.
	require.NoError(t, conn.client.LPush(t.Context(), poolBellKey("default"), 1).Err())
	client := conn.newClient(conn.opts)
	defer client.Close()
	client.AddHook(newDoorbell(t.Context(), conn, "default", bell))
	count.Reset()

	dequeue := redis.NewScript(`return redis.call('RPOP', KEYS[1])`)
	keys := []string{pendingKey("default"), pausedKey("default")}
	require.ErrorIs(t, dequeue.Eval(t.Context(), client, keys).Err(), redis.Nil)
	require.Equal(t, 2, count.Trips())
	require.Equal(t, 3, count.Commands())
	require.EqualValues(t, 5, maxBlock.Seconds())
}

func TestDoorbellTakesNothingAfterTheEnd(t *testing.T) {
	t.Parallel()
	ended, end := context.WithCancel(t.Context())
	end()
	b := newDoorbell(ended, nil, "default", nil)
	sent := false
	hook := b.ProcessHook(func(context.Context, redis.Cmder) error {
		sent = true
		return nil
	})
	cmd := redis.NewCmd(t.Context(), "evalsha", "sha", 4, pendingKey("default"), pausedKey("default"))
	require.ErrorIs(t, hook(t.Context(), cmd), redis.Nil)
	require.False(t, sent)
	require.NoError(t, hook(t.Context(), redis.NewCmd(t.Context(), "evalsha", "sha", 1, pendingKey("other"))))
	require.True(t, sent)
}

// What is sent to a Redis that stalls is done when it goes on. So nothing is dequeued once
// more, for nobody, before Redis has answered something.
func TestDoorbellAsksBeforeItTakesAfterAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newDoorbell(t.Context(), nil, "default", nil)
		down := errors.New("down")
		answers := []error{down, down, down, nil, nil, nil}
		var sent []string
		hook := b.ProcessHook(func(_ context.Context, cmd redis.Cmder) error {
			sent = append(sent, cmd.Name())
			return answers[len(sent)-1]
		})
		began := time.Now()
		for range 5 {
			_ = hook(t.Context(), redis.NewCmd(t.Context(), "evalsha", "sha", 4, pendingKey("default"), pausedKey("default")))
		}
		require.Equal(t, []string{"evalsha", "exists", "exists", "exists", "evalsha", "evalsha"}, sent)
		require.Equal(t, 3*retryPause, time.Since(began), "asynq's loop does not pause by itself")
	})
}
