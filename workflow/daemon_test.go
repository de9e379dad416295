package workflow_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// daemonHead begins the workflows of these tests.
var daemonHead = head + `
  - name: server
    daemon: true
    container: {image: busybox, command: [serve]}
  - name: twice
    daemon: true
    retryStrategy: {limit: "1"}
    container: {image: busybox, command: [serve]}
  - name: backed-off
    daemon: true
    retryStrategy: {limit: "3", backoff: {duration: "60"}}
    container: {image: busybox, command: [serve]}
`

// acts echoes, and has servers serve.
func acts(n *workflow.Node, tmpl *spec.Template) *workflow.Result {
	if n.IsDaemon() {
		return succeed(n, tmpl)
	}
	return echo(n, tmpl)
}

func newDaemons(t *testing.T, body string) *engine {
	t.Helper()
	e := newEngine(t, daemonHead+body)
	e.act = acts
	return e
}

// await takes turns until only what is left of the queue is of the node.
func (e *engine) await(name string) {
	e.t.Helper()
	if e.view.State.Phase == "" {
		e.turn()
	}
	for range 100 {
		for i, k := range e.queue {
			if k.Name("wf") == name {
				continue
			}
			e.queue = append(e.queue[:i:i], e.queue[i+1:]...)
			e.turn(e.answer(k))
			break
		}
		if len(e.queue) == 1 && e.queue[0].Name("wf") == name {
			return
		}
	}
	require.Fail(e.t, "it does not come to this", "%s in\n%s", name, e.dump())
}

// dies has a daemon end by itself.
func (e *engine) dies(name string, phase spec.NodePhase) *workflow.Delta {
	e.t.Helper()
	k := e.node(name).Key
	require.True(e.t, e.serving[k], "%s does not serve", name)
	delete(e.serving, k)
	return e.turn(workflow.Event{Kind: workflow.EventResult, Key: k, Result: &workflow.Result{Phase: phase, Message: "gone"}})
}

const twoSteps = `
  - name: main
    steps:
    - - {name: server, template: SERVER}
    - - {name: client, template: echo, arguments: {parameters: [{name: text, value: "{{steps.server.ip}} {{steps.server.status}}"}]}}
`

func TestADaemonServesUntilItsScopeEnds(t *testing.T) {
	t.Parallel()
	for template, server := range map[string]string{"server": "wf[0].server", "twice": "wf[0].server(0)"} {
		t.Run(template, func(t *testing.T) {
			t.Parallel()
			e := newDaemons(t, strings.ReplaceAll(twoSteps, "SERVER", template))
			e.partial = true
			e.await("wf[1].client")
			nodes := workflow.Status(e.view, nil).Nodes
			for _, name := range []string{"wf[0].server", server} {
				ns := nodes[workflow.NodeID("wf", name)]
				require.Equal(t, spec.NodeRunning, ns.Phase, name)
				require.True(t, ns.Daemoned != nil && *ns.Daemoned, name)
				require.Equal(t, "10.0.0.1", ns.PodIP, name)
			}
			require.Equal(t, spec.NodeSucceeded, nodes[workflow.NodeID("wf", "wf[0]")].Phase, "its group")
			require.Equal(t, spec.Progress("0/2"), workflow.Status(e.view, nil).Progress)
			require.Equal(t, 1, e.view.State.InFlight, "a daemon that serves takes no place")

			d := e.turn(e.answer(e.queue[0]))
			require.True(t, d.Finished())
			require.Equal(t, []workflow.Key{e.node(server).Key}, d.End)
			require.Equal(t, spec.NodeSucceeded, e.node(server).Phase)
			require.Equal(t, "10.0.0.1 Running", *e.node("wf[1].client").Outputs.Result)
			ns := workflow.Status(e.view, nil).Nodes[workflow.NodeID("wf", "wf[0].server")]
			require.Nil(t, ns.Daemoned)
			require.Equal(t, spec.NodeSucceeded, ns.Phase)
			require.False(t, ns.FinishedAt.IsZero())
			require.Equal(t, spec.Progress("2/2"), workflow.Status(e.view, nil).Progress)
		})
	}
}

func TestDaemonsInWorkflowsThatEndByThemselves(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body  string
		phase spec.WorkflowPhase
		nodes map[string]string
	}{
		"what depends on it": {`
  - name: main
    dag:
      tasks:
      - {name: s, template: server}
      - {name: bare, template: echo, depends: s}
      - {name: list, template: echo, dependencies: [s]}
      - {name: daemoned, template: echo, depends: s.Daemoned}
      - {name: succeeded, template: echo, depends: s.Succeeded}
      - {name: after, template: echo, depends: bare.Succeeded && s}
`, "Succeeded", map[string]string{
			"wf.s": "Succeeded", "wf.bare": "Succeeded", "wf.list": "Succeeded", "wf.daemoned": "Succeeded", "wf.succeeded": "Omitted", "wf.after": "Succeeded",
		}},
		"a task that nothing depends on": {`
  - name: main
    dag: {tasks: [{name: s, template: server}, {name: a, template: echo}]}
`, "Succeeded", map[string]string{"wf.s": "Succeeded", "wf.a": "Succeeded"}},
		"nothing else": {"\n  - name: main\n    steps: [[{name: s, template: server}]]\n", "Succeeded", map[string]string{"wf[0].s": "Succeeded"}},
		"of a scope within another": {`
  - name: main
    steps:
    - - {name: inner, template: inner}
    - - {name: after, template: echo}
  - name: inner
    dag: {tasks: [{name: s, template: server}, {name: a, template: echo, depends: s}]}
`, "Succeeded", map[string]string{"wf[0].inner": "Succeeded", "wf[0].inner.s": "Succeeded", "wf[1].after": "Succeeded"}},
		"for a scope within its own": {`
  - name: main
    steps:
    - - {name: s, template: server}
    - - {name: inner, template: inner, arguments: {parameters: [{name: ip, value: "{{steps.s.ip}}"}]}}
  - name: inner
    inputs: {parameters: [{name: ip}]}
    steps: [[{name: a, template: echo, arguments: {parameters: [{name: text, value: "{{inputs.parameters.ip}}"}]}}]]
`, "Succeeded", map[string]string{"wf[1].inner[0].a": "Succeeded"}},
		"a loop of them": {`
  - name: main
    dag:
      tasks:
      - {name: s, template: twice, withItems: [a, b]}
      - {name: a, template: echo, depends: s}
`, "Succeeded", map[string]string{"wf.s": "Succeeded", "wf.s(0:a)": "Succeeded", "wf.s(1:b)(0)": "Succeeded", "wf.a": "Succeeded"}},
		"where one may run at a time": {`
  - name: main
    parallelism: 1
    steps:
    - - {name: s, template: server}
    - - {name: a, template: echo}
      - {name: b, template: echo}
`, "Succeeded", map[string]string{"wf[1].b": "Succeeded"}},
		"with hooks": {`
  - name: main
    steps:
    - - name: s
        template: server
        onExit: echo
        hooks: {runs: {template: echo, expression: 'steps.s.status == "Running"'}, ends: {template: echo, expression: 'steps.s.status == "Succeeded"'}}
    - - {name: a, template: echo}
`, "Succeeded", map[string]string{"wf[0].s": "Succeeded", "wf[0].s.hooks.runs": "Succeeded", "wf[1].a": "Succeeded"}},
		"as a hook": {`
  - name: main
    steps:
    - - {name: a, template: echo, onExit: server}
    - - {name: b, template: echo}
`, "Succeeded", map[string]string{"wf[0].a.onExit": "Succeeded", "wf[1].b": "Succeeded"}},
		"as a hook of what is tried again": {`
  - name: main
    steps: [[{name: a, template: flaky, onExit: twice}], [{name: b, template: echo}]]
  - name: flaky
    retryStrategy: {limit: "1"}
    container: {image: busybox, args: ["exit 1"]}
`, "Failed", map[string]string{"wf[0].a": "Failed", "wf[0].a.onExit": "Succeeded", "wf[0].a.onExit(0)": "Succeeded"}},
		"in a scope that fails": {`
  - name: main
    steps:
    - - {name: s, template: server}
    - - {name: a, template: echo, arguments: {parameters: [{name: text, value: exit 1}]}}
`, "Failed", map[string]string{"wf": "Failed", "wf[0].s": "Succeeded", "wf[1].a": "Failed"}},
		"in a scope that is tried again": {`
  - name: main
    retryStrategy: {limit: "1"}
    steps:
    - - {name: s, template: server}
    - - {name: a, template: echo, arguments: {parameters: [{name: text, value: exit 1}]}}
`, "Failed", map[string]string{"wf(0)[0].s": "Succeeded", "wf(1)[0].s": "Succeeded"}},
		"as the entrypoint": {"\n  - name: main\n    daemon: true\n    container: {image: busybox, command: [serve]}\n", "Succeeded", map[string]string{"wf": "Succeeded"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(20) {
				e := newDaemons(t, tt.body)
				e.partial = seed%2 == 0
				e.run(shuffled(seed))
				require.Equal(t, tt.phase, e.view.State.Phase, e.dump())
				require.Subset(t, e.phases(), tt.nodes)
				require.NotContains(t, e.phases(), "wf[0].s.onExit")
				require.NotContains(t, e.phases(), "wf[0].s.hooks.ends")
				require.Equal(t, e.view.State.Total, e.view.State.Done)
			}
		})
	}
}

func TestAWorkflowsParallelismHasRoomBesideADaemon(t *testing.T) {
	t.Parallel()
	e := newEngine(t, strings.Replace(daemonHead, "entrypoint: main", "entrypoint: main\n  parallelism: 1", 1)+strings.ReplaceAll(twoSteps, "SERVER", "server"))
	e.act = acts
	e.run(inOrder)
	require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase)
}

func TestADaemonThatEndsByItselfFailed(t *testing.T) {
	t.Parallel()
	for _, phase := range []spec.NodePhase{spec.NodeSucceeded, spec.NodeFailed} {
		t.Run("after it served, "+string(phase), func(t *testing.T) {
			t.Parallel()
			e := newDaemons(t, strings.ReplaceAll(twoSteps, "SERVER", "server"))
			e.await("wf[1].client")
			e.dies("wf[0].server", phase)
			e.run(inOrder)
			require.Equal(t, spec.NodeFailed, e.node("wf[0].server").Phase)
			require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase, "what it was for went on")
		})
	}
	t.Run("before it served", func(t *testing.T) {
		t.Parallel()
		e := newDaemons(t, strings.ReplaceAll(twoSteps, "SERVER", "server"))
		e.turn()
		d := e.turn(workflow.Event{Kind: workflow.EventResult, Key: e.queue[0], Result: &workflow.Result{Phase: spec.NodeSucceeded}})
		require.True(t, d.Finished())
		require.Equal(t, spec.NodeFailed, e.node("wf[0].server").Phase)
		require.Equal(t, spec.WorkflowFailed, e.view.State.Phase)
	})
	t.Run("in the group that runs", func(t *testing.T) {
		t.Parallel()
		e := newDaemons(t, "\n  - name: main\n    steps: [[{name: s, template: server}, {name: a, template: echo}], [{name: b, template: echo}]]\n")
		e.await("wf[0].a")
		e.dies("wf[0].s", spec.NodeFailed)
		e.run(inOrder)
		require.Equal(t, spec.WorkflowFailed, e.view.State.Phase)
		require.Equal(t, "child '"+workflow.NodeID("wf", "wf[0].s")+"' failed", e.view.State.Message)
		require.NotContains(t, e.phases(), "wf[1].b")
	})
	t.Run("and is tolerated", func(t *testing.T) {
		t.Parallel()
		e := newDaemons(t, "\n  - name: main\n    steps: [[{name: s, template: server, continueOn: {failed: true}}, {name: a, template: echo}], [{name: b, template: echo}]]\n")
		e.await("wf[0].a")
		e.dies("wf[0].s", spec.NodeFailed)
		e.run(inOrder)
		require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase)
	})
	t.Run("as one of a loop that runs", func(t *testing.T) {
		t.Parallel()
		e := newDaemons(t, "\n  - name: main\n    dag: {tasks: [{name: s, template: server, withItems: [a, b]}, {name: a, template: echo, depends: s}]}\n")
		e.await("wf.s(1:b)")
		e.dies("wf.s(0:a)", spec.NodeFailed)
		e.run(inOrder)
		require.Subset(t, e.phases(), map[string]string{"wf.s": "Failed", "wf.s(0:a)": "Failed", "wf.s(1:b)": "Succeeded", "wf.a": "Omitted"})
		require.Equal(t, spec.WorkflowFailed, e.view.State.Phase)
	})
	t.Run("as a target", func(t *testing.T) {
		t.Parallel()
		e := newDaemons(t, "\n  - name: main\n    dag: {tasks: [{name: s, template: server}, {name: a, template: echo}, {name: b, template: echo, depends: a}]}\n")
		e.await("wf.a")
		e.dies("wf.s", spec.NodeFailed)
		e.run(inOrder)
		require.NotContains(t, e.phases(), "wf.b", "the dag fails fast")
		require.Equal(t, spec.WorkflowFailed, e.view.State.Phase)
	})
	t.Run("while something waits for more than it", func(t *testing.T) {
		t.Parallel()
		e := newDaemons(t, "\n  - name: main\n    dag: {tasks: [{name: s, template: server}, {name: a, template: echo}, {name: b, template: echo, depends: a && s}]}\n")
		e.await("wf.a")
		e.dies("wf.s", spec.NodeFailed)
		e.run(inOrder)
		require.Equal(t, "Omitted", e.phases()["wf.b"])
		require.Equal(t, spec.WorkflowFailed, e.view.State.Phase)
	})
}

func TestADaemonIsTriedAgainWhileItsScopeLives(t *testing.T) {
	t.Parallel()
	e := newDaemons(t, strings.ReplaceAll(twoSteps, "SERVER", "twice"))
	e.await("wf[1].client")
	d := e.dies("wf[0].server(0)", spec.NodeFailed)
	require.Equal(t, []workflow.Key{e.node("wf[0].server(1)").Key}, d.Dispatch)
	require.Equal(t, spec.NodeRunning, e.node("wf[0].server").Phase)
	d = e.turn(workflow.Event{Kind: workflow.EventReady, Key: d.Dispatch[0], Ready: &workflow.Ready{Address: "10.0.0.2"}})
	require.False(t, d.Finished())
	require.Equal(t, "10.0.0.2", e.node("wf[0].server").Daemon.Address)
	e.serving[e.node("wf[0].server(1)").Key] = true
	e.queue = e.queue[:1]
	e.run(inOrder)
	require.Subset(t, e.phases(), map[string]string{"wf[0].server": "Succeeded", "wf[0].server(0)": "Failed", "wf[0].server(1)": "Succeeded", "wf": "Succeeded"})
}

func TestADaemonThatIsTriedOftenEnoughFailed(t *testing.T) {
	t.Parallel()
	e := newDaemons(t, strings.ReplaceAll(twoSteps, "SERVER", "twice"))
	e.await("wf[1].client")
	e.dies("wf[0].server(0)", spec.NodeFailed)
	e.await("wf[1].client")
	e.dies("wf[0].server(1)", spec.NodeFailed)
	e.run(inOrder)
	require.Equal(t, "No more retries left", e.node("wf[0].server").Message)
	require.Subset(t, e.phases(), map[string]string{"wf[0].server": "Failed", "wf[1].client": "Succeeded", "wf": "Succeeded"})
}

func TestAScopeEndsADaemonThatIsNotReadyAgain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		template string
		died     string
		ends     bool
	}{
		"its backoff":      {"backed-off", "wf[0].server(0)", false},
		"its next attempt": {"twice", "wf[0].server(1)", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newDaemons(t, strings.ReplaceAll(twoSteps, "SERVER", tt.template))
			e.await("wf[1].client")
			e.dies("wf[0].server(0)", spec.NodeFailed)
			d := e.turn(e.answer(e.node("wf[1].client").Key))
			require.True(t, d.Finished())
			require.Equal(t, spec.NodeSucceeded, e.node("wf[0].server").Phase)
			require.Equal(t, tt.ends, len(d.End) == 1)
			require.Zero(t, d.State.InFlight)
			require.Zero(t, d.State.Held)
			require.Equal(t, d.State.Total, d.State.Done)
		})
	}
}

func TestARunThatIsStoppedEndsItsDaemons(t *testing.T) {
	t.Parallel()
	for name, event := range map[string]workflow.Event{
		"stop":      stop,
		"terminate": {Kind: workflow.EventSignal, Signal: workflow.SignalTerminate},
		"deadline":  {Kind: workflow.EventTimer, Key: workflow.Root, Timer: "deadline"},
	} {
		for first, keys := range map[string][]string{"the client": {"wf[1].client", "wf[0].server"}, "the daemon": {"wf[0].server", "wf[1].client"}} {
			t.Run(name+", first "+first, func(t *testing.T) {
				t.Parallel()
				e := newDaemons(t, strings.ReplaceAll(twoSteps, "SERVER", "server"))
				e.await("wf[1].client")
				d := e.turn(event)
				require.True(t, d.CancelAll)
				for _, k := range keys {
					if !d.Finished() {
						delete(e.serving, e.node(k).Key)
						d = e.turn(workflow.Event{Kind: workflow.EventResult, Key: e.node(k).Key, Result: &workflow.Result{Phase: spec.NodeFailed, Message: "killed"}})
					}
				}
				require.True(t, d.Finished())
				require.Equal(t, spec.WorkflowFailed, e.view.State.Phase)
				require.Equal(t, spec.NodeSucceeded, e.node("wf[0].server").Phase)
				require.Empty(t, e.node("wf[0].server").Message)
				require.Zero(t, e.view.State.InFlight)
			})
		}
	}
}

func TestADaemonThatIsReadyWhileTheRunEndsIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	e := newDaemons(t, strings.ReplaceAll(twoSteps, "SERVER", "server"))
	e.turn()
	k := e.queue[0]
	e.turn(stop)
	d := e.turn(e.answer(k))
	require.False(t, d.Finished(), "its worker was told to end it, and tells how that went")
	delete(e.serving, k)
	d = e.turn(workflow.Event{Kind: workflow.EventResult, Key: k, Result: &workflow.Result{Phase: spec.NodeFailed}})
	require.True(t, d.Finished())
	require.Equal(t, spec.NodeFailed, e.node("wf[0].server").Phase)
}

// Its server would be missing else.
func TestAScopeWithDaemonsIsTakenUpAgainAsAWhole(t *testing.T) {
	t.Parallel()
	e := newDaemons(t, `
  - name: main
    steps:
    - - {name: s, template: server}
    - - {name: a, template: echo}
    - - {name: b, template: echo, arguments: {parameters: [{name: text, value: "exit 1"}]}}
`)
	e.run(inOrder)
	require.Equal(t, spec.WorkflowFailed, e.view.State.Phase)
	e.takeUp(workflow.Again{})
	ran := map[string]bool{}
	e.act = func(n *workflow.Node, _ *spec.Template) *workflow.Result {
		ran[n.Key.Name("wf")] = true
		return succeed(n, nil)
	}
	e.run(inOrder)
	require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase)
	require.Equal(t, map[string]bool{"wf[0].s": true, "wf[1].a": true, "wf[2].b": true}, ran)
}

func TestALoopOfDaemonsIsNoChunk(t *testing.T) {
	t.Parallel()
	e := newDaemons(t, "\n  - name: main\n    steps: [[{name: s, template: server, withSequence: {count: \"3\"}}]]\n")
	e.view.Limits.ChunkFrom = 1
	e.turn()
	require.Len(t, e.queue, 3)
}
