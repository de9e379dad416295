package workflow_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
)

func TestWhatALaterOrderGivesBackIsNotAskedForAnew(t *testing.T) {
	t.Parallel()
	op := func(do string, k workflow.Key) workflow.LockOp { return workflow.LockOp{Do: do, Key: k} }
	got := workflow.Standing([]*workflow.Orders{
		{Ops: []workflow.LockOp{op(workflow.LockAsk, "/a"), op(workflow.LockAsk, "/b")}},
		{All: true, Ops: []workflow.LockOp{op(workflow.LockHold, "/a"), op(workflow.LockHold, "/b")}},
		{Ops: []workflow.LockOp{op(workflow.LockFree, "/a")}},
		{Life: 1, Ops: []workflow.LockOp{op(workflow.LockAsk, "/a")}},
	})
	require.Equal(t, []*workflow.Orders{
		{Ops: []workflow.LockOp{op(workflow.LockAsk, "/b")}},
		{All: true, Ops: []workflow.LockOp{op(workflow.LockHold, "/b")}},
		{Ops: []workflow.LockOp{op(workflow.LockFree, "/a")}},
		{Life: 1, Ops: []workflow.LockOp{op(workflow.LockAsk, "/a")}},
	}, got)
}
