package server

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow/spec"
)

const templates = "/api/v1/workflow-templates/default"

// stored is a valid template's request.
func stored(metadata string) string {
	return `{"template":{"metadata":` + metadata + `,"spec":{"entrypoint":"main",
		"arguments":{"parameters":[{"name":"who","value":"all"}]},"workflowMetadata":{"labels":{"team":"x"},"labelsFrom":{"who":{"expression":"workflow.parameters.who"}}},
		"templates":[{"name":"main","container":{"image":"busybox","command":["echo","{{workflow.parameters.who}}"]}}]}}}`
}

func object(t *testing.T, a answer) Object {
	t.Helper()
	require.Equal(t, 200, a.status, a.body)
	var o Object
	require.NoError(t, json.Unmarshal([]byte(a.body), &o))
	return o
}

func TestTemplatesAreStoredReadChangedAndDeleted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	created := object(t, ask(t, "POST", b.URL+templates, stored(`{"name":"a"}`)))
	require.Equal(t, "WorkflowTemplate", created["kind"])
	require.Equal(t, "default", created.metadata()["namespace"])
	require.NotEmpty(t, created.metadata()["uid"])
	require.NotEmpty(t, created.metadata()["creationTimestamp"])
	version := created.metadata()["resourceVersion"]

	updated := object(t, ask(t, "PUT", b.URL+templates+"/a", stored(`{"name":"a","resourceVersion":"`+version.(string)+`","labels":{"l":"1"}}`)))
	require.NotEqual(t, version, updated.metadata()["resourceVersion"])
	require.Equal(t, created.metadata()["uid"], updated.metadata()["uid"])
	require.Equal(t, updated, object(t, ask(t, "GET", b.URL+templates+"/a", "")))

	old := ask(t, "PUT", b.URL+templates+"/a", stored(`{"name":"a","resourceVersion":"`+version.(string)+`"}`))
	require.Equal(t, 409, old.status)
	require.Contains(t, old.Message, "the object has been modified")

	object(t, ask(t, "POST", b.URL+templates, stored(`{"generateName":"gen-"}`)))
	for query, want := range map[string]int{"": 2, "?listOptions.labelSelector=l%3D1": 1, "?namePattern=gen": 1, "?listOptions.limit=1": 1, "?listOptions.continue=1": 1} {
		list := object(t, ask(t, "GET", b.URL+templates+query, ""))
		require.Len(t, list["items"], want, query)
		require.Equal(t, "WorkflowTemplateList", list["kind"])
	}
	require.Len(t, object(t, ask(t, "GET", b.URL+"/api/v1/workflow-templates/", ""))["items"], 2)

	object(t, ask(t, "DELETE", b.URL+templates+"/a", ""))
	require.Equal(t, 404, ask(t, "GET", b.URL+templates+"/a", "").status)
}

func TestObjectsAreRefusedForAReason(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	object(t, ask(t, "POST", b.URL+templates, stored(`{"name":"taken"}`)))
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		message                  string
	}{
		{"a duplicate", "POST", templates, stored(`{"name":"taken"}`), 409, `workflowtemplates.argoproj.io "taken" already exists`},
		{"nothing", "POST", templates, `{}`, 400, "template field not set"},
		{"no name", "POST", templates, stored(`{}`), 400, "name"},
		{"a bad name", "POST", templates, stored(`{"name":"No_Name"}`), 400, "No_Name"},
		{"another namespace", "POST", templates, stored(`{"name":"a","namespace":"other"}`), 400, "does not match"},
		{"another kind", "POST", templates, `{"template":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}}`, 400, "expected one WorkflowTemplate"},
		{"an unknown field", "POST", templates + "/lint", `{"template":{"metadata":{"name":"a"},"spec":{"entrypont":"x"}}}`, 400, "did you mean"},
		{"an unknown reference", "POST", templates, `{"template":{"metadata":{"name":"a"},"spec":{"templates":[{"name":"m","steps":[[{"name":"s","templateRef":{"name":"none","template":"x"}}]]}]}}}`, 400, `workflow template "none" not found`},
		{"one that is not there", "PUT", templates + "/none", stored(`{"name":"none"}`), 404, `"none" not found`},
		{"another name", "PUT", templates + "/taken", stored(`{"name":"none"}`), 400, "does not match"},
		{"deleting what is not there", "DELETE", templates + "/none", "", 404, "not found"},
		{"submitting what is not there", "POST", "/api/v1/workflows/default/submit", `{"resourceKind":"WorkflowTemplate","resourceName":"none"}`, 404, "not found"},
		{"submitting another kind", "POST", "/api/v1/workflows/default/submit", `{"resourceKind":"Pod","resourceName":"x"}`, 400, "resource kind 'Pod'"},
		{"a bad parameter", "POST", "/api/v1/workflows/default/submit", `{"resourceKind":"WorkflowTemplate","resourceName":"taken","submitOptions":{"parameters":["x"]}}`, 400, "NAME=VALUE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := ask(t, c.method, b.URL+c.path, c.body)
			require.Equal(t, c.status, a.status, a.body)
			require.Contains(t, a.Message, c.message)
		})
	}
}

func TestRunsOfTemplatesAreLabelledAndFrozen(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	object(t, ask(t, "POST", b.URL+templates, stored(`{"name":"a"}`)))
	a := ask(t, "POST", b.URL+"/api/v1/workflows/default/submit",
		`{"resourceKind":"workflowtemplate","resourceName":"a","submitOptions":{"name":"run","parameters":["who=you"],"labels":"l=1"}}`)
	object(t, a)
	object(t, ask(t, "DELETE", b.URL+templates+"/a", ""))

	wf, err := b.service.Get(t.Context(), "default", "run", "")
	require.NoError(t, err)
	require.Equal(t, "a", wf.Spec.WorkflowTemplateRef.Name)
	require.Equal(t, "main", wf.Status.StoredWorkflowSpec.Entrypoint)
	require.Equal(t, "you", wf.Status.StoredWorkflowSpec.Arguments.GetParameterByName("who").GetValue())
	for label, want := range map[string]string{"workflows.argoproj.io/workflow-template": "a", "team": "x", "who": "you", "l": "1"} {
		require.Equal(t, want, wf.Labels[label], label)
	}
}

func TestArgumentsComeFromConfigMaps(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	object(t, ask(t, "POST", b.URL+"/api/v1/configmaps/default",
		`{"configMap":{"metadata":{"name":"c","labels":{"workflows.argoproj.io/configmap-type":"Parameter"}},"data":{"k":"v"}}}`))
	run := func(ref string) *spec.Parameter {
		doc := `{"metadata":{"generateName":"r-"},"spec":{"entrypoint":"main","arguments":{"parameters":[{"name":"p","valueFrom":` + ref + `}]},
			"templates":[{"name":"main","container":{"image":"busybox","args":["{{workflow.parameters.p}}"]}}]}}`
		wf, err := b.service.Submit(t.Context(), "default", []byte(doc), SubmitOptions{})
		require.NoError(t, err)
		return b.store.runs[string(wf.UID)].Run.Arguments.GetParameterByName("p")
	}
	require.Equal(t, "v", run(`{"configMapKeyRef":{"name":"c","key":"k"}}`).GetValue())
	require.Equal(t, "d", run(`{"configMapKeyRef":{"name":"c","key":"none"},"default":"d"}`).GetValue())
	require.Nil(t, run(`{"configMapKeyRef":{"name":"c","key":"none"}}`).Value, "its run ends for it")

	b.objects.failed = errors.New("the store is away")
	_, err := b.service.Submit(t.Context(), "default", []byte(`{"metadata":{"name":"x"},"spec":{"workflowTemplateRef":{"name":"a"}}}`), SubmitOptions{})
	require.ErrorIs(t, err, b.objects.failed, "not taken for a template that does not exist")
}

func TestSecretsKeepTheirValues(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const at = "/api/v1/secrets/default"
	a := ask(t, "POST", b.URL+at, `{"secret":{"metadata":{"name":"s"},"stringData":{"password":"hidden"}}}`)
	require.Equal(t, []any{"password"}, object(t, a)["stringData"])
	require.NotContains(t, ask(t, "GET", b.URL+at+"/s", "").body+ask(t, "GET", b.URL+at, "").body, "hidden")
	s, err := b.objects.Get(t.Context(), spec.KindSecret, "default", "s")
	require.NoError(t, err)
	require.Contains(t, string(s.JSON), "hidden")
}
