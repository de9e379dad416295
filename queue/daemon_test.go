package queue_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/queue"
	"argosy/workflow"
	"argosy/workflow/spec"
)

func TestADaemonsReadinessIsTakenFromWhoHoldsIt(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		d := w.launch("1")
		ready := workflow.Ready{Address: "10.0.0.1", Host: "here"}
		other := queue.NewTasks(w.conn, "worker-2", time.Minute)
		require.ErrorIs(w.t, w.tasks.Ready(w.ctx, d, ready), queue.ErrFenced, "before the claim")
		_, err := w.tasks.Claim(w.ctx, d)
		require.NoError(w.t, err)
		require.ErrorIs(w.t, other.Ready(w.ctx, d, ready), queue.ErrFenced, "of another worker")
		renewals, err := w.tasks.Renew(w.ctx, []queue.Delivery{d})
		require.NoError(w.t, err)
		require.Equal(w.t, []queue.Renewal{queue.RenewalOK}, renewals, "nobody was told yet, or Redis lost it")
		require.NoError(w.t, w.tasks.Ready(w.ctx, d, ready))
		require.NoError(w.t, w.tasks.Ready(w.ctx, d, ready), "again, for the answer was lost")
		renewals, err = w.tasks.Renew(w.ctx, []queue.Delivery{d})
		require.NoError(w.t, err)
		require.Equal(w.t, []queue.Renewal{queue.RenewalReady}, renewals, "the delivery goes on")
		events := w.begin(w.claim()).Events
		require.Len(w.t, events, 2)
		require.Equal(w.t, workflow.Event{Kind: workflow.EventReady, Key: d.Key, Ready: &ready}, events[0])
		require.NoError(w.t, w.tasks.Report(w.ctx, d, succeeded()))
		require.ErrorIs(w.t, w.tasks.Ready(w.ctx, d, ready), queue.ErrFenced, "after its end")
	})
}

func TestACommitEndsDaemonsByThemselves(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		ticket := w.claim()
		l := w.begin(ticket)
		held := queue.Delivery{Run: "1", Key: leaf, Number: 1, Pool: pool}
		waits := queue.Delivery{Run: "1", Key: workflow.Root.Step(0, "b"), Number: 1, Pool: pool}
		works := queue.Delivery{Run: "1", Key: workflow.Root.Step(0, "c"), Number: 1, Pool: pool}
		w.commit(l, &queue.Commit{
			Nodes: []*workflow.Node{{Key: held.Key}, {Key: waits.Key}, {Key: works.Key}},
			Send:  []queue.Delivery{held, waits, works},
		})
		for _, d := range []queue.Delivery{held, works} {
			_, err := w.tasks.Claim(w.ctx, d)
			require.NoError(w.t, err)
		}
		require.NoError(w.t, w.tasks.Ready(w.ctx, held, workflow.Ready{Address: "10.0.0.1"}))
		w.overdueTurn(ticket)
		ticket = w.claim()
		done := w.commit(w.begin(ticket), &queue.Commit{End: []workflow.Key{held.Key, waits.Key, workflow.Root.Step(0, "gone")}})
		require.NoError(w.t, w.turns.Settle(w.ctx, ticket, queue.Settlement{Next: done.Next}))

		_, err := w.tasks.Claim(w.ctx, waits)
		requireRefused(w.t, err, queue.RefusedEnded)
		renewals, err := w.tasks.Renew(w.ctx, []queue.Delivery{held, works})
		require.NoError(w.t, err)
		require.Equal(w.t, []queue.Renewal{queue.RenewalCancel, queue.RenewalOK}, renewals)
		require.NoError(w.t, w.tasks.Report(w.ctx, held, workflow.Result{Phase: spec.NodeFailed}))
		require.Len(w.t, w.begin(w.claim()).Events, 1, "nothing is said of what was never claimed")
	})
}

func TestAWorkerHearsThatARunIsOver(t *testing.T) {
	for name, over := range map[string]func(w *world, ticket *queue.Ticket, l *queue.Loaded){
		"it has ended": func(w *world, _ *queue.Ticket, l *queue.Loaded) {
			w.commit(l, &queue.Commit{State: &workflow.State{Phase: spec.WorkflowSucceeded, Finished: l.Now}})
		},
		"it was deleted": func(w *world, _ *queue.Ticket, _ *queue.Loaded) {
			require.NoError(w.t, w.runs.Delete(w.ctx, "1"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(w *world) {
				w.submit("1")
				d := w.launch("1")
				_, err := w.tasks.Claim(w.ctx, d)
				require.NoError(w.t, err)
				ticket := w.claim()
				over(w, ticket, w.begin(ticket))
				renewals, err := w.tasks.Renew(w.ctx, []queue.Delivery{d, {Run: "1", Key: d.Key, Number: 2, Pool: pool}})
				require.NoError(w.t, err)
				require.Equal(w.t, []queue.Renewal{queue.RenewalOver, queue.RenewalOver}, renewals)
				require.ErrorIs(w.t, w.tasks.Report(w.ctx, d, succeeded()), queue.ErrFenced)
			})
		})
	}
}

func TestALeafsProgressIsTakenFromWhoeverHasIt(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		d := w.launch("1")
		require.ErrorIs(w.t, w.tasks.Tells(w.ctx, d.Run, d.Key, "1/3"), queue.ErrFenced, "before the claim")
		_, err := w.tasks.Claim(w.ctx, d)
		require.NoError(w.t, err)
		other := queue.NewTasks(w.conn, "", time.Minute)
		require.NoError(w.t, other.Tells(w.ctx, d.Run, d.Key, "2/3"), "by the gateway of another worker")
		events := w.begin(w.claim()).Events
		require.Equal(w.t, []workflow.Event{{Kind: workflow.EventTells, Key: d.Key, Message: "2/3"}}, events)
		require.NoError(w.t, w.tasks.Report(w.ctx, d, succeeded()))
		require.ErrorIs(w.t, other.Tells(w.ctx, d.Run, d.Key, "3/3"), queue.ErrFenced, "after its end")
	})
}
