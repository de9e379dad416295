package workflow_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// lockbook plays the locks: it knows who has what and who waits.
type lockbook struct {
	t       *testing.T
	wants   map[workflow.Key][]workflow.LockRef
	order   []workflow.Key // that wait, the first first
	has     map[workflow.Key][]workflow.LockRef
	granted []workflow.Key // and not told yet
}

func newLockbook(t *testing.T) *lockbook {
	return &lockbook{t: t, wants: map[workflow.Key][]workflow.LockRef{}, has: map[workflow.Key][]workflow.LockRef{}}
}

// do does what a delta orders.
func (b *lockbook) do(o *workflow.Orders) {
	b.t.Helper()
	if o == nil {
		return
	}
	listed := map[workflow.Key]bool{}
	for _, op := range o.Ops {
		listed[op.Key] = true
		switch op.Do {
		case workflow.LockAsk:
			if b.wants[op.Key] == nil && b.has[op.Key] == nil {
				b.order = append(b.order, op.Key)
				b.wants[op.Key] = op.Locks
			}
		case workflow.LockHold:
			require.Contains(b.t, b.has, op.Key, "takes what it was not granted")
		case workflow.LockFree:
			b.free(op.Key)
		}
	}
	if o.All {
		for _, k := range append(slices.Collect(maps.Keys(b.has)), b.order...) {
			if !listed[k] {
				b.free(k)
			}
		}
		require.Len(b.t, o.Ops, len(b.has)+len(b.wants))
	}
	b.grant()
}

func (b *lockbook) free(k workflow.Key) {
	delete(b.has, k)
	delete(b.wants, k)
	b.order = slices.DeleteFunc(b.order, func(o workflow.Key) bool { return o == k })
}

func (b *lockbook) grant() {
	for _, k := range slices.Clone(b.order) {
		if slices.ContainsFunc(b.wants[k], func(l workflow.LockRef) bool { return b.held(l.ID()) >= l.Limit }) {
			continue
		}
		b.has[k] = b.wants[k]
		delete(b.wants, k)
		b.order = slices.DeleteFunc(b.order, func(o workflow.Key) bool { return o == k })
		b.granted = append(b.granted, k)
	}
}

func (b *lockbook) held(id string) (n int) {
	for _, locks := range b.has {
		for _, l := range locks {
			if l.ID() == id {
				n++
			}
		}
	}
	return n
}

// tell takes the first that was granted.
func (b *lockbook) tell() workflow.Event {
	k := b.granted[0]
	b.granted = b.granted[1:]
	return grantedTo(k)
}

func grantedTo(k workflow.Key) workflow.Event {
	return workflow.Event{Kind: workflow.EventLock, Key: k, Lock: &workflow.LockAnswer{Granted: true}}
}

func waitsFor(k workflow.Key, lock string, free, limit int, holders ...string) workflow.Event {
	return workflow.Event{Kind: workflow.EventLock, Key: k, Lock: &workflow.LockAnswer{
		Name: lock, Free: free, Limit: limit, Holders: map[string][]string{lock: holders},
	}}
}

const locked = head + `
  - name: main
    steps:
    - - {name: a, template: one}
  - name: one
    synchronization:
      mutexes: [{name: "m-{{workflow.name}}"}, {name: m2, namespace: other, database: true}, {name: m2, namespace: other, database: true}]
      semaphores: [{configMapKeyRef: {name: limits, key: s}}, {database: {key: d}}]
    container: {image: busybox}
`

// withLimits gives an engine what limits semaphores.
func (e *engine) withLimits() *engine {
	e.view.ConfigMaps = map[string]*workflow.ConfigMap{"limits": {Data: map[string]string{"s": "2", "bad": "many"}, Version: 7}}
	e.view.SyncLimits = map[string]*workflow.SyncLimit{"default/d": {Limit: 3, Version: 8}}
	return e
}

func TestALeafWaitsForAllItsLocksAndGivesThemBack(t *testing.T) {
	t.Parallel()
	const k = workflow.Key("/[0].a")
	e := newEngine(t, locked).withLimits()
	d := e.turn()
	require.Empty(t, d.Dispatch)
	require.Equal(t, []workflow.LockOp{{Do: workflow.LockAsk, Key: k, Locks: []workflow.LockRef{
		{Name: "default/ConfigMap/limits/s", Limit: 2, Version: 7},
		{Name: "default/Database/d", Database: true, Limit: 3, Version: 8},
		{Name: "default/Mutex/m-wf", Mutex: true, Limit: 1},
		{Name: "other/Database/m2", Mutex: true, Database: true, Limit: 1},
	}}}, d.Orders.Ops)

	d = e.turn(waitsFor(k, "default/Mutex/m-wf", 0, 1, "default/else/else-1"))
	require.Empty(t, d.Dispatch)
	n := e.node("wf[0].a")
	require.Equal(t, "Waiting for default/Mutex/m-wf lock. Lock status: 0/1", n.Message)
	require.Equal(t, spec.NodePending, n.Phase)
	status := workflow.Status(e.view, nil)
	require.Equal(t, "default/Mutex/m-wf", status.Nodes[k.ID("wf")].SynchronizationStatus.Waiting)
	require.Equal(t, []spec.MutexHolding{{Mutex: "default/Mutex/m-wf", Holder: "default/else/else-1"}, {Mutex: "other/Database/m2"}}, status.Synchronization.Mutex.Waiting)
	require.Len(t, status.Synchronization.Semaphore.Waiting, 2)

	d = e.turn(grantedTo(k))
	require.Equal(t, []workflow.Key{k}, d.Dispatch)
	require.Equal(t, workflow.LockHold, d.Orders.Ops[0].Do)
	require.Empty(t, e.node("wf[0].a").Message)
	status = workflow.Status(e.view, nil)
	require.Equal(t, []spec.SemaphoreHolding{
		{Semaphore: "default/ConfigMap/limits/s", Holders: []string{"default/wf/" + k.ID("wf")}},
		{Semaphore: "default/Database/d", Holders: []string{"default/wf/" + k.ID("wf")}},
	}, status.Synchronization.Semaphore.Holding)

	d = e.turn(grantedTo(k)) // told again
	require.Equal(t, workflow.LockHold, d.Orders.Ops[0].Do)
	require.Empty(t, d.Dispatch)

	d = e.turn(e.answer(k))
	require.Equal(t, []workflow.LockOp{{Do: workflow.LockFree, Key: k}}, d.Orders.Ops)
	require.True(t, d.Finished())
	require.Nil(t, workflow.Status(e.view, nil).Synchronization)
}

func TestARunWaitsPendingForItsOwnLocks(t *testing.T) {
	t.Parallel()
	const text = `
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: wf}
spec:
  entrypoint: main
  priority: 5
  synchronization: {mutexes: [{name: m}]}
  templates:
  - {name: main, container: {image: busybox}}
`
	begin := func(t *testing.T) *engine {
		e := newEngine(t, text)
		d := e.turn()
		require.Equal(t, &workflow.Orders{Priority: 5, Ops: []workflow.LockOp{
			{Do: workflow.LockAsk, Key: workflow.RunLock, Locks: []workflow.LockRef{{Name: "default/Mutex/m", Mutex: true, Limit: 1}}},
		}}, d.Orders)
		e.turn(waitsFor(workflow.RunLock, "default/Mutex/m", 0, 1, "default/other"))
		status := workflow.Status(e.view, nil)
		require.Equal(t, spec.WorkflowPending, status.Phase)
		require.True(t, status.StartedAt.IsZero())
		require.Equal(t, "Waiting for default/Mutex/m lock. Lock status: 0/1", status.Message)
		require.Equal(t, []spec.MutexHolding{{Mutex: "default/Mutex/m", Holder: "default/other"}}, status.Synchronization.Mutex.Waiting)
		return e
	}
	t.Run("it begins when it has them", func(t *testing.T) {
		t.Parallel()
		e := begin(t)
		require.Equal(t, []workflow.Key{workflow.Root}, e.turn(grantedTo(workflow.RunLock)).Dispatch)
		require.Equal(t, spec.WorkflowRunning, e.view.State.Phase)
		require.Empty(t, e.view.State.Message)
		require.Equal(t, []spec.MutexHolding{{Mutex: "default/Mutex/m", Holder: "default/wf"}}, workflow.Status(e.view, nil).Synchronization.Mutex.Holding)
		require.True(t, e.turn(e.answer(workflow.Root)).Finished())
	})
	t.Run("it never begins when it is stopped", func(t *testing.T) {
		t.Parallel()
		e := begin(t)
		d := e.turn(stop)
		require.True(t, d.Finished())
		require.Equal(t, spec.WorkflowFailed, e.view.State.Phase)
		require.Equal(t, "Stopped with strategy 'Stop'", e.view.State.Message)
		require.Equal(t, workflow.LockFree, d.Orders.Ops[0].Do)
	})
}

func TestLocksThatCannotBe(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, sync, want string }{
		{"no config map", "semaphores: [{configMapKeyRef: {name: none, key: s}}]", "failed to initialize semaphore default/ConfigMap/none/s with limit"},
		{"no such key", "semaphores: [{configMapKeyRef: {name: limits, key: none}}]", "failed to initialize semaphore default/ConfigMap/limits/none with limit"},
		{"no number", "semaphores: [{configMapKeyRef: {name: limits, key: bad}}]", "failed to initialize semaphore default/ConfigMap/limits/bad with limit"},
		{"no limit in the database", "semaphores: [{database: {key: none}}]", "failed to initialize semaphore default/Database/none with limit"},
		{"two sources", "semaphores: [{database: {key: d}, configMapKeyRef: {name: limits, key: s}}]", "requested configuration is invalid: invalid semaphore with both ConfigMapKeyRef and Database"},
		{"no source", "semaphores: [{namespace: x}]", "requested configuration is invalid: cannot get LockName for a Semaphore without a ConfigMapRef or Database"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, head+`
  - name: main
    steps: [[{name: a, template: one}]]
  - name: one
    synchronization: {`+test.sync+`}
    container: {image: busybox}
`).withLimits()
			e.view.ConfigMaps["none"], e.view.SyncLimits["default/none"] = nil, nil
			require.True(t, e.turn().Finished())
			n := e.node("wf[0].a")
			require.Equal(t, spec.NodeError, n.Phase)
			require.Equal(t, test.want, n.Message)
		})
	}
}

func TestAStepsTemplateHoldsItsLockForAllBelow(t *testing.T) {
	t.Parallel()
	for _, retry := range []string{"", "retryStrategy: {limit: 2}"} {
		e := newEngine(t, head+fmt.Sprintf(`
  - name: main
    steps: [[{name: a, template: all}]]
  - name: all
    synchronization: {mutexes: [{name: m}]}
    %s
    steps: [[{name: x, template: echo}], [{name: y, template: echo}]]
`, retry))
		e.turn()
		d := e.turn(grantedTo("/[0].a"))
		freed := 0
		for !d.Finished() {
			require.NotEmpty(t, e.queue)
			k := e.queue[0]
			e.queue = e.queue[1:]
			d = e.turn(e.answer(k))
			if d.Orders != nil {
				require.Equal(t, []workflow.LockOp{{Do: workflow.LockFree, Key: "/[0].a"}}, d.Orders.Ops)
				freed++
			}
		}
		require.Equal(t, 1, freed)
		require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase)
	}
}

func TestGrantsThatNobodyWantsAreGivenBack(t *testing.T) {
	t.Parallel()
	e := newEngine(t, locked).withLimits()
	e.turn()
	for _, k := range []workflow.Key{"/[9].none", workflow.RunLock} {
		require.Equal(t, []workflow.LockOp{{Do: workflow.LockFree, Key: k}}, e.turn(grantedTo(k)).Orders.Ops)
	}
	d := e.turn(workflow.Event{Kind: workflow.EventLocks})
	require.True(t, d.Orders.All)
	require.Equal(t, workflow.LockAsk, d.Orders.Ops[0].Do)
	d = e.turn(grantedTo("/[0].a"), workflow.Event{Kind: workflow.EventLocks})
	require.True(t, d.Orders.All)
	require.Len(t, d.Orders.Ops, 1)
	require.Equal(t, workflow.LockHold, d.Orders.Ops[0].Do)
}
