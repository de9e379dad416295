package queue_test

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/queue"
	"argosy/workflow"
)

func TestDemandIsOfAllClassesAndOfWhatWaits(t *testing.T) {
	each(t, func(w *world) {
		demand := queue.NewDemand(w.conn)
		load := func() queue.Load {
			l, err := demand.Pool(w.ctx, pool)
			require.NoError(w.t, err)
			l.OldestAge = 0
			return l
		}
		require.Equal(w.t, queue.Load{}, load())
		var sent []queue.Delivery
		for i, c := range queue.Classes() {
			sent = append(sent, queue.Delivery{Run: "1", Key: leaf, Number: i + 1, Pool: pool, Class: c})
		}
		require.NoError(w.t, w.broker.Send(w.ctx, append(sent, queue.Delivery{Run: "1", Key: leaf, Number: 9, Pool: "other"})))
		require.Equal(w.t, queue.Load{Ready: 3}, load())
		pools, err := demand.Pools(w.ctx)
		require.NoError(w.t, err)
		require.Equal(w.t, []string{pool, "other"}, pools)

		say := func(run string, waiting *queue.Waiting) {
			w.submit(run)
			ticket := w.claim()
			l := w.begin(ticket)
			w.count.Reset()
			require.NoError(w.t, w.turns.Settle(w.ctx, ticket, queue.Settlement{Token: l.Token, Waiting: waiting}))
			if waiting != nil {
				require.LessOrEqual(w.t, w.count.Trips(), w.onCluster(3, 1))
			}
		}
		say("a", &queue.Waiting{Pool: pool, N: 40})
		say("b", &queue.Waiting{Pool: pool, N: 2})
		say("c", &queue.Waiting{Pool: "other", N: 7})
		require.Equal(w.t, queue.Load{Ready: 3, Waiting: 42}, load())
		say("d", nil)
		require.Equal(w.t, queue.Load{Ready: 3, Waiting: 42}, load())

		w.overdueAgain("a", &queue.Waiting{Pool: pool, N: 0})
		require.Equal(w.t, queue.Load{Ready: 3, Waiting: 2}, load())
		require.Equal(w.t, []string{"b"}, w.raw.HKeys(w.ctx, "wait:{default}").Val())
		text := w.raw.HGet(w.ctx, "wait:{default}", "b").Val()
		require.NoError(w.t, w.raw.HSet(w.ctx, "wait:{default}", "b", regexp.MustCompile(`\d+$`).ReplaceAllString(text, "1")).Err())
		require.Equal(w.t, queue.Load{Ready: 3}, load(), "what was said long ago does not count")
	})
}

// overdueAgain takes another turn of a run that got none, and says what waits.
func (w *world) overdueAgain(run string, waiting *queue.Waiting) {
	w.t.Helper()
	require.NoError(w.t, w.runs.Signal(w.ctx, run, workflow.Event{Kind: workflow.EventSignal, Signal: workflow.SignalStop}))
	ticket := w.claim()
	require.Equal(w.t, run, ticket.Run)
	l := w.begin(ticket)
	require.NoError(w.t, w.turns.Settle(w.ctx, ticket, queue.Settlement{Token: l.Token, Waiting: waiting}))
}
