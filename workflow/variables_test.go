package workflow_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// TestVariables has a row for each variable that a container may name, which must be the same
// as a simple tag, in an expression, and when it is handed over as an argument.
func TestVariables(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string
		expression string // in an expression; the same name if empty
		container  bool   // only a container has it
	}{
		{name: "workflow.name", want: "wf"},
		{name: "workflow.namespace", want: "default"},
		{name: "workflow.uid", want: "uid"},
		{name: "workflow.mainEntrypoint", want: "main"},
		{name: "workflow.serviceAccountName", want: "robot"},
		{name: "workflow.priority", want: "7"},
		{name: "workflow.parameters.p", want: "v"},
		{name: "workflow.parameters", want: `[{"name":"p","value":"v"}]`},
		{name: "workflow.parameters.json", want: `[{"name":"p","value":"v"}]`},
		{name: "workflow.labels.a-b", expression: "workflow.labels['a-b']", want: "l"},
		{name: "workflow.labels", want: `{"a-b":"l"}`},
		{name: "workflow.labels.json", want: `{"a-b":"l"}`},
		{name: "workflow.annotations.n", want: "a"},
		{name: "workflow.annotations.json", want: `{"n":"a","workflows.argoproj.io/scheduled-time":"2026-01-02T03:00:00Z"}`},
		{name: "workflow.scheduledTime", want: "2026-01-02T03:00:00Z"},
		{name: "workflow.creationTimestamp", want: "2026-01-02T03:04:05Z"},
		{name: "workflow.creationTimestamp.RFC3339", want: "2026-01-02T03:04:05Z"},
		{name: "workflow.creationTimestamp.s", want: "1767323045"},
		{name: "workflow.creationTimestamp.Y", want: "2026"},
		{name: "workflow.creationTimestamp.y", want: "26"},
		{name: "workflow.creationTimestamp.B", want: "January"},
		{name: "workflow.creationTimestamp.b", want: "Jan"},
		{name: "workflow.creationTimestamp.m", want: "01"},
		{name: "workflow.creationTimestamp.d", want: "02"},
		{name: "workflow.creationTimestamp.A", want: "Friday"},
		{name: "workflow.creationTimestamp.a", want: "Fri"},
		{name: "workflow.creationTimestamp.H", want: "03"},
		{name: "workflow.creationTimestamp.I", want: "03"},
		{name: "workflow.creationTimestamp.p", want: "AM"},
		{name: "workflow.creationTimestamp.M", want: "04"},
		{name: "workflow.creationTimestamp.S", want: "05"},
		{name: "workflow.creationTimestamp.L", want: "000"},
		{name: "workflow.creationTimestamp.Z", want: "UTC"},
		{name: "workflow.creationTimestamp.z", want: "+0000"},
		{name: "workflow.status", want: "Running"},
		{name: "workflow.duration", want: "0.000000"},
		{name: "inputs.parameters.in", want: "i", container: true},
		{name: "inputs.parameters", want: `[{"name":"in","value":"i"},{"name":"x","value":"x"}]`, container: true},
		{name: "node.name", want: "wf[0].one", container: true},
		{name: "pod.name", want: workflow.PodName("wf", "leaf", workflow.Root.Step(0, "one")), container: true},
		{name: "steps.name", want: "one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			expression := c.expression
			if expression == "" {
				expression = c.name
			}
			for way, tag := range map[string]string{"simple": "{{" + c.name + "}}", "blanks": "{{ " + c.name + " }}", "expression": "{{=" + expression + "}}"} {
				own, argument := tag, "x"
				for _, handed := range []bool{false, true} {
					if handed {
						if c.container {
							continue
						}
						own, argument = "{{inputs.parameters.x}}", tag
					}
					require.Equal(t, c.want, variable(t, own, argument), "%s, handed over: %v", way, handed)
				}
			}
		})
	}
}

// variable is what a container says that is given a text and an argument.
func variable(t *testing.T, text, argument string) string {
	t.Helper()
	e := newEngineOf(t, `
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: wf, labels: {a-b: l}}
spec:
  entrypoint: main
  serviceAccountName: robot
  priority: 7
  arguments: {parameters: [{name: p, value: v}]}
  templates:
  - name: leaf
    inputs: {parameters: [{name: in}, {name: x}]}
    container: {image: busybox}
  - name: main
    steps: [[{name: one, template: leaf, arguments: {parameters: [{name: in, value: i}, {name: x}]}}]]
`, func(wf *spec.Workflow) {
		wf.Spec.Templates[0].Container.Args = []string{text}
		wf.Spec.Templates[1].Steps[0].Steps[0].Arguments.Parameters[1].Value = spec.AnyStringPtr(argument)
	})
	e.view.Run.Annotations = map[string]string{"n": "a", "workflows.argoproj.io/scheduled-time": "2026-01-02T03:00:00Z"}
	e.act = echo
	e.run(inOrder)
	require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase, e.dump())
	return e.said("wf[0].one")
}

func TestTasksKnowTheirNames(t *testing.T) {
	t.Parallel()
	e := newEngine(t, head+`
  - name: own
    container: {image: busybox, args: ["{{tasks.name}}"]}
  - name: main
    dag:
      tasks:
      - {name: one, template: echo, arguments: {parameters: [{name: text, value: "{{tasks.name}}"}]}}
      - {name: two, template: own, withItems: [a]}
`)
	e.act = echo
	e.run(inOrder)
	require.Equal(t, "one", e.said("wf.one"))
	require.Equal(t, "two", e.said("wf.two(0:a)"))
}
