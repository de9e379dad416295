package queue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/queue"
	"argosy/queue/queuetest"
	"argosy/workflow"
	"argosy/workflow/spec"
)

func TestMemosAreToldToTheRunThatAsks(t *testing.T) {
	each(t, func(w *world) {
		m := queue.NewMemos(w.conn)
		run := w.submit("1")
		out := &workflow.Values{Parameters: []workflow.Param{{Name: "x", Value: "1"}}}
		save := func(namespace, name, node string) {
			require.NoError(w.t, m.Save(w.ctx, namespace, []workflow.MemoSave{{Cache: "c", Name: name, Memo: workflow.Memo{Node: node, Outputs: out, Created: 5}}}))
		}
		save(run.Namespace, "k", "old")
		save(run.Namespace, "k", "new")
		save("other", "none", "theirs")
		events, err := m.Load(w.ctx, run, []workflow.MemoLoad{{Key: "/a", Cache: "c", Name: "k"}, {Key: "/b", Cache: "c", Name: "none"}, {Key: "/c", Cache: "d", Name: "k"}})
		require.NoError(w.t, err)
		require.Equal(w.t, []workflow.Event{
			{Kind: workflow.EventMemo, Key: "/a", Memo: &workflow.Memo{Node: "new", Outputs: out, Created: 5}},
			{Kind: workflow.EventMemo, Key: "/b"}, {Kind: workflow.EventMemo, Key: "/c"},
		}, events)
	})
}

// What Redis loses of a turn's end, it loses whole: a run is not left without what it asked for.
func TestARunIsToldOfWhatCameOfItsOrdersAsTheyGoOffItsList(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		first := w.claim()
		loaded := w.begin(first)
		w.commit(loaded, &queue.Commit{
			State: &workflow.State{Phase: spec.WorkflowRunning, Started: 1}, Orders: &workflow.Orders{Memos: []workflow.MemoLoad{{Key: "/a", Cache: "c", Name: "k"}}},
		})
		told := []workflow.Event{{Kind: workflow.EventMemo, Key: "/a"}}
		settle := func(token int64) {
			require.NoError(w.t, w.turns.Settle(w.ctx, first, queue.Settlement{Next: 1, Token: token, Sent: 1, Told: told}))
		}
		settle(loaded.Token - 1)
		require.Empty(w.t, w.raw.LRange(w.ctx, "{r:1}:in", 0, -1).Val(), "of a turn that is over, another will do it")
		require.EqualValues(w.t, 1, w.raw.LLen(w.ctx, "{r:1}:out").Val())
		settle(loaded.Token)
		require.Zero(w.t, w.raw.LLen(w.ctx, "{r:1}:out").Val())
		require.Equal(w.t, told, w.begin(w.claim()).Events)
	})
}

// What a turn had done about locks is done again if Redis lost it, though its commit stands.
func TestWhatRedisLostOfARunsOrdersStaysOnItsList(t *testing.T) {
	t.Parallel()
	queuetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		run, locks := w.submit("1"), queue.NewLocks(w.conn)
		ticket := w.claim()
		loaded := w.begin(ticket)
		done := w.commit(loaded, &queue.Commit{
			State: &workflow.State{Phase: spec.WorkflowRunning, Started: 1}, Orders: &workflow.Orders{Place: workflow.LockAsk},
		})
		ordering := &queue.Ordering{Token: loaded.Token, Version: done.Version}
		orders := &workflow.Orders{Place: workflow.LockAsk, Ops: []workflow.LockOp{{Do: workflow.LockAsk, Key: "/x", Locks: []workflow.LockRef{mutex("m")}}}}
		require.NoError(w.t, locks.Do(w.ctx, run, ordering, orders))
		require.Equal(t, 2, ordering.Done)
		settle := func() {
			require.NoError(w.t, w.turns.Settle(w.ctx, ticket, queue.Settlement{Next: 1 << 50, Token: loaded.Token, Sent: 1, Ordered: ordering.Done}))
		}
		require.NoError(t, w.raw.HDel(w.ctx, "{r:1}:meta", "did").Err(), "Redis lost both")
		settle()
		require.EqualValues(t, 1, w.raw.LLen(w.ctx, "{r:1}:out").Val())
		ticket = w.claim() // at once
		loaded = w.begin(ticket)
		require.Len(t, loaded.Orders, 1)

		*ordering = queue.Ordering{Token: loaded.Token, Version: done.Version}
		require.NoError(w.t, locks.Do(w.ctx, run, ordering, orders))
		require.NoError(t, w.raw.HSet(w.ctx, "{r:1}:meta", "did", fmt.Sprintf("%d:1", loaded.Token)).Err(), "Redis lost the second")
		settle()
		require.EqualValues(t, 1, w.raw.LLen(w.ctx, "{r:1}:out").Val())

		ticket = w.claim()
		loaded = w.begin(ticket)
		*ordering = queue.Ordering{Token: loaded.Token, Version: done.Version, Done: 1}
		require.ErrorIs(t, locks.Do(w.ctx, run, ordering, orders), queue.ErrFenced, "Redis lost the call before")

		*ordering = queue.Ordering{Token: loaded.Token, Version: done.Version}
		require.NoError(w.t, locks.Do(w.ctx, run, ordering, orders))
		settle()
		require.Zero(t, w.raw.LLen(w.ctx, "{r:1}:out").Val())
	})
}

func TestMemosThatNobodyWantsForLongAreCollected(t *testing.T) {
	each(t, func(w *world) {
		m := queue.NewMemos(w.conn)
		run := w.submit("1")
		for _, name := range []string{"wanted", "unwanted"} {
			require.NoError(w.t, m.Save(w.ctx, "argo", []workflow.MemoSave{{Cache: "c", Name: name, Memo: workflow.Memo{Node: name}}}))
		}
		age := func(name string) {
			require.NoError(w.t, w.raw.ZAdd(w.ctx, "memos:{argo/c}:wanted", zAt(name, 1)).Err())
		}
		forget := func(want int) {
			n, err := m.Forget(w.ctx, time.Hour)
			require.NoError(w.t, err)
			require.Equal(w.t, want, n)
		}
		age("wanted")
		age("unwanted")
		_, err := m.Load(w.ctx, run, []workflow.MemoLoad{{Key: "/a", Cache: "c", Name: "wanted"}, {Key: "/a", Cache: "c", Name: "none"}})
		require.NoError(w.t, err)
		forget(1)
		require.Equal(w.t, []string{"wanted"}, w.raw.HKeys(w.ctx, "memos:{argo/c}").Val())
		forget(0)
		age("wanted")
		forget(1)
		require.Empty(w.t, w.keys("memos:*"))
		require.Empty(w.t, w.keys("{all}:caches"))
	})
}
