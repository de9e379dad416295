package workflow_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

func TestRunsEndAsArgoEndsThem(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		yaml    string
		phase   spec.WorkflowPhase
		message string
		nodes   map[string]string // a part of all
		absent  []string
	}{
		{
			name: "steps run in groups",
			yaml: `
  - name: main
    steps:
    - - {name: a, template: echo}
      - {name: b, template: echo}
    - - {name: c, template: echo}
`,
			phase: spec.WorkflowSucceeded,
			nodes: map[string]string{"wf[0].a": "Succeeded", "wf[0].b": "Succeeded", "wf[1].c": "Succeeded", "wf": "Succeeded"},
		},
		{
			name: "a failed step ends its group and fails the node",
			yaml: `
  - name: main
    steps:
    - - {name: a, template: echo, arguments: {parameters: [{name: text, value: exit 3}]}}
      - {name: b, template: echo}
    - - {name: c, template: echo}
`,
			phase: spec.WorkflowFailed, message: "child '" + workflow.NodeID("wf", "wf[0].a") + "' failed",
			nodes:  map[string]string{"wf[0].a": "Failed", "wf[0].b": "Succeeded"},
			absent: []string{"wf[1].c"},
		},
		{
			name: "continueOn tolerates a failure",
			yaml: `
  - name: main
    steps:
    - - {name: a, template: echo, continueOn: {failed: true}, arguments: {parameters: [{name: text, value: exit 3}]}}
    - - {name: c, template: echo}
`,
			phase: spec.WorkflowSucceeded,
			nodes: map[string]string{"wf[0].a": "Failed", "wf[1].c": "Succeeded"},
		},
		{
			name: "when skips",
			yaml: `
  - name: main
    steps:
    - - {name: flip, template: echo, arguments: {parameters: [{name: text, value: tails}]}}
    - - {name: heads, template: echo, when: "{{steps.flip.outputs.result}} == heads"}
      - {name: tails, template: echo, when: "{{steps.flip.outputs.result}} == tails"}
`,
			phase: spec.WorkflowSucceeded,
			nodes: map[string]string{"wf[1].heads": "Skipped", "wf[1].tails": "Succeeded"},
		},
		{
			name: "a dag releases tasks as their dependencies end",
			yaml: `
  - name: main
    dag:
      tasks:
      - {name: a, template: echo}
      - {name: b, template: echo, dependencies: [a]}
      - {name: c, template: echo, dependencies: [a]}
      - {name: d, template: echo, depends: "b && c"}
`,
			phase: spec.WorkflowSucceeded,
			nodes: map[string]string{"wf.a": "Succeeded", "wf.b": "Succeeded", "wf.c": "Succeeded", "wf.d": "Succeeded"},
		},
		{
			name: "a failed task omits what depends on it and fails the dag",
			yaml: `
  - name: main
    dag:
      tasks:
      - {name: a, template: echo, arguments: {parameters: [{name: text, value: exit 1}]}}
      - {name: b, template: echo, depends: a}
      - {name: c, template: echo, depends: b}
`,
			phase: spec.WorkflowFailed,
			nodes: map[string]string{"wf.a": "Failed", "wf.b": "Omitted", "wf.c": "Omitted"},
		},
		{
			name: "a failure that a dependent handles does not fail the dag",
			yaml: `
  - name: main
    dag:
      tasks:
      - {name: a, template: echo, arguments: {parameters: [{name: text, value: exit 1}]}}
      - {name: b, template: echo, depends: a.Failed}
`,
			phase: spec.WorkflowSucceeded,
			nodes: map[string]string{"wf.a": "Failed", "wf.b": "Succeeded"},
		},
		{
			name: "a loop expands and its results aggregate",
			yaml: `
  - name: main
    steps:
    - - {name: a, template: echo, withItems: [1, two, {k: v}], arguments: {parameters: [{name: text, value: "{{item}}"}]}}
    - - {name: b, template: echo, arguments: {parameters: [{name: text, value: "{{steps.a.outputs.result}}"}]}}
    - - {name: c, template: echo, withParam: "{{steps.a.outputs.parameters.out}}", arguments: {parameters: [{name: text, value: "{{item}}"}]}}
`,
			phase: spec.WorkflowSucceeded,
			nodes: map[string]string{
				"wf[0].a(0:1)": "Succeeded", "wf[0].a(1:two)": "Succeeded", "wf[0].a(2:k:v)": "Succeeded",
				"wf[2].c(0:1)": "Succeeded", "wf[2].c(1:two)": "Succeeded", `wf[2].c(2:{"k":"v"})`: "Succeeded",
			},
		},
		{
			name: "an empty loop is skipped",
			yaml: `
  - name: main
    steps:
    - - {name: a, template: echo, withParam: "[]"}
    - - {name: b, template: echo}
`,
			phase: spec.WorkflowSucceeded,
			nodes: map[string]string{"wf[0].a": "Skipped", "wf[1].b": "Succeeded"},
		},
		{
			name: "bad withParam JSON is an error, not a hang",
			yaml: `
  - name: main
    dag:
      tasks:
      - {name: a, template: echo, withParam: "nonsense"}
`,
			phase: spec.WorkflowError,
			nodes: map[string]string{"wf.a": "Error"},
		},
		{
			name: "a sequence counts backwards in its format",
			yaml: `
  - name: main
    steps:
    - - {name: a, template: echo, withSequence: {start: "3", end: "2", format: "n%02X"}}
`,
			phase: spec.WorkflowSucceeded,
			nodes: map[string]string{"wf[0].a(0:n03)": "Succeeded", "wf[0].a(1:n02)": "Succeeded"},
		},
		{
			name: "retries run out",
			yaml: `
  - name: main
    retryStrategy: {limit: 2}
    container: {image: busybox, command: [echo], args: ["exit 5"]}
`,
			phase: spec.WorkflowFailed, message: "No more retries left",
			nodes: map[string]string{"wf(0)": "Failed", "wf(1)": "Failed", "wf(2)": "Failed", "wf": "Failed"},
		},
		{
			name: "a missing argument ends the node as Error",
			yaml: `
  - name: needs
    inputs: {parameters: [{name: x}]}
    container: {image: busybox, command: [echo]}
  - name: main
    steps:
    - - {name: a, template: needs}
`,
			phase: spec.WorkflowFailed,
			nodes: map[string]string{"wf[0].a": "Error"},
		},
		{
			name: "recursion stops at its limit",
			yaml: `
  - name: main
    steps:
    - - {name: again, template: main}
`,
			phase: spec.WorkflowFailed,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, partial := range []bool{false, true} {
				for seed := range uint64(4) {
					e := newEngine(t, head+tt.yaml)
					e.act, e.partial = echo, partial
					e.run(shuffled(seed))
					require.Equal(t, tt.phase, e.view.State.Phase, e.view.State.Message)
					if tt.message != "" {
						require.Equal(t, tt.message, e.view.State.Message)
					}
					phases := e.phases()
					for name, phase := range tt.nodes {
						require.Equal(t, phase, phases[name], "node %s of\n%s", name, e.dump())
					}
					for _, name := range tt.absent {
						require.NotContains(t, phases, name)
					}
				}
			}
		})
	}
}

func TestOutputsTravel(t *testing.T) {
	t.Parallel()
	e := newEngine(t, head+`
  - name: inner
    inputs: {parameters: [{name: x}]}
    steps:
    - - {name: a, template: echo, arguments: {parameters: [{name: text, value: "<{{inputs.parameters.x}}>"}]}}
    outputs:
      parameters:
      - {name: y, globalName: world, valueFrom: {parameter: "{{steps.a.outputs.parameters.out}}"}}
      - {name: z, valueFrom: {expression: "steps.a.outputs.parameters.out + '!'"}}
  - name: main
    dag:
      tasks:
      - {name: one, template: inner, arguments: {parameters: [{name: x, value: 7}]}}
      - name: two
        template: echo
        depends: one
        arguments: {parameters: [{name: text, value: "{{tasks.one.outputs.parameters.z}} {{workflow.outputs.parameters.world}}"}]}
`)
	e.act = echo
	e.run(inOrder)
	require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase, e.dump())
	got, _ := e.node("wf.two").Inputs.Parameter("text")
	require.Equal(t, "<7>! <7>", got)
}

func TestGlobalNamesMayHoldInputs(t *testing.T) {
	t.Parallel()
	e := newEngine(t, head+`
  - name: file
    outputs: {artifacts: [{name: f, path: /f, s3: {key: k}}]}
    container: {image: busybox}
  - name: inner
    inputs: {parameters: [{name: x}]}
    steps:
    - - {name: a, template: file}
    outputs:
      parameters: [{name: p, value: "1 {{foreign}}", globalName: "p-{{inputs.parameters.x}}"}]
      artifacts: [{name: f, from: "{{steps.a.outputs.artifacts.f}}", globalName: "f-{{inputs.parameters.x}}"}]
  - name: main
    steps:
    - - {name: a, template: inner, arguments: {parameters: [{name: x, value: y}]}}
`)
	e.act = func(_ *workflow.Node, tmpl *spec.Template) *workflow.Result {
		return &workflow.Result{Phase: spec.NodeSucceeded, Outputs: &workflow.Values{Artifacts: tmpl.Outputs.Artifacts}}
	}
	e.run(inOrder)
	require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase, e.view.State.Message)
	t.Logf("%+v", e.view.State.Outputs)
	p, _ := e.view.State.Outputs.Parameter("p-y")
	require.Equal(t, "1 {{foreign}}", p)
	f, ok := e.view.State.Outputs.Artifact("f-y")
	require.True(t, ok)
	require.Equal(t, "k", f.S3.Key)
}

func TestASecondResultChangesNothing(t *testing.T) {
	t.Parallel()
	e := newEngine(t, head+`
  - name: main
    steps:
    - - {name: a, template: echo}
      - {name: b, template: echo}
`)
	e.turn()
	first := e.answer(e.queue[0])
	e.turn(first, first)
	state := e.view.State
	e.turn(first)
	require.Equal(t, state, e.view.State)
	require.Equal(t, 1, e.view.State.InFlight)
}

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

func TestArgumentsThatHaveNoValue(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`"{{tasks.skipped.outputs.parameters.out}}"`:             "hi", // the input's default
		`"<{{tasks.skipped.outputs.parameters.out}}>"`:           "",
		`"{{=tasks.skipped.outputs.parameters.out ?? 'other'}}"`: "other",
		`"{{custom}} {{ a.b }}"`:                                 "{{custom}} {{ a.b }}",
		`"{{custom}} {{workflow.name}}"`:                         "{{custom}} wf",
		`"{{custom}} {{tasks.skipped.nonsense}}"`:                "",
		`"{{workflow.outputs.parameters.none}}"`:                 "",
	} {
		e := newEngine(t, head+fmt.Sprintf(`
  - name: main
    dag:
      tasks:
      - {name: skipped, template: echo, when: 1 == 2}
      - {name: b, template: echo, depends: skipped, arguments: {parameters: [{name: text, value: %s}]}}
`, value))
		e.run(inOrder)
		b := e.node("wf.b")
		got, _ := b.Inputs.Parameter("text")
		require.Equal(t, want, got, "%s: %s", value, b.Message)
		require.Equal(t, want == "", b.Phase == spec.NodeError)
	}
	e := newEngine(t, head+`
  - name: needs
    inputs: {parameters: [{name: x}]}
    container: {image: busybox}
  - name: main
    dag:
      tasks:
      - {name: skipped, template: echo, when: 1 == 2}
      - {name: b, template: needs, depends: skipped, arguments: {parameters: [{name: x, value: "{{tasks.skipped.outputs.parameters.out}}"}]}}
`)
	e.run(inOrder)
	require.Contains(t, e.node("wf.b").Message, "inputs.parameters.x was not supplied: ")
	require.Contains(t, e.node("wf.b").Message, "absent optional")
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
	e := newEngine(t, head+`
  - name: main
    steps:
    - - {name: a, template: echo, withSequence: {count: "3"}}
`)
	e.view.Limits = workflow.Limits{InFlight: 1}
	e.turn()
	e.turn(stop)
	d := e.turn(e.answer(e.queue[0])) // it succeeded before it heard of the stop
	require.True(t, d.Finished())
	require.Equal(t, spec.WorkflowFailed, d.State.Phase)
	require.Equal(t, "Stopped with strategy 'Stop'", d.State.Message)
}

func TestTheFirstFailedChildInTheSpecIsNamed(t *testing.T) {
	t.Parallel()
	for child, body := range map[string]string{
		"wf[0].x": `
  - name: main
    steps:
    - - {name: x, template: echo, arguments: {parameters: [{name: text, value: exit 1}]}}
      - {name: b, template: echo, arguments: {parameters: [{name: text, value: exit 1}]}}
`,
		"wf[0].x(0:exit 1)": `
  - name: main
    steps:
    - - {name: x, template: echo, withItems: [exit 1, exit 2], arguments: {parameters: [{name: text, value: "{{item}}"}]}}
`,
	} {
		e := newEngine(t, head+body)
		e.act = echo
		e.run(func(n int) int { return n - 1 }) // the last one first
		require.Equal(t, "child '"+workflow.NodeID("wf", child)+"' failed", e.view.State.Message)
	}
}

// A wide join must not look at all its tasks whenever one of them ends.
func TestATaskCostsWhatItReleases(t *testing.T) {
	t.Parallel()
	const tasks = 300
	var b strings.Builder
	b.WriteString("\n  - name: main\n    dag:\n      tasks:\n")
	names := make([]string, tasks)
	for i := range names {
		names[i] = fmt.Sprintf("t%d", i)
		fmt.Fprintf(&b, "      - {name: %s, template: echo}\n", names[i])
	}
	fmt.Fprintf(&b, "      - {name: join, template: echo, dependencies: [%s]}\n", strings.Join(names, ", "))
	e := newEngine(t, head+b.String())
	e.partial = true
	e.run(inOrder)
	require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase)
	require.Less(t, e.loaded, 5*tasks)

	// Tasks that wait for room are asked for together.
	e = newEngine(t, head+b.String())
	e.partial = true
	e.view.Limits = workflow.Limits{Launch: 100}
	e.turn()
	e.rounds = 0
	e.turn()
	require.LessOrEqual(t, e.rounds, 2)
	require.Len(t, e.queue, 199)
}

func TestAFailedTargetKeepsWhatWaitsFromStarting(t *testing.T) {
	t.Parallel()
	for failFast, want := range map[bool]int{true: 2, false: 6} {
		e := newEngine(t, head+fmt.Sprintf(`
  - name: main
    dag:
      failFast: %v
      tasks:
      - {name: a, template: echo, arguments: {parameters: [{name: text, value: exit 1}]}}
      - {name: b, template: echo}
      - {name: c, template: echo}
      - {name: d, template: echo}
      - {name: e, template: echo, depends: c}
      - {name: f, template: echo, depends: b}
`, failFast))
		e.act = echo
		e.view.Limits = workflow.Limits{InFlight: 2}
		e.run(inOrder)
		require.Equal(t, spec.WorkflowFailed, e.view.State.Phase)
		require.Equal(t, want, e.view.State.Total)
	}
}

func TestTheTargetThatDecidesADAG(t *testing.T) {
	t.Parallel()
	for failFast, want := range map[bool]spec.WorkflowPhase{true: spec.WorkflowFailed, false: spec.WorkflowError} {
		for seed := range uint64(8) {
			e := newEngine(t, head+fmt.Sprintf(`
  - name: main
    dag:
      failFast: %v
      tasks:
      - {name: a, template: echo}
      - {name: b, template: echo}
      - {name: c, template: echo}
`, failFast))
			e.act = func(n *workflow.Node, _ *spec.Template) *workflow.Result {
				return &workflow.Result{Phase: map[workflow.Key]spec.NodePhase{
					workflow.Root.Task("a"): spec.NodeSucceeded, workflow.Root.Task("b"): spec.NodeFailed,
					workflow.Root.Task("c"): spec.NodeError,
				}[n.Key]}
			}
			e.run(shuffled(seed))
			require.Equal(t, want, e.view.State.Phase)
		}
	}
}

func TestLimitsBoundWhatIsInFlight(t *testing.T) {
	t.Parallel()
	e := newEngine(t, head+`
  - name: main
    dag:
      tasks:
      - {name: a, template: echo, withSequence: {count: "300"}}
      - {name: b, template: echo, withSequence: {count: "40"}}
`)
	e.view.Limits = workflow.Limits{Launch: 7, InFlight: 20}
	e.act = func(n *workflow.Node, tmpl *spec.Template) *workflow.Result {
		require.LessOrEqual(t, e.view.State.InFlight, 20)
		return echo(n, tmpl)
	}
	e.run(shuffled(3))
	require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase)
	require.Equal(t, 340, e.view.State.Done)
}
