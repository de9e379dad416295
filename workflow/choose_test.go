package workflow_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

func TestArtifactsAreChosenByExpression(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, expression, optional, key, message string }{
		{"the one that ran", "steps.coin.outputs.result == 'heads' ? steps.heads.outputs.artifacts.f : steps.tails.outputs.artifacts.f", "false", "heads", ""},
		{"names with hyphens", "steps['coin'].outputs.result == 'x' ? steps['tails'].outputs.artifacts.f : steps['heads'].outputs.artifacts.f", "false", "heads", ""},
		{"one that was skipped", "steps.tails.outputs.artifacts.f", "false", "", "absent optional"},
		{"one that was skipped, optional", "steps.tails.outputs.artifacts.f", "true", "", ""},
		{"another for it", "steps.tails.outputs.artifacts.f ?? steps.heads.outputs.artifacts.f", "false", "heads", ""},
		{"what is no artifact", "steps.coin.outputs.result", "false", "", "the result is not an artifact"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, head+`
  - name: file
    inputs: {parameters: [{name: side}]}
    outputs: {artifacts: [{name: f, path: /f, s3: {key: "{{inputs.parameters.side}}"}}]}
    container: {image: busybox, args: [x]}
  - name: main
    steps:
    - - {name: coin, template: echo, arguments: {parameters: [{name: text, value: heads}]}}
    - - {name: heads, template: file, when: "{{steps.coin.outputs.result}} == heads", arguments: {parameters: [{name: side, value: heads}]}}
      - {name: tails, template: file, when: "{{steps.coin.outputs.result}} == tails", arguments: {parameters: [{name: side, value: tails}]}}
    outputs: {artifacts: [{name: out, optional: `+c.optional+`, fromExpression: "`+c.expression+`"}]}
`)
			e.act = func(n *workflow.Node, tmpl *spec.Template) *workflow.Result {
				if tmpl.Name == "file" {
					return &workflow.Result{Phase: spec.NodeSucceeded, Outputs: &workflow.Values{Artifacts: tmpl.Outputs.Artifacts}}
				}
				return echo(n, tmpl)
			}
			e.run(inOrder)
			root := e.node("wf")
			if c.message != "" {
				require.Equal(t, spec.NodeError, root.Phase)
				require.Contains(t, root.Message, c.message)
				return
			}
			require.Equal(t, spec.NodeSucceeded, root.Phase, root.Message)
			a, ok := root.Outputs.Artifact("out")
			require.Equal(t, c.key != "", ok)
			if ok {
				require.Equal(t, c.key, a.S3.Key)
			}
		})
	}
}
