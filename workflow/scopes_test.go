package workflow_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// library has what the workflows of these tests refer to.
const library = `
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: lib}
spec:
  entrypoint: twice
  arguments: {parameters: [{name: text, value: stored}, {name: other, value: kept}]}
  onExit: echo
  templates:
  - name: echo
    inputs: {parameters: [{name: text, default: none}]}
    container: {image: busybox, args: ["lib:{{inputs.parameters.text}}"]}
  - name: twice
    inputs: {parameters: [{name: text, default: d}]}
    steps:
    - - {name: a, template: echo, arguments: {parameters: [{name: text, value: "{{inputs.parameters.text}} {{workflow.parameters.other}}"}]}}
    - - {name: b, templateRef: {name: far, template: echo, clusterScope: true}}
---
apiVersion: argoproj.io/v1alpha1
kind: ClusterWorkflowTemplate
metadata: {name: far}
spec:
  templates:
  - name: echo
    container: {image: busybox, args: ["far:{{workflow.mainEntrypoint}}"]}
`

func find(t *testing.T) spec.Find {
	t.Helper()
	docs, err := spec.Parse("library.yaml", []byte(library))
	require.NoError(t, err)
	return spec.NewLibrary(docs, nil).Find
}

// frozen is an engine for a workflow with what it refers to.
func frozen(t *testing.T, text string) *engine {
	t.Helper()
	e := newEngineOf(t, text, func(wf *spec.Workflow) { require.NoError(t, spec.Freeze(wf, find(t))) })
	e.act = echo
	return e
}

// said is what the leaf echoed.
func (e *engine) said(name string) string {
	e.t.Helper()
	n := e.node(name)
	require.NotNil(e.t, n, e.dump())
	require.NotNil(e.t, n.Outputs, e.dump())
	return *n.Outputs.Result
}

const rooted = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: wf}\nspec:\n"

func TestTemplateRefsAreResolvedInTheirOwnScope(t *testing.T) {
	t.Parallel()
	e := frozen(t, rooted+`
  entrypoint: main
  arguments: {parameters: [{name: other, value: mine}]}
  templates:
  - name: echo
    container: {image: busybox, args: [own]}
  - name: main
    dag:
      tasks:
      - {name: x, templateRef: {name: lib, template: twice}, arguments: {parameters: [{name: text, value: hi}]}}
      - {name: z, template: echo}
`)
	e.run(inOrder)
	require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase, e.dump())
	require.Equal(t, "lib:hi mine", e.said("wf.x[0].a"))
	require.Equal(t, "far:main", e.said("wf.x[1].b"))
	require.Equal(t, "own", e.said("wf.z"))

	nodes := workflow.Status(e.view, nil).Nodes
	shown := func(name string) spec.NodeStatus { return nodes[workflow.NodeID("wf", name)] }
	for _, c := range []struct {
		node, template, scope string
		ref                   *spec.TemplateRef
	}{
		{"wf", "main", "local/wf", nil},
		{"wf.x", "", "local/wf", &spec.TemplateRef{Name: "lib", Template: "twice"}},
		{"wf.x[0]", "", "namespaced/lib", nil},
		{"wf.x[0].a", "echo", "namespaced/lib", nil},
		{"wf.x[1].b", "", "namespaced/lib", &spec.TemplateRef{Name: "far", Template: "echo", ClusterScope: true}},
		{"wf.z", "echo", "local/wf", nil},
	} {
		n := shown(c.node)
		require.Equal(t, c.template, n.TemplateName, c.node)
		require.Equal(t, c.scope, n.TemplateScope, c.node)
		require.Equal(t, c.ref, n.TemplateRef, c.node)
	}
	require.Equal(t, workflow.PodName("wf", "echo", e.node("wf.x[0].a").Key), workflow.PodName("wf", e.node("wf.x[0].a").Template, e.node("wf.x[0].a").Key))
}

func TestWorkflowTemplateRefRunsTheStoredSpec(t *testing.T) {
	t.Parallel()
	docs, err := spec.Parse("library.yaml", []byte(library))
	require.NoError(t, err)
	wf := parse(t, rooted+`
  workflowTemplateRef: {name: lib}
  arguments: {parameters: [{name: text, value: given}]}
  serviceAccountName: mine
`)
	require.NoError(t, spec.Freeze(wf, spec.NewLibrary(docs, nil).Find))
	s := wf.Execution()
	require.Equal(t, "twice", s.Entrypoint)
	require.Equal(t, "mine", s.ServiceAccountName)
	require.Equal(t, "echo", s.OnExit)
	require.Nil(t, s.WorkflowTemplateRef)
	require.Equal(t, "given", s.Arguments.GetParameterByName("text").GetValue())
	require.Equal(t, "kept", s.Arguments.GetParameterByName("other").GetValue())
	require.Contains(t, wf.Status.StoredTemplates, "cluster/far/echo")
	require.NotNil(t, wf.Spec.WorkflowTemplateRef, "what was written stays")
	require.Empty(t, wf.Spec.Templates)
}

func TestWhatIsNotStoredIsNotFrozen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, spec, want string }{
		{"workflowTemplateRef", "  workflowTemplateRef: {name: none}", `workflow template "none" not found`},
		{"of the cluster", "  workflowTemplateRef: {name: lib, clusterScope: true}", `cluster workflow template "lib" not found`},
		{"templateRef", "  entrypoint: m\n  templates:\n  - {name: m, steps: [[{name: a, templateRef: {name: none, template: x}}]]}", `workflow template "none" not found`},
		{"its template", "  entrypoint: m\n  templates:\n  - {name: m, steps: [[{name: a, templateRef: {name: lib, template: x}}]]}", `template "x" not found in workflow template "lib"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.EqualError(t, spec.Freeze(parse(t, rooted+c.spec), find(t)), c.want)
		})
	}
}

func TestInlineTemplates(t *testing.T) {
	t.Parallel()
	e := frozen(t, rooted+`
  entrypoint: main
  arguments: {parameters: [{name: text, value: t}]}
  templates:
  - name: main
    inputs: {parameters: [{name: text}]}
    dag:
      tasks:
      - name: a
        inline: {container: {image: busybox, args: ["{{inputs.parameters.text}}{{workflow.name}}"]}}
      - name: b
        depends: a
        withItems: [1, 2]
        arguments: {parameters: [{name: own, value: o}]}
        inline:
          inputs: {parameters: [{name: own}]}
          container: {image: busybox, args: ["{{tasks.a.outputs.result}}{{item}}{{inputs.parameters.own}}"]}
      - name: c
        inline:
          steps:
          - - {name: d, templateRef: {name: lib, template: echo}, arguments: {parameters: [{name: text, value: "{{inputs.parameters.text}}"}]}}
`)
	e.run(inOrder)
	require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase, e.dump())
	require.Equal(t, "twf", e.said("wf.a"))
	require.Equal(t, "twf1o", e.said("wf.b(0:1)"))
	require.Equal(t, "twf2o", e.said("wf.b(1:2)"))
	require.Equal(t, "lib:t", e.said("wf.c[0].d"))
	require.Empty(t, workflow.Status(e.view, nil).Nodes[workflow.NodeID("wf", "wf.a")].TemplateName)
}

func TestTemplateDefaults(t *testing.T) {
	t.Parallel()
	e := frozen(t, rooted+`
  entrypoint: main
  templateDefaults:
    activeDeadlineSeconds: 30
    container: {image: default, env: [{name: A, value: a}, {name: B, value: b}]}
    script: {image: python}
  templates:
  - name: leaf
    activeDeadlineSeconds: 5
    container: {args: [x], env: [{name: B, value: mine}]}
  - name: main
    steps:
    - - {name: a, template: leaf}
      - {name: b, templateRef: {name: lib, template: echo}}
`)
	seen := map[string]*spec.Template{}
	e.act = func(n *workflow.Node, tmpl *spec.Template) *workflow.Result {
		seen[n.Key.DisplayName("wf")] = tmpl
		return echo(n, tmpl)
	}
	e.run(inOrder)
	require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase, e.dump())
	a, b := seen["a"], seen["b"]
	require.Equal(t, "default", a.Container.Image)
	require.Nil(t, a.Script)
	require.Equal(t, "5", a.ActiveDeadlineSeconds.String())
	env := map[string]string{}
	for _, v := range a.Container.Env {
		env[v.Name] = v.Value
	}
	require.Equal(t, map[string]string{"A": "a", "B": "mine"}, env)
	require.Equal(t, "busybox", b.Container.Image)
	require.Equal(t, "30", b.ActiveDeadlineSeconds.String())
}
