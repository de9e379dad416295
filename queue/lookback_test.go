package queue_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"argosy/queue"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// end has a run end in its first turn.
func (w *world) end(id string) {
	w.t.Helper()
	w.submit(id)
	ticket := w.claim()
	l := w.begin(ticket)
	done := w.commit(l, &queue.Commit{State: &workflow.State{Phase: spec.WorkflowSucceeded, Finished: l.Now}})
	require.NoError(w.t, w.turns.Settle(w.ctx, ticket, queue.Settlement{Next: done.Next, Token: l.Token}))
}

// ended are the runs that are to be looked back at.
func (w *world) ended() []string {
	w.t.Helper()
	var runs []string
	for k := range 8 {
		runs = append(runs, w.raw.ZRange(w.ctx, fmt.Sprintf("ended:{%d}", k), 0, -1).Val()...)
	}
	return runs
}

// later makes the time come to look back at what has ended.
func (w *world) later() {
	w.t.Helper()
	for k := range 8 {
		key := fmt.Sprintf("ended:{%d}", k)
		for _, run := range w.raw.ZRange(w.ctx, key, 0, -1).Val() {
			require.NoError(w.t, w.raw.ZAdd(w.ctx, key, redis.Z{Score: 1, Member: run}).Err())
		}
	}
}

func TestEndThatRedisLostIsFound(t *testing.T) {
	each(t, func(w *world) {
		w.end("1")
		w.idle()
		require.Equal(w.t, []string{"1"}, w.ended(), "it is too early")
		require.NoError(w.t, w.raw.Del(w.ctx, "{r:1}:state", "{r:1}:meta").Err()) // the commit
		w.later()
		ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
		defer cancel()
		ticket, err := w.newTurns().Claim(ctx, 10*time.Second)
		require.NoError(w.t, err)
		require.NotNil(w.t, ticket)
		require.Equal(w.t, "1", ticket.Run)
		require.Zero(w.t, w.begin(ticket).Version)
		require.Empty(w.t, w.ended())
	})
}

func TestEndsAreLookedBackAtOnce(t *testing.T) {
	each(t, func(w *world) {
		for _, id := range []string{"1", "2", "3"} {
			w.end(id)
		}
		require.NoError(w.t, w.runs.Delete(w.ctx, "2"))
		w.later()
		w.idle()
		require.Empty(w.t, w.ended())
		w.idle()
	})
}

func TestARunThatWaitsForSomebodyIsLookedBackAtLate(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		ticket := w.claim()
		l := w.begin(ticket)
		w.commit(l, &queue.Commit{State: &workflow.State{Phase: spec.WorkflowRunning, Held: 1}})
		require.NoError(w.t, w.turns.Settle(w.ctx, ticket, queue.Settlement{Rests: true}))
		w.idle()
		require.Equal(w.t, []string{"1"}, w.ended())
		late := float64(time.Now().Add(5 * time.Minute).UnixMilli())
		for k := range 8 {
			for _, z := range w.raw.ZRangeWithScores(w.ctx, fmt.Sprintf("ended:{%d}", k), 0, -1).Val() {
				require.Greater(w.t, z.Score, late)
			}
		}
		require.NoError(w.t, w.runs.Signal(w.ctx, "1", workflow.Event{Kind: workflow.EventSignal, Signal: workflow.SignalResume}))
		l = w.begin(w.claim())
		require.Len(w.t, l.Events, 1)
	})
}
