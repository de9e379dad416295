package workflow_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

const plain = `
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: wf}
spec:
  entrypoint: main
  priority: 5
  templates:
  - {name: main, container: {image: busybox}}
`

// placed is an engine whose run needs a place, and has asked for one.
func placed(t *testing.T, text string) *engine {
	t.Helper()
	e := newEngine(t, text)
	e.view.Limits.Places = true
	d := e.turn()
	require.Equal(t, &workflow.Orders{Priority: 5, Place: workflow.LockAsk}, d.Orders)
	require.Empty(t, d.Dispatch)
	status := workflow.Status(e.view, nil)
	require.Equal(t, spec.WorkflowPending, status.Phase)
	require.Equal(t, "Workflow processing has been postponed because too many workflows are already running", status.Message)
	require.True(t, status.StartedAt.IsZero())
	require.Nil(t, status.Synchronization)
	return e
}

func TestARunThatNeedsAPlaceBeginsWhenItHasOne(t *testing.T) {
	t.Parallel()
	e := placed(t, plain)
	look := e.turn(workflow.Event{Kind: workflow.EventLocks})
	require.Equal(t, workflow.LockAsk, look.Orders.Place, "it asks again, should that have got lost")
	require.True(t, look.Orders.All)

	d := e.turn(grantedTo(workflow.RunPlace))
	require.Equal(t, workflow.LockHold, d.Orders.Place)
	require.Equal(t, []workflow.Key{workflow.Root}, d.Dispatch)
	require.Equal(t, spec.WorkflowRunning, e.view.State.Phase)
	require.Empty(t, e.view.State.Message)
	require.Equal(t, workflow.LockHold, e.turn(grantedTo(workflow.RunPlace)).Orders.Place, "it is told again")
	require.True(t, e.turn(e.answer(workflow.Root)).Finished())

	e.takeUp(workflow.Again{Keys: []workflow.Key{workflow.Root}})
	require.Equal(t, workflow.LockAsk, e.turn().Orders.Place, "a run that is taken up again needs one, too")
	require.Nil(t, e.turn(grantedTo(workflow.RunPlace)).Orders, "a grant to its life before is none")
	again := grantedTo(workflow.RunPlace)
	again.Lock.Life = 1
	require.Equal(t, []workflow.Key{workflow.Root}, e.turn(again).Dispatch)
}

func TestARunTakesItsPlaceBeforeItsLocks(t *testing.T) {
	t.Parallel()
	e := placed(t, plain+"  synchronization: {mutexes: [{name: m}]}\n")
	d := e.turn(grantedTo(workflow.RunPlace))
	require.Equal(t, workflow.LockHold, d.Orders.Place)
	require.Equal(t, workflow.RunLock, d.Orders.Ops[0].Key)
	require.Empty(t, d.Dispatch)
	require.Equal(t, spec.WorkflowPending, e.view.State.Phase)
	require.Equal(t, []workflow.Key{workflow.Root}, e.turn(grantedTo(workflow.RunLock)).Dispatch)
}

func TestAGrantedPlaceThatNobodyWantsIsGivenBack(t *testing.T) {
	t.Parallel()
	e := newEngine(t, plain)
	e.turn()
	require.Equal(t, workflow.LockFree, e.turn(grantedTo(workflow.RunPlace)).Orders.Place)
}

func TestARunThatIsStoppedWhileItWaitsForItsPlaceNeverBegins(t *testing.T) {
	t.Parallel()
	e := placed(t, plain)
	require.True(t, e.turn(stop).Finished())
	require.Equal(t, spec.WorkflowFailed, e.view.State.Phase)
	require.Equal(t, "Stopped with strategy 'Stop'", e.view.State.Message)
	require.True(t, e.view.State.Locked, "it is given back with the run's end")
}

func TestARunThatIsSuspendedWhileItWaitsForItsPlaceBeginsSuspended(t *testing.T) {
	t.Parallel()
	e := placed(t, plain)
	e.turn(workflow.Event{Kind: workflow.EventSignal, Signal: workflow.SignalSuspend})
	require.Empty(t, e.turn(grantedTo(workflow.RunPlace)).Dispatch)
	require.True(t, e.view.State.Suspended)
	require.Equal(t, []workflow.Key{workflow.Root}, e.turn(workflow.Event{Kind: workflow.EventSignal, Signal: workflow.SignalResume}).Dispatch)
}
