package queue_test

import (
	"encoding/json"
	"testing"

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
