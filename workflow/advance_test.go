package workflow_test

import (
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

func TestLimitsBoundWhatIsInFlight(t *testing.T) {
	t.Parallel()
	e := newEngine(t, head+`
  - name: main
    dag:
      tasks:
      - {name: a, template: echo, withSequence: {count: "300"}}
      - {name: b, template: echo, withSequence: {count: "40"}}
`)
	e.view.Limits = workflow.Limits{Launch: 7, InFlight: 20, ChunkFrom: -1}
	e.act = func(n *workflow.Node, tmpl *spec.Template) *workflow.Result {
		require.LessOrEqual(t, e.view.State.InFlight, 20)
		return echo(n, tmpl)
	}
	e.run(shuffled(3))
	require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase)
	require.Equal(t, 340, e.view.State.Done)
}
