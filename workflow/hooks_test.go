package workflow_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// hooked is a workflow whose only step fails or not, with hooks around.
func hooked(level, hooks string) string {
	return `
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: wf}
spec:
  entrypoint: main
` + level + `
  templates:
  - name: echo
    inputs: {parameters: [{name: text, default: hi}]}
    outputs: {parameters: [{name: out, valueFrom: {path: /tmp/out}}]}
    container: {image: busybox, command: [echo], args: ["{{inputs.parameters.text}}"]}
  - name: flaky
    retryStrategy: {limit: 1}
    inputs: {parameters: [{name: text, default: hi}]}
    container: {image: busybox, command: [echo], args: ["{{inputs.parameters.text}}"]}
  - name: told
    container: {image: busybox, command: [echo], args: ["{{workflow.status}} {{workflow.failures}}"]}
  - name: main
    ` + hooks + "\n"
}

func TestExitHandlersRunAfterWhatTheyBelongTo(t *testing.T) {
	t.Parallel()
	const ok, bad = "text, value: fine", "text, value: exit 1"
	step := func(args, hooks string) string {
		return "steps: [[{name: a, template: echo, arguments: {parameters: [{name: " + args + "}]}, " + hooks + "}], [{name: b, template: echo}]]"
	}
	tests := map[string]struct {
		text    string
		phase   spec.WorkflowPhase
		message string
		nodes   map[string]string
	}{
		"of the workflow": {hooked("  onExit: echo", step(ok, "")), "Succeeded", "", map[string]string{"wf.onExit": "Succeeded"}},
		"of a failed workflow": {hooked("  onExit: echo", step(bad, "")), "Failed", "child 'wf-3986212215' failed",
			map[string]string{"wf.onExit": "Succeeded"}},
		"as a hook": {hooked("  hooks: {exit: {template: echo, arguments: {parameters: [{name: text, value: exit 3}]}}}", step(ok, "")), "Failed", "Error (exit code 3)",
			map[string]string{"wf": "Succeeded", "wf.onExit": "Failed"}},
		"of a step":          {hooked("", step(ok, "onExit: echo")), "Succeeded", "", map[string]string{"wf[0].a.onExit": "Succeeded", "wf[1].b": "Succeeded"}},
		"of a failed step":   {hooked("", step(bad, "onExit: echo")), "Failed", "child 'wf-3986212215' failed", map[string]string{"wf[0].a.onExit": "Succeeded"}},
		"of a skipped step":  {hooked("", step(ok, "when: 1 == 2, onExit: echo")), "Succeeded", "", map[string]string{"wf[0].a": "Skipped"}},
		"that fail":          {hooked("", step(ok, "hooks: {exit: {template: echo, arguments: {parameters: [{name: text, value: exit 1}]}}}")), "Succeeded", "", map[string]string{"wf[0].a.onExit": "Failed", "wf[1].b": "Succeeded"}},
		"with own outputs":   {hooked("", step(ok, `hooks: {exit: {template: echo, arguments: {parameters: [{name: text, value: "exit {{steps.a.outputs.result}}"}]}}}`)), "Succeeded", "", map[string]string{"wf[0].a.onExit": "Failed"}},
		"without an output":  {hooked("", step(bad, `hooks: {exit: {template: echo, arguments: {parameters: [{name: text, value: "{{steps.a.outputs.parameters.out}}"}]}}}`)), "Failed", "child 'wf-3986212215' failed", map[string]string{"wf[0].a.onExit": "Error"}},
		"of a retry":         {hooked("", "steps: [[{name: a, template: flaky, onExit: flaky}]]"), "Succeeded", "", map[string]string{"wf[0].a(0)": "Succeeded", "wf[0].a.onExit": "Succeeded", "wf[0].a.onExit(0)": "Succeeded"}},
		"of each item":       {hooked("", "dag: {tasks: [{name: a, template: echo, withItems: [x, z], onExit: echo}]}"), "Succeeded", "", map[string]string{"wf.a(0:x).onExit": "Succeeded", "wf.a(1:z).onExit": "Succeeded"}},
		"that know the item": {hooked("", `dag: {tasks: [{name: a, template: echo, withItems: [1], hooks: {exit: {template: echo, arguments: {parameters: [{name: text, value: "exit {{item}}"}]}}}}]}`), "Succeeded", "", map[string]string{"wf.a(0:1).onExit": "Failed"}},
		"before dependents":  {hooked("", "dag: {tasks: [{name: a, template: echo, onExit: echo}, {name: b, template: echo, dependencies: [a]}]}"), "Succeeded", "", map[string]string{"wf.a.onExit": "Succeeded", "wf.b": "Succeeded"}},
		"only if they want":  {hooked("", step(ok, `hooks: {exit: {template: echo, expression: 'steps.a.status == "Failed"'}}`)), "Succeeded", "", map[string]string{"wf[0].a": "Succeeded"}},
		"hook of a step": {hooked("", step(bad, `hooks: {no: {template: echo, expression: 'steps.a.status == "Succeeded"'}, bad: {template: echo, expression: 'steps["a"].status == "Failed"'}, running: {template: echo, expression: 'steps.a.status == "Running"'}}`)),
			"Failed", "child 'wf-3986212215' failed", map[string]string{"wf[0].a.hooks.bad": "Succeeded", "wf[0].a.hooks.running": "Succeeded"}},
		"hook of the workflow": {hooked(`  hooks: {running: {template: echo, expression: workflow.status == "Running"}, done: {template: echo, expression: workflow.status == "Succeeded"}, never: {template: echo, expression: workflow.status == "Error"}}`, step(ok, "")),
			"Succeeded", "", map[string]string{"wf.hooks.running": "Succeeded", "wf.hooks.done": "Succeeded"}},
		"hook that is wrong": {hooked("", step(ok, `hooks: {h: {template: echo, expression: "1 + 'a'"}}`)), "Succeeded", "", map[string]string{"wf[0].a.hooks.h": "Error"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, partial := range []bool{false, true} {
				e := newEngine(t, tt.text)
				e.act, e.partial = echo, partial
				e.run(inOrder)
				require.Equal(t, tt.phase, e.view.State.Phase, e.dump())
				require.Equal(t, tt.message, e.view.State.Message)
				hooks := 0
				for node, phase := range tt.nodes {
					require.Equal(t, phase, e.phases()[node], "%s in\n%s", node, e.dump())
				}
				for _, n := range requireWholeGraph(t, e.view).Nodes {
					if n.NodeFlag != nil && n.NodeFlag.Hooked {
						require.Contains(t, tt.nodes, n.Name)
						hooks++
					}
				}
				require.Equal(t, e.view.State.Total, e.view.State.Done)
			}
		})
	}
}

func TestAnExitHandlerKnowsHowTheRunWent(t *testing.T) {
	t.Parallel()
	e := newEngine(t, hooked("  onExit: told", "steps: [[{name: a, template: echo, arguments: {parameters: [{name: text, value: exit 1}]}}]]"))
	e.partial = true
	var told string
	e.act = func(n *workflow.Node, tmpl *spec.Template) *workflow.Result {
		if n.Template == "told" {
			told = tmpl.Container.Args[0]
		}
		return echo(n, tmpl)
	}
	e.run(inOrder)
	require.Contains(t, told, `Failed "[{\"displayName\":\"wf\",\"message\":\"child 'wf-3986212215' failed\",\"templateName\":\"main\",\"phase\":\"Failed\",\"podName\":\"wf\"`)
	require.Contains(t, told, `{\"displayName\":\"a\",\"message\":\"Error (exit code 1)\",\"templateName\":\"echo\",\"phase\":\"Failed\",\"podName\":\"wf-echo-3986212215\",\"finishedAt\":\"2026-01-02T03:`)
}

func TestAStopLeavesExitHandlersAndATerminateDoesNot(t *testing.T) {
	t.Parallel()
	deadline := workflow.Event{Kind: workflow.EventTimer, Key: workflow.Root, Timer: "deadline"}
	terminate := workflow.Event{Kind: workflow.EventSignal, Signal: workflow.SignalTerminate}
	for name, tt := range map[string]struct {
		end   workflow.Event
		exits bool
	}{"stop": {stop, true}, "deadline": {deadline, true}, "terminate": {terminate, false}} {
		e := newEngine(t, hooked("  onExit: echo", "steps: [[{name: a, template: echo, onExit: echo}, {name: b, template: echo, onExit: echo}], [{name: c, template: echo}]]"))
		e.act = echo
		e.turn()
		a := e.answer("/[0].a")
		e.turn(a) // its exit handler runs when the run is ended
		e.queue = nil
		d := e.turn(tt.end)
		require.True(t, d.CancelAll, name)
		require.Equal(t, tt.exits, d.SpareExit, name)
		killed := workflow.Event{Kind: workflow.EventResult, Result: &workflow.Result{Phase: spec.NodeFailed, Message: "killed"}}
		killed.Key = "/[0].b"
		d = e.turn(killed)
		want := []workflow.Key{"/[0].b/!onExit"}
		if !tt.exits {
			want = nil
		}
		require.Equal(t, want, d.Dispatch, name)
		killed.Key = "/[0].a/!onExit"
		e.turn(killed)
		if tt.exits {
			e.turn(e.answer("/[0].b/!onExit"))
			require.False(t, e.view.State.Finished != 0, e.dump())
			e.turn(e.answer("/!onExit"))
		}
		require.NotZero(t, e.view.State.Finished, "%s\n%s", name, e.dump())
		require.Equal(t, spec.WorkflowFailed, e.view.State.Phase)
		require.Equal(t, tt.exits, e.phases()["wf.onExit"] == "Succeeded", e.dump())
	}
}
