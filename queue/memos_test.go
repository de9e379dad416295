package queue_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/queue"
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
