package workflow_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// approval is a workflow whose second step waits.
func approval(suspend string) string {
	return head + `
  - name: wait
    inputs: {parameters: [{name: tag, default: x}, {name: choice, default: "NO", enum: ["YES", "NO"], description: go on}]}
    suspend: ` + suspend + `
  - name: main
    steps:
    - - {name: a, template: echo}
    - - {name: b, template: wait}
    - - {name: c, template: echo, arguments: {parameters: [{name: text, value: "got {{steps.b.outputs.parameters.message}}"}]}}
`
}

const (
	forHand    = "{}\n    outputs: {parameters: [{name: message, globalName: said, valueFrom: {supplied: {}}}]}"
	forDefault = "{duration: \"20\"}\n    outputs: {parameters: [{name: message, valueFrom: {supplied: {}, default: \"tag {{inputs.parameters.tag}}\"}}]}"
	forTime    = "{duration: \"{{inputs.parameters.tag}}0s\"}\n    outputs: {parameters: [{name: message, valueFrom: {supplied: {}}}]}"
)

const waiting = workflow.Key("/[1].b")

func set(s workflow.Set, keys ...workflow.Key) workflow.Event {
	return workflow.Event{Kind: workflow.EventSet, Keys: keys, Set: &s}
}

// untilItWaits runs the first step.
func untilItWaits(t *testing.T, text string) (*engine, *workflow.Delta) {
	t.Helper()
	e := newEngine(t, text)
	e.act, e.partial = echo, true
	e.turn()
	d := e.turn(e.answer(e.queue[0]))
	e.queue = nil
	return e, d
}

func (e *engine) goOn() *engine {
	e.t.Helper()
	for len(e.queue) > 0 {
		k := e.queue[0]
		e.queue = e.queue[1:]
		e.turn(e.answer(k))
	}
	return e
}

func TestANodeWaitsUntilItIsResumed(t *testing.T) {
	t.Parallel()
	e, d := untilItWaits(t, approval(forHand))
	require.Equal(t, 1, d.State.Held)
	require.Zero(t, d.State.InFlight)
	require.False(t, d.More)
	require.Empty(t, d.Timers)
	n := e.node("wf[1].b")
	require.Equal(t, spec.NodeTypeSuspend, n.Type)
	require.Equal(t, spec.NodeRunning, n.Phase)
	status := workflow.Status(e.view, nil).Nodes[n.Key.ID("wf")]
	require.NotNil(t, status.Outputs.Parameters[0].ValueFrom.Supplied)
	require.Nil(t, status.Outputs.Parameters[0].Value)
	require.Equal(t, []spec.AnyString{"YES", "NO"}, status.Inputs.Parameters[1].Enum)
	require.Equal(t, spec.Progress("1/2"), workflow.Status(e.view, nil).Progress)

	e.turn(workflow.Event{Kind: workflow.EventSignal, Signal: workflow.SignalResume, Keys: []workflow.Key{waiting}})
	require.True(t, e.node("wf[1].b").Suspended(), "an output has no value")
	e.turn(set(workflow.Set{Message: "looking", Parameters: map[string]string{"message": "yes"}}, waiting))
	require.Equal(t, "looking", e.node("wf[1].b").Message)
	e.turn(set(workflow.Set{Parameters: map[string]string{"message": "no"}}, waiting)) // set already
	e.turn(workflow.Event{Kind: workflow.EventSignal, Signal: workflow.SignalResume, Keys: []workflow.Key{waiting}})
	e.goOn()
	require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase)
	require.Equal(t, "got yes", *e.node("wf[2].c").Outputs.Result)
	require.Equal(t, "yes", e.view.State.Outputs.Parameters[0].Value)
	require.Equal(t, 3, e.view.State.Done)
	require.Equal(t, "looking", e.node("wf[1].b").Message)
	require.Zero(t, e.view.State.Held)
}

func TestANodeIsResumedWhenItsTimeHasCome(t *testing.T) {
	t.Parallel()
	timer := workflow.Event{Kind: workflow.EventTimer, Key: waiting, Timer: "suspend"}
	e, d := untilItWaits(t, approval(forDefault))
	require.Equal(t, []workflow.Timer{{Key: waiting, Name: "suspend", At: workflow.At(e.now.Add(20 * time.Second))}}, d.Timers)
	e.turn(timer)
	e.goOn()
	require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase)
	require.Equal(t, "got tag x", *e.node("wf[2].c").Outputs.Result)

	e, _ = untilItWaits(t, approval(forTime))
	require.Equal(t, spec.WorkflowFailed, e.view.State.Phase, "x0s is no duration")
	require.Contains(t, e.node("wf[1].b").Message, `"x0s" is neither seconds nor a duration`)

	e, _ = untilItWaits(t, approval("{duration: 5s}\n    outputs: {parameters: [{name: message, valueFrom: {supplied: {}}}]}"))
	e.turn(timer)
	require.Equal(t, spec.WorkflowFailed, e.view.State.Phase)
	require.Equal(t, spec.NodeError, e.node("wf[1].b").Phase)
	require.Equal(t, "raw output parameter 'message' has not been set and does not have a default value", e.node("wf[1].b").Message)
	require.Equal(t, "step group deemed errored due to child wf[1].b error: "+e.node("wf[1].b").Message, e.view.State.Message)
}

func TestANodeThatWaitsEndsAsItIsSet(t *testing.T) {
	t.Parallel()
	e, _ := untilItWaits(t, approval(forHand))
	e.turn(set(workflow.Set{Phase: spec.NodeFailed, Message: "not today"}, waiting))
	require.Equal(t, spec.WorkflowFailed, e.view.State.Phase)
	require.Equal(t, "not today", e.node("wf[1].b").Message)
	require.Empty(t, e.view.State.Shutdown)

	e, _ = untilItWaits(t, approval(forDefault))
	d := e.turn(stop)
	require.True(t, d.Finished())
	require.Equal(t, "Stopped with strategy 'Stop'", e.node("wf[1].b").Message)
	require.Contains(t, d.Timers, workflow.Timer{Key: waiting, Name: "suspend"})
}

func TestSettingIsCheckedAgainstWhatANodeExpects(t *testing.T) {
	t.Parallel()
	e, _ := untilItWaits(t, approval(forHand))
	n := e.node("wf[1].b")
	for want, s := range map[string]workflow.Set{
		"": {Parameters: map[string]string{"message": "x"}, Phase: spec.NodeSucceeded},
		"node is not expecting output parameter 'other'":                                    {Parameters: map[string]string{"other": "x"}},
		"raw output parameter 'message' has not been set and does not have a default value": {Phase: spec.NodeSucceeded},
	} {
		err := s.Check(n)
		if want == "" {
			require.NoError(t, err)
			continue
		}
		require.EqualError(t, err, want)
	}
	e.turn(set(workflow.Set{Parameters: map[string]string{"message": "x"}}, waiting))
	again := workflow.Set{Parameters: map[string]string{"message": "y"}}
	require.EqualError(t, again.Check(e.node("wf[1].b")), "cannot set output parameter 'message' because it does not use valueFrom.raw or it was already set")
	require.EqualError(t, again.Check(&workflow.Node{}), "cannot set output parameters because node is not expecting any raw parameters")
}

func TestASuspendedRunStartsNothingUntilItIsResumed(t *testing.T) {
	t.Parallel()
	text := head + `
  - name: main
    steps:
    - - {name: a, template: echo}
    - - {name: b, template: echo, withSequence: {count: "3"}}
`
	resume := workflow.Event{Kind: workflow.EventSignal, Signal: workflow.SignalResume}
	suspend := workflow.Event{Kind: workflow.EventSignal, Signal: workflow.SignalSuspend}
	e := newEngineOf(t, text, func(wf *spec.Workflow) { wf.Spec.Suspend = new(true) })
	d := e.turn()
	require.True(t, d.State.Suspended)
	require.Equal(t, spec.WorkflowRunning, d.State.Phase)
	require.Empty(t, e.queue)
	require.False(t, d.More)
	require.Zero(t, d.State.Waiting())
	d = e.turn(resume)
	require.Len(t, d.Dispatch, 1)
	d = e.turn(suspend, e.answer(e.queue[0]))
	require.Empty(t, d.Dispatch)
	require.Equal(t, 1, d.State.Done, "what runs goes on")
	e.queue = e.turn(resume).Dispatch
	require.Len(t, e.queue, 3)
	e.goOn()
	require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase)

	e = newEngineOf(t, text, func(wf *spec.Workflow) { wf.Spec.Suspend = new(true) })
	e.turn()
	require.True(t, e.turn(stop).Finished(), "it can be stopped")
}

func TestALeafIsEndedWhenItTakesTooLong(t *testing.T) {
	t.Parallel()
	e := newEngine(t, head+`
  - name: main
    retryStrategy: {limit: 1}
    inputs: {parameters: [{name: most, value: 30s}]}
    timeout: "{{inputs.parameters.most}}"
    container: {image: busybox}
`)
	d := e.turn()
	k := d.Dispatch[0]
	require.Equal(t, []workflow.Timer{{Key: k, Name: "timeout", At: workflow.At(e.now.Add(30 * time.Second))}}, d.Timers)
	d = e.turn(workflow.Event{Kind: workflow.EventTimer, Key: k, Timer: "timeout"})
	require.Equal(t, []workflow.Key{k}, d.Late)
	require.Equal(t, 1, d.State.InFlight)
	d = e.turn(workflow.Event{Kind: workflow.EventResult, Key: k, Result: &workflow.Result{Phase: spec.NodeError, Message: "killed"}})
	require.Equal(t, spec.NodeFailed, e.node("wf(0)").Phase)
	require.Equal(t, "Step exceeded its deadline", e.node("wf(0)").Message)
	require.Len(t, d.Dispatch, 1, "it is tried again")
	d = e.turn(e.answer(d.Dispatch[0]))
	require.Equal(t, spec.WorkflowSucceeded, d.State.Phase)
	require.Contains(t, d.Timers, workflow.Timer{Key: "/(1)", Name: "timeout"})
}

func TestARunThatIsSuspendedEndsOnlyWhenItIsResumed(t *testing.T) {
	t.Parallel()
	signal := func(s string) workflow.Event { return workflow.Event{Kind: workflow.EventSignal, Signal: s} }
	for name, end := range map[string]workflow.Event{
		"resumed": signal(workflow.SignalResume), "stopped": signal(workflow.SignalStop), "terminated": signal(workflow.SignalTerminate),
		"too late": {Kind: workflow.EventTimer, Key: workflow.Root, Timer: "deadline"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, plain)
			e.turn()
			e.turn(signal(workflow.SignalSuspend))
			d := e.turn(e.answer(workflow.Root))
			require.False(t, d.Finished())
			require.Equal(t, spec.WorkflowRunning, d.State.Phase)
			require.False(t, e.turn(workflow.Event{Kind: workflow.EventLocks}).Finished())
			d = e.turn(end)
			require.True(t, d.Finished())
			require.Equal(t, spec.WorkflowSucceeded, d.State.Phase, "all had ended well")
			require.False(t, d.State.Over)
		})
	}
	e := newEngine(t, plain)
	e.turn()
	e.turn(signal(workflow.SignalSuspend))
	require.True(t, e.turn(signal(workflow.SignalResume), e.answer(workflow.Root)).Finished())
}
