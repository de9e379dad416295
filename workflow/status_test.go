package workflow_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// requireWholeGraph checks what every client relies on: all links lead somewhere, and all
// nodes are found from the root.
func requireWholeGraph(t *testing.T, v *workflow.View) spec.WorkflowStatus {
	t.Helper()
	status := workflow.Status(v, nil)
	nodes := status.Nodes
	for id, n := range nodes {
		require.Equal(t, id, n.ID)
		require.NotEmpty(t, n.Type, n.Name)
		require.NotEmpty(t, n.Phase, n.Name)
		for _, to := range append(n.Children, n.OutboundNodes...) {
			if _, ok := nodes[to]; !ok { // require.Contains would look at all nodes
				require.Fail(t, "a link to nowhere", "%s of %s", to, n.Name)
			}
		}
		if id != v.Run.Name {
			b := nodes[n.BoundaryID]
			if n.BoundaryID != "" || !strings.HasPrefix(n.Name, v.Run.Name+"(") && !strings.HasPrefix(n.Name, v.Run.Name+".onExit") && !strings.HasPrefix(n.Name, v.Run.Name+".hooks.") { // attempts of the root and its hooks have none
				require.Contains(t, []spec.NodeType{spec.NodeTypeSteps, spec.NodeTypeDAG}, b.Type, "boundary of %s", n.Name)
			}
		}
		if v.State.Finished != 0 {
			require.True(t, workflow.Fulfilled(n.Phase), "%s is %s in a finished run", n.Name, n.Phase)
			require.False(t, n.FinishedAt.IsZero(), n.Name)
		}
	}
	if len(nodes) == 0 {
		return status
	}
	succeeded, executable := 0, 0
	for _, n := range nodes {
		if slices.Contains([]spec.NodeType{spec.NodeTypePod, spec.NodeTypeHTTP, spec.NodeTypeSuspend}, n.Type) {
			executable++
			if n.Phase == spec.NodeSucceeded {
				succeeded++
			}
		}
	}
	if executable > 0 && len(v.Cut) == 0 {
		require.Equal(t, spec.Progress(fmt.Sprintf("%d/%d", succeeded, executable)), status.Progress)
	}
	seen := map[string]bool{}
	for queue := []string{v.Run.Name, workflow.Root.Hook("exit").ID(v.Run.Name)}; len(queue) > 0; queue = queue[1:] {
		if !seen[queue[0]] {
			seen[queue[0]] = true
			queue = append(queue, nodes[queue[0]].Children...)
		}
	}
	for id, n := range nodes {
		require.True(t, seen[id], "%s hangs from nothing", n.Name)
	}
	return status
}

func TestAStepGroupListsItsStepsInTheSpecsOrder(t *testing.T) {
	t.Parallel()
	e := newEngine(t, head+`
  - name: main
    steps:
    - - {name: z, template: echo}
      - {name: m, template: echo, withSequence: {count: "11"}}
      - {name: a, template: echo}
`)
	e.run(shuffled(1))
	var names []string
	status := requireWholeGraph(t, e.view)
	for _, id := range status.Nodes[workflow.NodeID("wf", "wf[0]")].Children {
		names = append(names, status.Nodes[id].DisplayName)
	}
	want := []string{"z"}
	for i := range 11 {
		want = append(want, fmt.Sprintf("m(%d:%d)", i, i))
	}
	require.Equal(t, append(want, "a"), names)
}

func TestAStepGroupRunsAsLongAsAMemberWaits(t *testing.T) {
	t.Parallel()
	e := newEngine(t, head+`
  - name: main
    steps:
    - - {name: a, template: echo}
      - {name: b, template: echo}
`)
	e.view.Limits = workflow.Limits{Launch: 2} // the root is one
	e.turn()
	e.view.Limits = workflow.Limits{Launch: -1}
	e.turn(e.answer(e.queue[0]))
	require.Equal(t, spec.NodeRunning, requireWholeGraph(t, e.view).Nodes[workflow.NodeID("wf", "wf[0]")].Phase)
}

func TestWhatComesAfterAnEmptyTemplateHangsFromIt(t *testing.T) {
	t.Parallel()
	e := newEngine(t, head+`
  - name: empty
    steps: [[]]
  - name: none
    dag: {tasks: []}
  - name: main
    dag:
      tasks:
      - {name: a, template: empty}
      - {name: b, template: none, depends: a}
      - {name: c, template: echo, depends: b}
`)
	e.run(inOrder)
	require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase)
	requireWholeGraph(t, e.view)
}

func TestAnEmptyGroupPassesThrough(t *testing.T) {
	t.Parallel()
	e := newEngine(t, head+`
  - name: main
    steps:
    - []
    - - {name: a, template: echo}
    - []
    - - {name: b, template: echo}
    - []
`)
	e.run(inOrder)
	require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase)
	status := requireWholeGraph(t, e.view)
	empty, b := status.Nodes[workflow.NodeID("wf", "wf[2]")], workflow.NodeID("wf", "wf[3]")
	require.Equal(t, []string{b}, empty.Children)
	require.Equal(t, empty.StartedAt, empty.FinishedAt)
}

func TestANodeThatCouldNotBeLaunchedIsNoPod(t *testing.T) {
	t.Parallel()
	e := newEngine(t, head+`
  - name: main
    dag:
      tasks:
      - {name: a, template: echo, when: "1 =="}
      - {name: b, template: echo, withParam: nonsense}
      - {name: c, template: echo}
`)
	e.run(inOrder)
	status := requireWholeGraph(t, e.view)
	require.EqualValues(t, "1/1", status.Progress)
	require.Equal(t, status.Progress, status.Nodes["wf"].Progress)
	for _, name := range []string{"wf.a", "wf.b"} {
		n := status.Nodes[workflow.NodeID("wf", name)]
		require.Equal(t, spec.NodeTypeSkipped, n.Type)
		require.Equal(t, spec.NodeError, n.Phase)
	}
}

func TestNothingRunsInARunThatWasGivenUp(t *testing.T) {
	t.Parallel()
	e := newEngine(t, head+`
  - name: main
    steps:
    - - {name: a, template: echo}
`)
	e.turn()
	// What a coordinator commits when the engine fails.
	e.view.State.Phase, e.view.State.Message, e.view.State.Finished = spec.WorkflowError, "broken", workflow.At(start)
	status := requireWholeGraph(t, e.view)
	a := status.Nodes[workflow.NodeID("wf", "wf[0].a")]
	require.Equal(t, spec.NodeError, a.Phase)
	require.Equal(t, "broken", a.Message)
}
