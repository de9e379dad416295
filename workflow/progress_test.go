package workflow_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// tells is what a leaf says of its progress.
func tells(k workflow.Key, progress string) workflow.Event {
	return workflow.Event{Kind: workflow.EventTells, Key: k, Message: progress}
}

// progress are the run's, its root's and a node's as shown.
func (e *engine) progress(name string) [3]string {
	e.t.Helper()
	s := workflow.Status(e.view, nil)
	return [3]string{string(s.Progress), string(s.Nodes["wf"].Progress), string(s.Nodes[e.node(name).Key.ID("wf")].Progress)}
}

const tellingSteps = head + `
  - name: main
    steps:
    - - {name: a, template: told, continueOn: {failed: true}}
      - {name: b, template: echo}
    - - {name: c, template: told}
  - name: told
    metadata: {annotations: {workflows.argoproj.io/progress: "0/{{workflow.parameters.total}}"}}
    container: {image: i, command: [work]}
  arguments: {parameters: [{name: total, value: "100"}]}
`

func TestALeafsProgressIsWhatItTells(t *testing.T) {
	t.Parallel()
	e := newEngine(t, tellingSteps)
	e.turn()
	a := e.node("wf[0].a").Key
	require.Equal(t, [3]string{"0/101", "0/101", "0/100"}, e.progress("wf[0].a"), "as its template says")

	e.turn(tells(a, "40/100"))
	require.Equal(t, [3]string{"40/101", "40/101", "40/100"}, e.progress("wf[0].a"))
	require.Empty(t, e.turn(tells(a, "40/100")).Nodes, "nothing new")
	for _, bad := range []string{"", "x", "2/1", "-1/3", "0/0", "1/2/3", "1 / 2"} {
		require.Empty(t, e.turn(tells(a, bad)).Nodes, bad)
	}
	e.turn(tells(a, "60/120"), e.answer(e.node("wf[0].b").Key))
	require.Equal(t, [3]string{"61/121", "61/121", "60/120"}, e.progress("wf[0].a"))

	e.turn(workflow.Event{Kind: workflow.EventResult, Key: a, Result: &workflow.Result{Phase: spec.NodeFailed, Progress: "80/120"}})
	require.Equal(t, [3]string{"81/221", "81/221", "80/120"}, e.progress("wf[0].a"), "it stays where it failed, and c is to come")
	require.Empty(t, e.turn(tells(a, "90/120")).Nodes, "it has ended")

	c := e.node("wf[1].c").Key
	e.turn(tells(c, "1/10"))
	e.turn(e.answer(c))
	require.Equal(t, [3]string{"91/131", "91/131", "10/10"}, e.progress("wf[1].c"), "what succeeded has done all of it")
}

func TestARunThatIsTakenUpAgainCountsAnew(t *testing.T) {
	t.Parallel()
	e := newEngine(t, tellingSteps)
	e.turn()
	e.turn(e.answer(e.node("wf[0].a").Key), e.answer(e.node("wf[0].b").Key))
	c := e.node("wf[1].c").Key
	e.turn(tells(c, "7/50"))
	e.turn(workflow.Event{Kind: workflow.EventResult, Key: c, Result: &workflow.Result{Phase: spec.NodeFailed}})
	require.Equal(t, [3]string{"108/151", "108/151", "7/50"}, e.progress("wf[1].c"))
	e.takeUp(workflow.Again{})
	e.turn()
	require.Equal(t, [3]string{"101/201", "101/201", "0/100"}, e.progress("wf[1].c"))
}

func TestALoopWhoseItemsTellTheirProgressIsNotChunked(t *testing.T) {
	t.Parallel()
	for text, chunked := range map[string]bool{
		`container: {image: i, command: [work]}`:                                                                     true,
		`container: {image: i, command: [sh, -c, "echo 1/2 > $ARGO_PROGRESS_FILE"]}`:                                 false,
		`container: {image: i, command: [work], env: [{name: ARGO_PROGRESS_FILE, value: /p}]}`:                       false,
		`script: {image: i, command: [sh], source: "echo 1/2 > $ARGO_PROGRESS_FILE"}`:                                false,
		"metadata: {annotations: {workflows.argoproj.io/progress: 0/9}}\n    container: {image: i, command: [work]}": false,
	} {
		e := newEngine(t, head+`
  - name: main
    steps:
    - - {name: a, template: told, withSequence: {count: "3"}}
  - name: told
    `+text+"\n")
		e.view.Limits.ChunkFrom = 1
		e.turn()
		require.Equal(t, chunked, e.view.Nodes[e.queue[0]].Chunk != nil, text)
	}
}
