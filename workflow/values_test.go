package workflow_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

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
    - - {name: a, template: inner, arguments: {parameters: [{name: x, value: z}]}}
`)
	e.act = func(_ *workflow.Node, tmpl *spec.Template) *workflow.Result {
		return &workflow.Result{Phase: spec.NodeSucceeded, Outputs: &workflow.Values{Artifacts: tmpl.Outputs.Artifacts}}
	}
	e.run(inOrder)
	require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase, e.view.State.Message)
	p, _ := e.view.State.Outputs.Parameter("p-z")
	require.Equal(t, "1 {{foreign}}", p)
	f, ok := e.view.State.Outputs.Artifact("f-z")
	require.True(t, ok)
	require.Equal(t, "k", f.S3.Key)
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

func TestLocationsOfATemplatesOwnArtifactsAreFilledIn(t *testing.T) {
	t.Parallel()
	e := newEngine(t, head+`
  - name: reader
    inputs:
      parameters: [{name: x, default: one}]
      artifacts: [{name: f, path: /f, raw: {data: "<{{inputs.parameters.x}}>"}}]
    container: {image: busybox, command: [cat], args: ["{{inputs.artifacts.f.path}}"]}
  - name: main
    steps:
    - - {name: a, template: reader}
      - {name: b, template: reader, arguments: {artifacts: [{name: f, raw: {data: "{{workflow.name}}"}}]}}
`)
	got := map[string]string{}
	e.act = func(n *workflow.Node, tmpl *spec.Template) *workflow.Result {
		got[n.Key.Name("wf")] = tmpl.Inputs.Artifacts[0].Raw.Data
		return succeed(n, tmpl)
	}
	e.run(inOrder)
	require.Equal(t, map[string]string{"wf[0].a": "<one>", "wf[0].b": "wf"}, got)
}

func TestATemplateMayBeNamedByAnInput(t *testing.T) {
	t.Parallel()
	e := newEngine(t, head+`
  - name: call
    inputs: {parameters: [{name: x}]}
    dag:
      tasks:
      - {name: a, template: "{{inputs.parameters.x}}"}
      - {name: b, template: "{{inputs.parameters.x}}", withItems: [1, 2], depends: a}
      - {name: c, template: "{{inputs.parameters.x}}-none", depends: a}
  - name: main
    steps:
    - - {name: m, template: call, arguments: {parameters: [{name: x, value: echo}]}}
`)
	e.view.Limits = workflow.Limits{InFlight: 1}
	e.run(inOrder)
	phases := e.phases()
	require.Equal(t, "Succeeded", phases["wf[0].m.b(1:2)"], e.dump())
	require.Equal(t, "Error", phases["wf[0].m.c"])
	require.Equal(t, `task 'wf[0].m.c' errored: template "echo-none" is not defined`, e.node("wf[0].m.c").Message)
}

func TestAnArgumentMayBeAPartOfAnArtifact(t *testing.T) {
	t.Parallel()
	e := newEngine(t, head+`
  - name: writer
    outputs: {artifacts: [{name: f, path: /f, s3: {key: k/dir}, archive: {zip: {}}}]}
    container: {image: busybox}
  - name: reader
    inputs: {artifacts: [{name: f, path: /f}]}
    container: {image: busybox}
  - name: main
    inputs: {parameters: [{name: part, value: a}]}
    steps:
    - - {name: w, template: writer}
    - - {name: r, template: reader, arguments: {artifacts: [{name: f, from: "{{steps.w.outputs.artifacts.f}}", subPath: "{{inputs.parameters.part}}/b.txt"}]}}
      - {name: all, template: reader, arguments: {artifacts: [{name: f, from: "{{steps.w.outputs.artifacts.f}}"}]}}
`)
	got := map[string]string{}
	e.act = func(n *workflow.Node, tmpl *spec.Template) *workflow.Result {
		for _, a := range tmpl.Inputs.Artifacts {
			got[n.Key.Name("wf")] = a.S3.Key
			require.NotNil(t, a.Archive, "it does not know how to unpack it")
			require.NotNil(t, a.Archive.Zip)
		}
		return &workflow.Result{Phase: spec.NodeSucceeded, Outputs: &workflow.Values{Artifacts: tmpl.Outputs.Artifacts}}
	}
	e.run(inOrder)
	require.Equal(t, map[string]string{"wf[1].r": "k/dir/a/b.txt", "wf[1].all": "k/dir"}, got)
}
