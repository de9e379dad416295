package workflow_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

func TestStopEndsARunWithoutStartingMore(t *testing.T) {
	t.Parallel()
	e := newEngine(t, head+`
  - name: main
    steps:
    - - {name: a, template: echo, withSequence: {count: "5"}}
    - - {name: b, template: echo}
`)
	e.view.Limits = workflow.Limits{InFlight: 2}
	e.turn()
	require.Len(t, e.queue, 2)
	d := e.turn(workflow.Event{Kind: workflow.EventSignal, Signal: workflow.SignalStop})
	require.True(t, d.CancelAll)
	for _, k := range e.queue {
		d = e.turn(workflow.Event{Kind: workflow.EventResult, Key: k, Result: &workflow.Result{Phase: spec.NodeFailed, Message: "killed"}})
	}
	require.True(t, d.Finished())
	require.Equal(t, spec.WorkflowFailed, e.view.State.Phase)
	require.Equal(t, "Stopped with strategy 'Stop'", e.view.State.Message)
	require.NotContains(t, e.phases(), "wf[1].b")
}

// stop is the event of somebody who asks a run to stop.
var stop = workflow.Event{Kind: workflow.EventSignal, Signal: workflow.SignalStop}

func TestAStopInTheTurnThatFindsNoRoomEndsWhatWaits(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"steps": `
  - name: main
    steps:
    - - {name: a, template: echo}
      - {name: b, template: echo}
      - {name: c, template: echo}
`,
		"tasks": `
  - name: main
    dag:
      tasks:
      - {name: a, template: echo}
      - {name: b, template: echo}
      - {name: c, template: echo, depends: b}
`,
		"a loop": `
  - name: main
    dag:
      tasks:
      - {name: a, template: echo, withSequence: {count: "3"}}
`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, head+body)
			e.view.Limits = workflow.Limits{InFlight: 1}
			d := e.turn(stop) // the run's first
			require.True(t, d.Finished(), e.dump())
			require.Equal(t, spec.WorkflowFailed, d.State.Phase)
			require.Zero(t, d.State.InFlight)
			require.Empty(t, d.Dispatch)
		})
	}
}

func TestAStopDoesNotUndoWhatSucceeded(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"the last group": `
  - name: main
    steps:
    - - {name: a, template: echo}
`,
		"the last task": `
  - name: main
    dag:
      tasks:
      - {name: a, template: echo}
`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, head+body)
			e.turn()
			d := e.turn(stop, e.answer(e.queue[0]))
			require.True(t, d.Finished())
			require.Equal(t, spec.WorkflowSucceeded, d.State.Phase, d.State.Message)
			require.Empty(t, d.State.Message)
		})
	}
}

func TestAStopAfterTheEndChangesNothing(t *testing.T) {
	t.Parallel()
	e := newEngine(t, head+`
  - name: main
    container: {image: busybox}
`)
	e.turn()
	d := e.turn(e.answer(e.queue[0]), stop)
	require.True(t, d.Finished())
	require.Equal(t, spec.WorkflowSucceeded, d.State.Phase)
	require.Empty(t, d.State.Shutdown)
	require.False(t, d.CancelAll)
}

func TestALoopThatAStopCutsShortIsNoSuccess(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"step": `
  - name: main
    steps:
    - - {name: a, template: echo, withSequence: {count: "3"}, continueOn: {failed: true}}
`,
		"task": `
  - name: main
    dag:
      tasks:
      - {name: a, template: echo, withSequence: {count: "3"}, continueOn: {failed: true}}
`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, head+body)
			e.view.Limits = workflow.Limits{InFlight: 1}
			e.turn()
			e.turn(stop)
			d := e.turn(e.answer(e.queue[0])) // it succeeded before it heard of the stop
			require.True(t, d.Finished())
			require.Equal(t, spec.WorkflowFailed, d.State.Phase)
			require.Equal(t, "Stopped with strategy 'Stop'", d.State.Message)
		})
	}
}

func TestARunThatIsHeldBackTakesResultsAndStartsNothing(t *testing.T) {
	t.Parallel()
	body := head + `
  - name: main
    steps:
    - - {name: a, template: echo}
      - {name: b, template: echo}
    - - {name: c, template: echo, withSequence: {count: "3"}}
`
	e := newEngine(t, body)
	e.view.Limits.Hold = true
	d := e.turn()
	require.Empty(t, d.Dispatch)
	require.False(t, d.More, "there is nothing to do at once")
	require.Equal(t, []workflow.Key{workflow.Root}, d.State.Ready)
	require.Equal(t, 1, d.State.Waiting())

	e.view.Limits.Hold = false
	sent := e.turn().Dispatch
	require.Len(t, sent, 2)
	e.view.Limits.Hold = true
	d = e.turn(e.answer(sent[0]), e.answer(sent[1]))
	require.Empty(t, d.Dispatch)
	require.False(t, d.More)
	require.Equal(t, 2, d.State.Done)
	require.NotZero(t, d.State.Waiting())

	e.view.Limits.Hold = false
	e.run(inOrder)
	require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase)
	require.Zero(t, e.view.State.Waiting())

	e = newEngine(t, body)
	e.view.Limits.Hold = true
	e.turn()
	d = e.turn(stop)
	require.True(t, d.Finished(), "a run that never had room can be stopped")
	require.Equal(t, spec.WorkflowFailed, d.State.Phase)
	require.Equal(t, "Stopped with strategy 'Stop'", d.State.Message)
}
