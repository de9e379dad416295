package queue_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/queue"
	"argosy/workflow"
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
		require.NoError(w.t, m.Load(w.ctx, run, []workflow.MemoLoad{{Key: "/a", Cache: "c", Name: "k"}, {Key: "/b", Cache: "c", Name: "none"}, {Key: "/c", Cache: "d", Name: "k"}}))
		var events []workflow.Event
		for _, text := range w.raw.LRange(w.ctx, "{r:1}:in", 0, -1).Val() {
			var e workflow.Event
			require.NoError(w.t, json.Unmarshal([]byte(text), &e))
			events = append(events, e)
		}
		require.Equal(w.t, []workflow.Event{
			{Kind: workflow.EventMemo, Key: "/a", Memo: &workflow.Memo{Node: "new", Outputs: out, Created: 5}},
			{Kind: workflow.EventMemo, Key: "/b"}, {Kind: workflow.EventMemo, Key: "/c"},
		}, events)
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
		require.NoError(w.t, m.Load(w.ctx, run, []workflow.MemoLoad{{Key: "/a", Cache: "c", Name: "wanted"}, {Key: "/a", Cache: "c", Name: "none"}}))
		forget(1)
		require.Equal(w.t, []string{"wanted"}, w.raw.HKeys(w.ctx, "memos:{argo/c}").Val())
		forget(0)
		age("wanted")
		forget(1)
		require.Empty(w.t, w.keys("memos:*"))
		require.Empty(w.t, w.keys("{all}:caches"))
	})
}
