package queue_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/queue"
	"argosy/workflow"
	"argosy/workflow/spec"
)

func TestARunThatEndedComesDueToBeDeleted(t *testing.T) {
	each(t, func(w *world) {
		end := func(id string, in time.Duration) {
			w.submit(id)
			ticket := w.claim()
			l := w.begin(ticket)
			c := &queue.Commit{State: &workflow.State{Phase: spec.WorkflowSucceeded, Finished: l.Now}, Expires: l.Now + workflow.Millis(in.Milliseconds())}
			done := w.commit(l, c)
			require.Equal(w.t, c.Expires, done.Next)
			require.Equal(w.t, done, w.commit(l, c), "the answer was lost")
			require.NoError(w.t, w.turns.Settle(w.ctx, ticket, queue.Settlement{Next: done.Next, Later: true}))
		}
		end("long", time.Hour)
		end("short", 3*time.Second)
		room, err := queue.NewRoom(w.conn, 0).Fill(w.ctx)
		require.NoError(w.t, err)
		require.Zero(w.t, room.Runs, "they have finished")

		ticket := w.claim()
		require.Equal(w.t, "short", ticket.Run)
		_, err = w.turns.Begin(w.ctx, ticket)
		require.ErrorIs(w.t, err, queue.ErrExpired)
		require.NoError(w.t, w.runs.Delete(w.ctx, "short"))
		_, err = w.runs.Head(w.ctx, "short")
		require.ErrorIs(w.t, err, queue.ErrNotFound)

		// A ring that comes late finds that it is not time yet.
		require.ErrorIs(w.t, w.runs.Signal(w.ctx, "long", workflow.Event{Kind: workflow.EventSignal, Signal: workflow.SignalStop}), queue.ErrFinished)
		ticket = w.claim()
		require.Equal(w.t, "long", ticket.Run)
		_, err = w.turns.Begin(w.ctx, ticket)
		require.ErrorIs(w.t, err, queue.ErrFinished)
		require.NoError(w.t, w.turns.LeaveEnded(w.ctx, ticket))
		w.idle()
		require.NoError(w.t, w.runs.Delete(w.ctx, "long"))
		w.idle()
	})
}

func TestARunThatIsTakenUpAgainIsNotDeleted(t *testing.T) {
	each(t, func(w *world) {
		end := func(id string, expires workflow.Millis) *queue.Snapshot {
			w.submit(id)
			ticket := w.claim()
			l := w.begin(ticket)
			w.commit(l, &queue.Commit{State: &workflow.State{Phase: spec.WorkflowFailed, Finished: l.Now}, Expires: expires})
			require.NoError(w.t, w.turns.Settle(w.ctx, ticket, queue.Settlement{}))
			s, err := w.runs.Head(w.ctx, id)
			require.NoError(w.t, err)
			return s
		}
		takeUp := func(s *queue.Snapshot) error {
			next, err := s.State.TakeUp(workflow.Again{})
			require.NoError(w.t, err)
			return w.runs.TakeUp(w.ctx, s.Run.ID, s.Version, &next, nil, "")
		}
		// Deleted it is for good, though its artifacts may have to go first.
		gone := end("gone", 1)
		require.NoError(w.t, w.raw.HSet(w.ctx, "{garbage}:held", "gone", "kept").Err())
		at, err := w.runs.Expire(w.ctx, "gone")
		require.NoError(w.t, err)
		require.NotZero(w.t, at)
		_, err = w.runs.Head(w.ctx, "gone")
		require.NoError(w.t, err)
		require.ErrorIs(w.t, takeUp(gone), queue.ErrNotFound)
		require.NoError(w.t, w.runs.Remove(w.ctx, "gone"))

		// Its time had come when it was looked at.
		again := end("again", 1)
		require.NoError(w.t, takeUp(again))
		at, err = w.runs.Expire(w.ctx, "again")
		require.NoError(w.t, err)
		require.Zero(w.t, at)
		_, err = w.runs.Head(w.ctx, "again")
		require.NoError(w.t, err)
	})
}
