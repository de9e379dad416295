package workflow

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"argosy/workflow/spec"
)

func TestAContainerSetShowsItsContainers(t *testing.T) {
	t.Parallel()
	named := func(name string, deps ...string) spec.ContainerNode {
		return spec.ContainerNode{Container: corev1.Container{Name: name, Image: "i"}, Dependencies: deps}
	}
	plan, err := Compile(&spec.Workflow{Spec: spec.WorkflowSpec{Entrypoint: "set", Templates: []spec.Template{{
		Name: "set", ContainerSet: &spec.ContainerSetTemplate{Containers: []spec.ContainerNode{named("a"), named("b", "a"), named("main", "a")}},
	}}}})
	require.NoError(t, err)
	v := &View{Run: &Run{ID: "1", Name: "wf"}, Plan: plan, Complete: true, Nodes: map[Key]*Node{}}
	turn := func(events ...Event) {
		t.Helper()
		d, err := Advance(v, events, At(v.Run.Created.Time()).Time())
		require.NoError(t, err)
		v = v.Apply(d)
	}
	turn()
	status := Status(v, map[Key]bool{Root: true})
	id := func(c string) string { return NodeID("wf", "wf."+c) }
	require.Equal(t, []string{id("a")}, status.Nodes["wf"].Children)
	require.Equal(t, []string{id("b"), id("main")}, status.Nodes[id("a")].Children)
	for _, c := range []string{"a", "b", "main"} {
		n := status.Nodes[id(c)]
		require.Equal(t, spec.NodeTypeContainer, n.Type)
		require.Equal(t, spec.NodeRunning, n.Phase)
		require.Equal(t, []string{"wf", c, "wf." + c}, []string{n.BoundaryID, n.DisplayName, n.Name})
	}
	turn(Event{Kind: EventResult, Key: Root, Result: &Result{
		Phase: spec.NodeFailed, Message: "b: Error (exit code 1)",
		Containers: []Container{
			{Name: "a", Phase: spec.NodeSucceeded, Started: 1, Finished: 2},
			{Name: "b", Phase: spec.NodeFailed, Message: "b: Error (exit code 1)", Started: 3, Finished: 4},
			{Name: "main", Phase: spec.NodeSucceeded},
		},
	}})
	status = Status(v, nil)
	require.Equal(t, spec.WorkflowFailed, status.Phase)
	require.Equal(t, spec.NodeSucceeded, status.Nodes[id("a")].Phase)
	b := status.Nodes[id("b")]
	require.Equal(t, spec.NodeFailed, b.Phase)
	require.Equal(t, "b: Error (exit code 1)", b.Message)
	require.Equal(t, metaTime(4), b.FinishedAt)
	require.EqualValues(t, "0/1", status.Progress)
}
