package workflow_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// named has templates that say what their nodes are called.
const named = `
  - name: said
    annotations: {workflows.argoproj.io/display-name: "say-{{inputs.parameters.text}}"}
    inputs: {parameters: [{name: text, default: hi}]}
    container: {image: busybox, command: [echo], args: ["{{inputs.parameters.text}}"]}
  - name: tried
    annotations: {workflows.argoproj.io/display-name: tried}
    retryStrategy: {limit: 1}
    container: {image: busybox, command: [echo]}
`

func TestATemplateSaysWhatItsNodesAreCalled(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body string
		from int // items from which loops are chunked
		want map[string]string
	}{
		"a step":                      {"steps: [[{name: a, template: said, arguments: {parameters: [{name: text, value: yes.it.is}]}}]]", -1, map[string]string{"wf[0].a": "say-yes.it.is", "wf": "wf"}},
		"a task":                      {"dag: {tasks: [{name: a, template: said}]}", -1, map[string]string{"wf.a": "say-hi"}},
		"items":                       {`dag: {tasks: [{name: a, template: said, withItems: [x, z], arguments: {parameters: [{name: text, value: "{{item}}"}]}}]}`, -1, map[string]string{"wf.a": "a", "wf.a(0:x)": "say-x", "wf.a(1:z)": "say-z"}},
		"a retry, not its attempts":   {"dag: {tasks: [{name: a, template: tried}]}", -1, map[string]string{"wf.a": "tried", "wf.a(0)": "a(0)"}},
		"not what was skipped before": {"dag: {tasks: [{name: a, template: said, when: 1 == 2}]}", -1, map[string]string{"wf.a": "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, head+named+"  - name: main\n    "+c.body+"\n")
			e.view.Limits.ChunkFrom = c.from
			e.run(inOrder)
			got := map[string]string{}
			for _, n := range workflow.Status(e.view, nil).Nodes {
				if _, ok := c.want[n.Name]; ok {
					got[n.Name] = n.DisplayName
				}
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestANameThatIsNoneFailsItsNode(t *testing.T) {
	t.Parallel()
	e := newEngine(t, head+named+"  - name: main\n    steps: [[{name: a, template: said, arguments: {parameters: [{name: text, value: what not}]}}]]\n")
	e.run(inOrder)
	n := e.node("wf[0].a")
	require.Equal(t, spec.NodeError, n.Phase)
	require.Equal(t, "displayName must match the regex ^[a-zA-Z0-9][a-zA-Z0-9-.]{0,61}[a-zA-Z0-9]$", n.Message)
}

func TestARunThatIsSubmittedAsStoppedEndsAtOnce(t *testing.T) {
	t.Parallel()
	for how, c := range map[string]struct {
		phase   spec.WorkflowPhase
		message string
		exit    string
	}{
		"Stop":      {"Failed", "Stopped with strategy 'Stop'", "Succeeded"},
		"Terminate": {"Failed", "Stopped with strategy 'Terminate'", ""},
		"Other":     {"Succeeded", "", "Succeeded"},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			e := newEngineOf(t, head+"  - name: main\n    steps: [[{name: a, template: echo}], [{name: b, template: echo}]]\n", func(wf *spec.Workflow) {
				wf.Spec.Shutdown, wf.Spec.OnExit = spec.ShutdownStrategy(how), "echo"
			})
			e.run(inOrder)
			require.Equal(t, c.phase, e.view.State.Phase, e.dump())
			require.Equal(t, c.message, e.view.State.Message)
			require.Equal(t, c.exit, e.phases()["wf.onExit"])
		})
	}
}

func TestFailuresAreKnownAtTheEnd(t *testing.T) {
	t.Parallel()
	texts := map[string]string{}
	e := newEngine(t, hooked("  onExit: told", "steps: [[{name: a, template: echo, onExit: told}]]"))
	e.act = func(n *workflow.Node, tmpl *spec.Template) *workflow.Result {
		texts[n.Key.Name("wf")] = tmpl.Container.Args[0]
		return succeed(n, tmpl)
	}
	e.run(inOrder)
	require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase, e.dump())
	require.Equal(t, "Running {{workflow.failures}}", texts["wf[0].a.onExit"], "before the end the tag stays")
	require.Equal(t, `Succeeded "null"`, texts["wf.onExit"], "as Argo has it where nothing failed")
}

func TestRecursionHasAnEnd(t *testing.T) {
	t.Parallel()
	e := newEngine(t, head+"  - name: main\n    steps: [[{name: more, template: main}]]\n").run(inOrder)
	require.Equal(t, spec.WorkflowFailed, e.view.State.Phase)
	deepest := ""
	for _, n := range e.view.Nodes {
		if n.Phase == spec.NodeError {
			deepest = n.Message
		}
	}
	require.Contains(t, deepest, "Maximum recursion depth exceeded")
}
