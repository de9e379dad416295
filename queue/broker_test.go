package queue_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/queue"
	"argosy/queue/queuetest"
)

func TestAsynqIsABroker(t *testing.T) {
	t.Parallel()
	on := func(start func(testing.TB) string) func(t *testing.T) queue.Broker {
		return func(t *testing.T) queue.Broker {
			b := queue.NewAsynq(queuetest.Connect(t, start(t)))
			t.Cleanup(func() { require.NoError(t, b.Close()) })
			return b
		}
	}
	t.Run("redis", func(t *testing.T) { queuetest.TestBroker(t, on(queuetest.Start)) })
	t.Run("memory", func(t *testing.T) { queuetest.TestBroker(t, on(queuetest.StartMemory)) })
	t.Run("cluster", func(t *testing.T) { queuetest.TestBroker(t, on(cluster.Use)) })
}

func TestSendingIsOneRoundTrip(t *testing.T) {
	each(t, func(w *world) {
		send := func(n int) {
			var ds []queue.Delivery
			for i := range n {
				ds = append(ds, queue.Delivery{Run: "1", Key: leaf, Number: i + 1, Pool: pool})
			}
			require.NoError(w.t, w.broker.Send(w.ctx, ds))
		}
		send(1) // asynq's script becomes known
		w.count.Reset()
		send(100)
		require.Equal(w.t, w.onCluster(2, 1), w.count.Trips())
		require.EqualValues(w.t, 64, w.raw.LLen(w.ctx, "bell:{default}").Val(), "rings are bounded")
	})
}

func TestUnreadableTaskIsDropped(t *testing.T) {
	each(t, func(w *world) {
		bad := queue.Delivery{Run: "1", Key: leaf, Number: 1, Pool: pool}
		good := queue.Delivery{Run: "1", Key: leaf, Number: 2, Pool: pool}
		require.NoError(w.t, w.broker.Send(w.ctx, []queue.Delivery{bad}))
		task := "asynq:{default}:t:" + bad.ID()
		msg := []byte(w.raw.HGet(w.ctx, task, "msg").Val())
		for i, c := range msg { // the payload's braces
			if c == '{' || c == '}' {
				msg[i] = '!'
			}
		}
		require.NoError(w.t, w.raw.HSet(w.ctx, task, "msg", msg).Err())
		require.NoError(w.t, w.broker.Send(w.ctx, []queue.Delivery{good}))
		ctx, cancel := context.WithCancel(w.ctx)
		got, served := make(chan queue.Delivery, 2), make(chan error, 1)
		go func() {
			served <- w.broker.Serve(ctx, queue.ServeConfig{Pool: pool, Slots: 1}, func(_ context.Context, d queue.Delivery) { got <- d })
		}()
		require.Equal(w.t, good, <-got)
		cancel()
		require.NoError(w.t, <-served)
		states, err := w.broker.States(w.ctx, []queue.Delivery{bad})
		require.NoError(w.t, err)
		require.Equal(w.t, []queue.TaskState{queue.TaskAbsent}, states)
	})
}

func TestDeliveryThatComesWithTheEndIsHandedBack(t *testing.T) {
	each(t, func(w *world) {
		// asynq's script becomes known: to send it is to ring twice.
		require.NoError(w.t, w.broker.Send(w.ctx, []queue.Delivery{{Run: "1", Key: leaf, Number: 1, Pool: "other"}}))
		// The worker's wait ends with a dequeue, which is to find something only then.
		paused := "asynq:{default}:paused"
		require.NoError(w.t, w.raw.Set(w.ctx, paused, 1, 0).Err())
		ctx, cancel := context.WithCancel(w.ctx)
		defer cancel()
		got, served := make(chan queue.Delivery, 1), make(chan error, 1)
		go func() {
			served <- w.broker.Serve(ctx, queue.ServeConfig{Pool: pool, Slots: 1}, func(_ context.Context, d queue.Delivery) { got <- d })
		}()
		w.sent("brpop", 1)
		d := queue.Delivery{Run: "1", Key: leaf, Number: 1, Pool: pool}
		require.NoError(w.t, w.broker.Send(w.ctx, []queue.Delivery{d}))
		w.sent("brpop", 2)
		require.NoError(w.t, w.raw.Del(w.ctx, paused).Err())
		cancel()
		require.NoError(w.t, <-served)
		require.Empty(w.t, got)
		states, err := w.broker.States(w.ctx, []queue.Delivery{d})
		require.NoError(w.t, err)
		require.Equal(w.t, []queue.TaskState{queue.TaskQueued}, states)
		require.Zero(w.t, w.raw.ZCard(w.ctx, "asynq:{default}:lease").Val())
		require.EqualValues(w.t, 1, w.raw.LLen(w.ctx, "bell:{default}").Val())

		ctx, cancel = context.WithCancel(w.ctx)
		defer cancel()
		go func() {
			served <- w.broker.Serve(ctx, queue.ServeConfig{Pool: pool, Slots: 1}, func(_ context.Context, d queue.Delivery) { got <- d })
		}()
		require.Equal(w.t, d, <-got)
		cancel()
		require.NoError(w.t, <-served)
	})
}
