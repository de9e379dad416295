package queue_test

import (
	"context"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/queue"
)

func (w *world) slots(p *queue.Pools) int {
	w.t.Helper()
	n, err := p.Slots(w.ctx, pool)
	require.NoError(w.t, err)
	return n
}

func TestSlotsAreOfThoseWhoSaidSoLately(t *testing.T) {
	each(t, func(w *world) {
		fresh := func() *queue.Pools { return queue.NewPools(w.conn, nil) }
		require.Zero(w.t, w.slots(fresh()))
		for i, slots := range []int{4, 3, 2, 3} { // the second server counts again
			require.NoError(w.t, fresh().Attend(w.ctx, pool, fmt.Sprint("server-", i%3), slots))
		}
		require.NoError(w.t, fresh().Attend(w.ctx, "other", "server-9", 50))
		require.Equal(w.t, 3+3+2, w.slots(fresh()))
		require.NoError(w.t, fresh().Attend(w.ctx, pool, "server-2", 0))
		require.Equal(w.t, 3+3, w.slots(fresh()), "one that takes nothing more does not count")

		// The first falls silent: its time is long past.
		text := w.raw.HGet(w.ctx, "slots:{default}", "server-0").Val()
		require.NoError(w.t, w.raw.HSet(w.ctx, "slots:{default}", "server-0", regexp.MustCompile(`\d+$`).ReplaceAllString(text, "1")).Err())
		require.Equal(w.t, 3, w.slots(fresh()))
		require.Equal(w.t, []string{"server-1"}, w.raw.HKeys(w.ctx, "slots:{default}").Val(), "what is past is gone")
	})
}

func TestSlotsAreReadOnceInAWhile(t *testing.T) {
	each(t, func(w *world) {
		now := time.Unix(1000, 0)
		p := queue.NewPools(w.conn, func() time.Time { return now })
		require.NoError(w.t, p.Attend(w.ctx, pool, "server", 4))
		w.count.Reset()
		require.Equal(w.t, 4, w.slots(p))
		require.NoError(w.t, p.Attend(w.ctx, pool, "server", 8))
		require.Equal(w.t, 4, w.slots(p))
		require.Equal(w.t, 2, w.count.Trips())
		now = now.Add(2 * time.Second)
		require.Equal(w.t, 8, w.slots(p))

		now = now.Add(2 * time.Second)
		gone, cancel := context.WithCancel(w.ctx)
		cancel()
		known, err := p.Slots(gone, pool)
		require.ErrorIs(w.t, err, context.Canceled)
		require.Equal(w.t, 8, known, "what was known last")
	})
}

func TestWhoServesAPoolIsCountedUntilItStops(t *testing.T) {
	each(t, func(w *world) {
		ctx, stop := context.WithCancel(w.ctx)
		served := make(chan error, 1)
		go func() {
			served <- w.broker.Serve(ctx, queue.ServeConfig{Pool: pool, Slots: 7}, func(context.Context, queue.Delivery) {})
		}()
		for w.slots(queue.NewPools(w.conn, nil)) != 7 {
			require.NoError(w.t, w.ctx.Err())
		}
		stop()
		require.NoError(w.t, <-served)
		require.Zero(w.t, w.slots(queue.NewPools(w.conn, nil)))
	})
}
