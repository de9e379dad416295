package spec_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow/spec"
)

func TestWorkflowsHaveDefaults(t *testing.T) {
	t.Parallel()
	d, err := spec.ParseDefaults("d.yaml", []byte(`
metadata:
  labels: {team: all, env: prod}
spec:
  entrypoint: main
  parallelism: 3
  ttlStrategy: {secondsAfterSuccess: 5, secondsAfterFailure: 9}
  arguments: {parameters: [{name: who, value: all}]}
  templates: [{name: exit, container: {image: a}}]
  hooks: {exit: {template: exit}}
`))
	require.NoError(t, err)
	stored := &spec.WorkflowSpec{Entrypoint: "stored", OnExit: "s"}
	find := func(name string, _ bool) *spec.WorkflowSpec {
		if name == "t" {
			return stored
		}
		return nil
	}
	parse := func(text string) *spec.Workflow {
		docs, err := spec.Parse("w.yaml", []byte("apiVersion: argoproj.io/v1alpha1\nkind: Workflow\n"+text))
		require.NoError(t, err)
		return docs[0].Object.(*spec.Workflow)
	}

	own := parse("metadata: {labels: {team: mine}}\nspec:\n  ttlStrategy: {secondsAfterSuccess: 1}\n  arguments: {parameters: [{name: who, value: me}]}\n  templates: [{name: main, suspend: {}}]\n")
	_, err = own.UnderDefaults(d, find)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"team": "mine", "env": "prod"}, own.Labels)
	require.Equal(t, "main", own.Spec.Entrypoint)
	require.EqualValues(t, 1, *own.Spec.TTLStrategy.SecondsAfterSuccess)
	require.EqualValues(t, 9, *own.Spec.TTLStrategy.SecondsAfterFailure)
	require.Equal(t, "me", own.Spec.Arguments.Parameters[0].Value.String())
	require.NotNil(t, own.Spec.Template("exit"))
	require.Equal(t, "exit", own.Spec.Hooks["exit"].Template)

	refers := parse("metadata: {name: a}\nspec:\n  parallelism: 7\n  workflowTemplateRef: {name: t}\n")
	found, err := refers.UnderDefaults(d, find)
	require.NoError(t, err)
	require.NoError(t, spec.Freeze(refers, found))
	require.Equal(t, "t", refers.Spec.WorkflowTemplateRef.Name)
	joined := refers.Execution()
	require.Equal(t, "stored", joined.Entrypoint, "what is stored goes before the defaults")
	require.Equal(t, "s", joined.OnExit)
	require.EqualValues(t, 7, *joined.Parallelism)
	require.EqualValues(t, 9, *joined.TTLStrategy.SecondsAfterFailure)

	plain := parse("metadata: {name: a}\nspec: {entrypoint: x}\n")
	_, err = plain.UnderDefaults(nil, find)
	require.NoError(t, err)
	require.Nil(t, plain.Spec.Parallelism)

	_, err = spec.ParseDefaults("d.yaml", []byte("spec:\n  paralelism: 3\n"))
	require.ErrorContains(t, err, "d.yaml:2:3: spec.paralelism: unknown field")
}
