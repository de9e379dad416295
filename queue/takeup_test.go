package queue_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/queue"
	"argosy/workflow"
	"argosy/workflow/spec"
)

func TestARunThatEndedIsTakenUpAgain(t *testing.T) {
	each(t, func(w *world) {
		c := newChunked(w)
		pack := c.pack(0, 10, true)
		require.NoError(w.t, w.tasks.ReportItems(w.ctx, c.d, pack))
		ticket := &queue.Ticket{Run: "1"}
		l := w.begin(ticket)
		state := l.State
		state.Phase, state.Finished = spec.WorkflowFailed, l.Now
		w.commit(l, &queue.Commit{State: &state})

		s, err := w.runs.Head(w.ctx, "1")
		require.NoError(w.t, err)
		next, err := s.State.TakeUp(workflow.Again{})
		require.NoError(w.t, err)
		changed := *s.Run
		changed.Labels = map[string]string{"again": "yes"}
		require.ErrorIs(w.t, w.runs.TakeUp(w.ctx, "1", s.Version+1, &next, nil, ""), queue.ErrConflict)
		require.NoError(w.t, w.runs.TakeUp(w.ctx, "1", s.Version, &next, &changed, s.Digest))
		require.ErrorIs(w.t, w.runs.TakeUp(w.ctx, "1", s.Version+1, &next, nil, ""), queue.ErrConflict, "it has not ended")

		ticket = &queue.Ticket{Run: "1"}
		l = w.begin(ticket)
		require.NotNil(w.t, l.State.Again)
		require.Equal(w.t, 1, l.State.Lives)
		require.Equal(w.t, "yes", l.Run.Labels["again"])
		reopen := workflow.Reopen{Loop: loopKey, Count: 40, Also: [][2]int{{4, 5}, {6, 7}, {30, 50}}}
		require.NoError(w.t, w.turns.Reopen(w.ctx, l, reopen))
		require.NoError(w.t, w.turns.Reopen(w.ctx, l, reopen), "a turn may have to be taken again")
		p, err := w.runs.Items(w.ctx, "1", loopKey, 0, 40, nil)
		require.NoError(w.t, err)
		for i := range 40 {
			kept := i < 10 && i%2 == 0 && i != 4 && i != 6
			require.Equal(w.t, kept, p.Has(i), i)
			require.Equal(w.t, kept, p.Kept(i), i)
		}
		state = l.State
		state.Again = nil
		d := queue.Delivery{Run: "1", Key: c.d.Key, Number: state.FirstDelivery(), Pool: pool}
		w.commit(l, &queue.Commit{State: &state, Send: []queue.Delivery{d}})
		other := *l
		require.ErrorIs(w.t, w.turns.Reopen(w.ctx, &other, reopen), queue.ErrFenced, "its items run already")

		_, err = w.tasks.Claim(w.ctx, c.d)
		require.Error(w.t, err, "a delivery of before")
		claimed, err := w.tasks.Claim(w.ctx, d)
		require.NoError(w.t, err)
		c.d, c.c = d, claimed
		chunk, err := w.tasks.Chunk(w.ctx, d, claimed.Node.Chunk, "here")
		require.NoError(w.t, err)
		require.True(w.t, chunk.Recorded.Kept(0))
		fresh := c.pack(1, 2, false)
		first := workflow.NewPack(chunk.Loop, 0, "here", chunk.HostIndex)
		first.Keep(&chunk.Recorded, 0)
		for range 2 { // the answer to the first may have been lost
			require.NoError(w.t, w.tasks.ReportItems(w.ctx, d, first))
		}
		require.NoError(w.t, w.tasks.ReportItems(w.ctx, d, fresh))
		l = w.begin(ticket)
		require.Len(w.t, l.Events, 2)
		require.Equal(w.t, 1, l.Events[0].Items.Succeeded)
		require.Equal(w.t, 1, l.Events[1].Items.Failed)
		p, err = w.runs.Items(w.ctx, "1", loopKey, 0, 3, nil)
		require.NoError(w.t, err)
		require.False(w.t, p.Kept(0), "it was counted")
		require.True(w.t, p.Kept(2))
		require.ErrorIs(w.t, w.runs.TakeUp(w.ctx, "2", s.Version, &next, nil, ""), queue.ErrNotFound)
	})
}

func TestItemsOfAnotherRunAreTakenOver(t *testing.T) {
	each(t, func(w *world) {
		c := newChunked(w)
		require.NoError(w.t, w.tasks.ReportItems(w.ctx, c.d, c.pack(0, 10, true)))
		run := newRun("2")
		run.From = &workflow.Origin{ID: "1", Name: "run-1"}
		require.NoError(w.t, w.runs.Submit(w.ctx, run, []byte(loopJSON)))
		l := w.begin(&queue.Ticket{Run: "2"})
		require.Equal(w.t, run.From, l.Run.From)
		for range 2 { // a turn may have to be taken again
			require.NoError(w.t, w.turns.Copy(w.ctx, l, "1", nil, workflow.Copy{Loop: loopKey, Count: 40}))
		}
		require.NoError(w.t, w.turns.Reopen(w.ctx, l, workflow.Reopen{Loop: loopKey, Count: 40}))
		before, err := w.runs.Items(w.ctx, "1", loopKey, 0, 40, nil)
		require.NoError(w.t, err)
		after, err := w.runs.Items(w.ctx, "2", loopKey, 0, 40, nil)
		require.NoError(w.t, err)
		require.Equal(w.t, before.Hosts, after.Hosts)
		for i := range 40 {
			kept := i < 10 && i%2 == 0
			require.Equal(w.t, kept, after.Kept(i), i)
			if kept {
				require.Equal(w.t, before.Extras[i], after.Extras[i])
				require.Equal(w.t, before.Phase(i), after.Phase(i))
			}
		}
		w.begin(&queue.Ticket{Run: "2"})
		require.ErrorIs(w.t, w.turns.Copy(w.ctx, l, "1", nil, workflow.Copy{Loop: loopKey, Count: 40}), queue.ErrFenced)
	})
}
