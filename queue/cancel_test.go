package queue_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/queue"
	"argosy/workflow"
	"argosy/workflow/spec"
)

func TestCancelEndsWhatNobodyHolds(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		ticket := w.claim()
		l := w.begin(ticket)
		held := queue.Delivery{Run: "1", Key: leaf, Number: 1, Pool: pool}
		waits := queue.Delivery{Run: "1", Key: `/[0].it's "ä"/(0:x\y)`, Number: 1, Pool: pool}
		exit := queue.Delivery{Run: "1", Key: held.Key.Hook("exit").Attempt(0), Number: 1, Pool: pool}
		w.commit(l, &queue.Commit{
			Nodes: []*workflow.Node{{Key: held.Key}, {Key: waits.Key}, {Key: exit.Key}},
			Send:  []queue.Delivery{held, waits, exit},
		})
		_, err := w.tasks.Claim(w.ctx, held)
		require.NoError(w.t, err)
		w.overdueTurn(ticket)
		ticket = w.claim()
		done := w.commit(w.begin(ticket), &queue.Commit{Cancel: &queue.Cancel{Phase: spec.NodeFailed, Message: "stopped", SpareExit: true}})
		require.NoError(w.t, w.turns.Settle(w.ctx, ticket, queue.Settlement{Next: done.Next}))

		_, err = w.tasks.Claim(w.ctx, waits)
		requireRefused(w.t, err, queue.RefusedEnded)
		renewals, err := w.tasks.Renew(w.ctx, []queue.Delivery{waits, held})
		require.NoError(w.t, err)
		require.Equal(w.t, []queue.Renewal{queue.RenewalLost, queue.RenewalCancel}, renewals)
		_, err = w.tasks.Claim(w.ctx, exit)
		require.NoError(w.t, err, "exit handlers were to be left alone")
		require.NoError(w.t, w.tasks.Report(w.ctx, held, workflow.Result{Phase: spec.NodeFailed, Stopped: true}))

		events := w.begin(w.claim()).Events
		require.Len(w.t, events, 2)
		require.Equal(w.t, workflow.Event{
			Kind: workflow.EventResult, Key: waits.Key,
			Result: &workflow.Result{Phase: spec.NodeFailed, Message: "stopped"},
		}, events[0])
		require.Equal(w.t, held.Key, events[1].Key)
	})
}
