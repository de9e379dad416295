package workflow_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow/spec"
)

func TestAScopeRunsAsManyChildrenAsItsParallelismSays(t *testing.T) {
	t.Parallel()
	for name, scope := range map[string]string{
		"loop of steps": "steps: [[{name: a, template: echo, withItems: [1, 2, 3, 4, 5]}]]",
		"loop of a dag": "dag: {tasks: [{name: a, template: echo, withItems: [1, 2, 3, 4, 5]}]}",
		"steps":         "steps: [[{name: a, template: echo}, {name: b, template: echo}, {name: c, template: echo}, {name: d, template: echo}, {name: e, template: echo}]]",
		"dag":           "dag: {tasks: [{name: a, template: echo}, {name: b, template: echo}, {name: c, template: echo}, {name: d, template: echo}, {name: e, template: echo}]}",
	} {
		for _, partial := range []bool{false, true} {
			e := newEngine(t, head+"\n  - name: main\n    parallelism: 2\n    "+scope+"\n")
			e.partial = partial
			e.turn()
			for left := 5; left > 0; left-- {
				require.Len(t, e.queue, min(left, 2), name)
				k := e.queue[0]
				e.queue = e.queue[1:]
				e.turn(e.answer(k))
			}
			require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase, "%s\n%s", name, e.dump())
		}
	}
}

func TestUnderFailFastNothingStartsAfterAFailure(t *testing.T) {
	t.Parallel()
	const message = "template has failed or errored children and failFast enabled"
	for name, scope := range map[string]string{
		"loop of steps": `steps: [[{name: a, template: echo, withItems: ["0", "1", "0"], arguments: {parameters: [{name: text, value: "exit {{item}}"}]}}]]`,
		"loop of a dag": `dag: {tasks: [{name: a, template: echo, withItems: ["0", "1", "0"], arguments: {parameters: [{name: text, value: "exit {{item}}"}]}}]}`,
		"tolerated":     `steps: [[{name: a, template: echo, continueOn: {failed: true}, withItems: ["0", "1", "0"], arguments: {parameters: [{name: text, value: "exit {{item}}"}]}}]]`,
		"steps":         `steps: [[{name: a, template: echo}, {name: b, template: echo, arguments: {parameters: [{name: text, value: exit 1}]}}, {name: c, template: echo}]]`,
		"dag":           `dag: {failFast: false, tasks: [{name: a, template: echo}, {name: b, template: echo, arguments: {parameters: [{name: text, value: exit 1}]}}, {name: c, template: echo}]}`,
	} {
		e := newEngine(t, head+"\n  - name: main\n    parallelism: 1\n    failFast: true\n    "+scope+"\n")
		e.act = echo
		e.run(inOrder)
		require.Equal(t, spec.WorkflowFailed, e.view.State.Phase, name)
		require.Equal(t, message, e.view.State.Message, name)
		require.Equal(t, 2, e.view.State.Total, name)
	}
}

func TestAWorkflowsParallelismBoundsWhatIsInFlight(t *testing.T) {
	t.Parallel()
	e := newEngine(t, `
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: wf}
spec:
  entrypoint: main
  parallelism: 2
  templates:
  - name: main
    steps: [[{name: a, template: inner, withItems: [1, 2, 3]}]]
  - name: inner
    steps: [[{name: x, template: leaf}, {name: y, template: leaf}]]
  - name: leaf
    container: {image: busybox, command: [echo]}
`)
	d := e.turn()
	require.Len(t, e.queue, 2)
	require.Zero(t, d.Waiting(e.view.Plan), "more credit would not help")
	e.run(inOrder)
	require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase)
}

func TestADAGRunsWhatItsTargetsNeed(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]map[string]string{
		"e":   {"wf": "Succeeded", "wf.a": "Succeeded", "wf.c": "Succeeded", "wf.e": "Succeeded"},
		"b e": {"wf": "Succeeded", "wf.a": "Succeeded", "wf.b": "Succeeded", "wf.c": "Succeeded", "wf.e": "Succeeded"},
		"":    {"wf": "Failed", "wf.a": "Succeeded", "wf.b": "Succeeded", "wf.c": "Succeeded", "wf.d": "Failed", "wf.e": "Succeeded"},
		"f":   {"wf": "Error"},
	} {
		e := newEngine(t, head+`
  - name: main
    inputs: {parameters: [{name: target, value: "`+target+`"}]}
    dag:
      target: "{{inputs.parameters.target}}"
      tasks:
      - {name: a, template: echo}
      - {name: b, template: echo, dependencies: [a]}
      - {name: c, template: echo, dependencies: [a]}
      - {name: d, template: echo, dependencies: [b, c], arguments: {parameters: [{name: text, value: exit 1}]}}
      - {name: e, template: echo, dependencies: [c]}
`)
		e.act = echo
		e.run(inOrder)
		require.Equal(t, want, e.phases(), "target %q", target)
		requireWholeGraph(t, e.view)
	}
}

func TestALoopGoesOnInItsPlacesWhenAnotherTaskHasFailed(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		e := newEngine(t, head+`
  - name: main
    parallelism: 2
    dag:
      tasks:
      - {name: loop, template: echo, withItems: [a, b, c, d, e]}
      - {name: fails, template: echo, arguments: {parameters: [{name: text, value: exit 1}]}}
      - {name: never, template: echo, dependencies: [loop]}
`)
		e.act, e.partial = echo, seed%2 == 0
		e.run(shuffled(seed))
		require.Equal(t, spec.WorkflowFailed, e.view.State.Phase)
		require.GreaterOrEqual(t, e.view.State.Done, 6)
	}
}
