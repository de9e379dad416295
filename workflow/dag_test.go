package workflow_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

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
	require.Equal(t, 1, e.rounds)
	require.Len(t, e.queue, 199)
	e.view.Limits = workflow.Limits{InFlight: 199}
	e.turn(e.answer(e.queue[0]))
	require.Equal(t, 3, e.rounds)
	require.Len(t, e.queue, 200)
}

func TestTasksOfALargeDAGWaitForAllTheyDependOn(t *testing.T) {
	t.Parallel()
	const row = 70
	var b strings.Builder
	b.WriteString("\n  - name: main\n    dag:\n      tasks:\n")
	for i := range row {
		fmt.Fprintf(&b, "      - {name: u%d, template: echo}\n", i)
		fmt.Fprintf(&b, "      - {name: l%d, template: echo, depends: u%d && u%d && u%d}\n", i, i, (i+1)%row, (i+7)%row)
	}
	for seed := range uint64(4) {
		e := newEngine(t, head+b.String())
		e.partial = seed%2 == 0
		ended := map[workflow.Key]bool{}
		e.act = func(n *workflow.Node, _ *spec.Template) *workflow.Result {
			var i int
			if _, err := fmt.Sscanf(n.Key.Segment(), ".l%d", &i); err == nil {
				for _, d := range []int{0, 1, 7} {
					require.True(t, ended[workflow.Root.Task(fmt.Sprintf("u%d", (i+d)%row))], n.Key)
				}
			}
			ended[n.Key] = true
			return &workflow.Result{Phase: spec.NodeSucceeded}
		}
		e.run(shuffled(seed))
		require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase)
		require.Len(t, ended, 2*row)
		require.Len(t, requireWholeGraph(t, e.view).Nodes, 2*row+1)
	}
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
