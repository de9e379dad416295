package workflow_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

func TestALeafShowsWhatItWaitsForUntilItStarts(t *testing.T) {
	t.Parallel()
	e := newEngine(t, head+`
  - name: main
    steps:
    - - {name: a, template: echo}
`)
	e.turn()
	k := e.queue[0]
	waits := func(message string) workflow.Event {
		return workflow.Event{Kind: workflow.EventWaits, Key: k, Message: message}
	}
	show := func() (spec.NodePhase, string) {
		s := workflow.NodeStatus(e.view.Run, &e.view.State, e.view.Nodes[k], nil, true)
		return s.Phase, s.Message
	}
	e.turn(waits("Unschedulable: no node"))
	phase, message := show()
	require.Equal(t, spec.NodePending, phase, "though a worker has it")
	require.Equal(t, "Unschedulable: no node", message)
	require.Empty(t, e.turn(waits("Unschedulable: no node")).Nodes, "nothing new")

	e.turn(waits(""))
	phase, message = show()
	require.Equal(t, spec.NodeRunning, phase)
	require.Empty(t, message)

	e.turn(e.answer(k))
	require.Empty(t, e.turn(waits("late")).Nodes)
	phase, message = show()
	require.Equal(t, spec.NodeSucceeded, phase)
	require.Empty(t, message)
}
