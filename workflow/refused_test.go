package workflow_test

import (
	"cmp"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// What cannot be resolved is told of as Argo tells it.
func TestWhatCannotBeResolvedIsToldOfWhereItIsCalled(t *testing.T) {
	t.Parallel()
	const templates = `
  - name: needs
    inputs: {parameters: [{name: text}]}
    container: {image: busybox}
  - name: bad
    outputs: {parameters: [{name: x, valueFrom: {path: /x}}, {name: y, valueFrom: {path: /y}}]}
    container: {image: busybox, command: [echo], args: [exit 1]}
  - name: exports
    outputs: {parameters: [{name: o, valueFrom: {parameter: '{{steps.a.outputs.parameters.x}}'}}]}
    steps: [[{name: a, template: bad, continueOn: {failed: true}}]]
  - name: both
    outputs: {parameters: [{name: x, valueFrom: {path: /x}}, {name: y, valueFrom: {path: /y}}]}
    container: {image: busybox, command: [echo], args: [fine]}
`
	const missing = "failed to resolve {{steps.a.outputs.parameters.x}}: unresolved variable"
	for name, c := range map[string]struct {
		level, main string
		phase       spec.WorkflowPhase
		message     string
		nodes       map[string]string // phase and message
		without     string
	}{
		"the entrypoint's input": {"  onExit: echo", "inputs: {parameters: [{name: text}]}\n    container: {image: busybox}", "Error",
			"error in entry template execution: inputs.parameters.text was not supplied",
			map[string]string{"wf": "Error inputs.parameters.text was not supplied"}, "wf.onExit"},
		"the entrypoint's output": {"  onExit: echo", "outputs: {parameters: [{name: o, valueFrom: {parameter: '{{steps.a.outputs.parameters.x}}'}}]}\n    steps: [[{name: a, template: bad, continueOn: {failed: true}}]]", "Error",
			"error in entry template execution: resolving outputs.parameters.o: " + missing, nil, "wf.onExit"},
		"the exit handler's input": {"  onExit: needs", "steps: [[{name: a, template: echo}]]", "Error",
			"error in exit template execution : inputs.parameters.text was not supplied", nil, ""},
		"a step's input": {"  onExit: echo", "steps: [[{name: a, template: needs}]]", "Failed",
			"step group deemed errored due to child wf[0].a error: inputs.parameters.text was not supplied",
			map[string]string{"wf.onExit": "Succeeded ", "wf[0].a": "Error inputs.parameters.text was not supplied"}, ""},
		"a step's outputs": {"", "steps: [[{name: b, template: exports}]]", "Failed",
			"step group deemed errored due to child wf[0].b error: resolving outputs.parameters.o: " + missing, nil, ""},
		"an item's input": {"", "steps: [[{name: a, template: needs, withItems: [x, z]}]]", "Failed",
			"step group deemed errored due to child wf[0].a(0:x) error: inputs.parameters.text was not supplied", nil, ""},
		"a step's argument": {"", "steps: [[{name: a, template: bad, continueOn: {failed: true}}], [{name: b, template: echo, arguments: {parameters: [{name: text, value: '{{steps.a.outputs.parameters.x}}'}]}}]]", "Failed",
			`resolving argument "text": ` + missing, map[string]string{"wf[1].b": `Error resolving argument "text": ` + missing}, ""},
		"a step's condition": {"", "steps: [[{name: a, template: echo, when: a b}]]", "Failed",
			`Invalid 'when' expression 'a b': Cannot transition token types from VARIABLE [a] to VARIABLE [b]`, nil, ""},
		"a task's input": {"", "dag: {tasks: [{name: a, template: needs}]}", "Error", "",
			map[string]string{"wf.a": "Error task 'wf.a' errored: inputs.parameters.text was not supplied"}, ""},
		"an expression of an output that was not written": {"", "steps: [[{name: a, template: bad, continueOn: {failed: true}}], [{name: b, template: echo, arguments: {parameters: [{name: text, value: '{{=asInt(steps.a.outputs.parameters.x) + 1}}'}]}}]]", "Failed",
			`resolving argument "text": evaluating {{=asInt(steps.a.outputs.parameters.x) + 1}}: ` + missing, nil, ""},
		"an expression of an input that is none": {"", "inputs: {parameters: [{name: text, value: x}]}\n    steps: [[{name: b, template: echo, arguments: {parameters: [{name: text, value: '{{=asInt(inputs.parameters.txt) + 1}}'}]}}]]", "Failed",
			`resolving argument "text": evaluating {{=asInt(inputs.parameters.txt) + 1}}: failed to resolve {{inputs.parameters.txt}}: unresolved variable`, nil, ""},
		"a fallback for an input that is none": {"", "inputs: {parameters: [{name: text, value: x}]}\n    steps: [[{name: b, template: echo, arguments: {parameters: [{name: text, value: \"{{=inputs.parameters.txt ?? 'fine'}}\"}]}}]]", "Succeeded", "", nil, ""},
		"all outputs of a step": {"", "steps: [[{name: a, template: both}], [{name: b, template: echo, arguments: {parameters: [{name: text, value: '{{=toJson(steps.a.outputs.parameters)}}'}]}}]]", "Succeeded", "",
			map[string]string{"wf[1].b": "Succeeded "}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, partial := range []bool{false, true} {
				e := newEngine(t, hooked(c.level, c.main+"\n"+templates))
				e.act, e.partial = func(n *workflow.Node, tmpl *spec.Template) *workflow.Result {
					if len(tmpl.Outputs.Parameters) == 2 && tmpl.Container.Args[0] == "fine" {
						return &workflow.Result{Phase: spec.NodeSucceeded, Outputs: &workflow.Values{Parameters: []workflow.Param{{Name: "x", Value: "1"}, {Name: "y", Value: "2"}}}}
					}
					if len(tmpl.Inputs.Parameters) == 1 && tmpl.Inputs.Parameters[0].Value.String() == `{"x":"1","y":"2"}` {
						return succeed(n, tmpl)
					}
					return echo(n, tmpl)
				}, partial
				e.run(inOrder)
				require.Equal(t, c.phase, e.view.State.Phase, e.dump())
				require.Equal(t, c.message, e.view.State.Message)
				for node, want := range c.nodes {
					require.Equal(t, want, string(e.node(node).Phase)+" "+e.node(node).Message)
				}
				require.NotContains(t, e.phases(), cmp.Or(c.without, "none"))
			}
		})
	}
}

func TestFailuresHaveTheItemsOfWideLoops(t *testing.T) {
	t.Parallel()
	e := newEngine(t, hooked("  hooks: {exit: {template: echo, arguments: {parameters: [{name: text, value: '{{workflow.failures}}'}]}}}",
		"steps: [[{name: a, template: echo, withItems: [exit 1, fine], arguments: {parameters: [{name: text, value: '{{item}}'}]}}]]"))
	var told string
	e.view.Limits.ChunkFrom, e.act = 1, func(n *workflow.Node, tmpl *spec.Template) *workflow.Result {
		if n.Key.Name("wf") == "wf.onExit" {
			told = tmpl.Inputs.Parameters[0].Value.String()
			return succeed(n, tmpl)
		}
		return echo(n, tmpl)
	}
	e.run(inOrder)
	require.Contains(t, told, `\"displayName\":\"a(0:exit 1)\"`)
	require.NotContains(t, told, "fine")
}
