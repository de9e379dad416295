package server

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow/spec"
)

func TestSubmittedWorkflowsHaveTheServersDefaults(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	defaults, err := spec.ParseDefaults("d.yaml", []byte("metadata: {labels: {env: all}}\nspec: {ttlStrategy: {secondsAfterCompletion: 60}, parallelism: 2}\n"))
	require.NoError(t, err)
	b.service.defaults = defaults
	object(t, ask(t, "POST", b.URL+templates, stored(`{"name":"t"}`)))
	for _, body := range []string{
		`{"workflow":` + hello(`{"name":"own"}`) + `}`,
		`{"workflow":{"metadata":{"name":"refers"},"spec":{"workflowTemplateRef":{"name":"t"}}}}`,
	} {
		made := object(t, ask(t, "POST", b.URL+"/api/v1/workflows/default", body))
		require.Equal(t, "all", made.labels()["env"])
		id, err := b.store.RunID(t.Context(), "default", made.name())
		require.NoError(t, err)
		plan, err := b.service.plan(t.Context(), b.store.runs[id])
		require.NoError(t, err)
		require.EqualValues(t, 60, *plan.Spec.TTLStrategy.SecondsAfterCompletion)
		require.EqualValues(t, 2, *plan.Spec.Parallelism)
		require.Equal(t, "main", plan.Spec.Entrypoint)
	}
}

func TestOnlyWorkflowsOfATemplateAreAcceptedUnderARestriction(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.service.restrict = spec.RestrictionStrict
	object(t, ask(t, "POST", b.URL+templates, stored(`{"name":"t"}`)))
	submit := func(workflow string) answer {
		return ask(t, "POST", b.URL+"/api/v1/workflows/default", `{"workflow":`+workflow+`}`)
	}
	for _, refused := range []string{
		hello(`{"name":"own"}`),
		`{"metadata":{"name":"more"},"spec":{"workflowTemplateRef":{"name":"t"},"serviceAccountName":"root"}}`,
	} {
		require.Equal(t, http.StatusBadRequest, submit(refused).status)
	}
	made := object(t, submit(`{"metadata":{"name":"refers"},"spec":{"workflowTemplateRef":{"name":"t"},"priority":3}}`))
	require.Equal(t, "refers", made.name())
}
