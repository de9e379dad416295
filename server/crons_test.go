package server

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow/cron"
	"argosy/workflow/spec"
)

const crons = "/api/v1/cron-workflows/default"

// fakeCrons is what became of CronWorkflows.
type fakeCrons map[string]*cron.State

func (f fakeCrons) States(context.Context, string) (map[string]*cron.State, error) { return f, nil }

func scheduled(name, more string) string {
	return `{"cronWorkflow":{"metadata":{"name":"` + name + `"},"status":{"failed":7},"spec":{"schedules":["* * * * *"],` + more + `
		"workflowMetadata":{"labels":{"team":"x"}},
		"workflowSpec":{"entrypoint":"main","arguments":{"parameters":[{"name":"who","value":"all"},{"name":"b","value":"c"}]},
		"templates":[{"name":"main","container":{"image":"busybox","command":["echo","{{workflow.parameters.who}}"]}}]}}}}`
}

func TestCronWorkflowsAreStoredWithWhatBecameOfThem(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	made := object(t, ask(t, "POST", b.URL+crons, scheduled("a", "")))
	require.Equal(t, "CronWorkflow", made["kind"])
	require.Empty(t, made["status"], "it is not the client's to say")
	b.crons["a"] = &cron.State{
		UID: made.metadata()["uid"].(string), Scheduled: 60_000, Failed: 2, Phase: spec.CronWorkflowStopped,
		Active: []cron.Child{{ID: "id", Name: "a-60"}},
	}
	b.crons["b"] = &cron.State{UID: "an older one", Failed: 2}
	object(t, ask(t, "POST", b.URL+crons, scheduled("b", "")))
	for _, got := range []Object{
		object(t, ask(t, "GET", b.URL+crons+"/a", "")),
		object(t, ask(t, "PUT", b.URL+crons+"/a", scheduled("a", ""))),
		object(t, ask(t, "PUT", b.URL+crons+"/a/resume", "")),
		object(t, ask(t, "GET", b.URL+"/api/v1/cron-workflows/?listOptions.labelSelector=workflows.argoproj.io/cron-workflow-completed", ""))["items"].([]any)[0].(map[string]any),
	} {
		require.Equal(t, map[string]any{
			"active": []any{map[string]any{"kind": "Workflow", "apiVersion": "argoproj.io/v1alpha1", "namespace": "default", "name": "a-60", "uid": "id"}},
			"failed": 2.0, "lastScheduledTime": "1970-01-01T00:01:00Z", "phase": "Stopped",
		}, got["status"])
		require.Equal(t, map[string]any{"workflows.argoproj.io/cron-workflow-completed": "true"}, got.metadata()["labels"])
	}
	require.Empty(t, object(t, ask(t, "GET", b.URL+crons+"/b", ""))["status"])
	require.Equal(t, 404, ask(t, "PUT", b.URL+crons+"/none/suspend", "").status)
	bad := ask(t, "POST", b.URL+crons+"/lint", scheduled("c", `"timezone":"Nowhere/City",`))
	require.Equal(t, 400, bad.status)
	require.Contains(t, bad.Message, "invalid timezone 'Nowhere/City'")
}

func TestCronWorkflowsAreSuspendedAndResumed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	suspended := func(o Object) any { return o["spec"].(map[string]any)["suspend"] }
	first := object(t, ask(t, "POST", b.URL+crons, scheduled("a", "")))
	o := object(t, ask(t, "PUT", b.URL+crons+"/a/suspend", "{}"))
	require.Equal(t, true, suspended(o))
	require.NotEqual(t, first.metadata()["resourceVersion"], o.metadata()["resourceVersion"])
	require.Equal(t, o, object(t, ask(t, "GET", b.URL+crons+"/a", "")))
	require.Nil(t, suspended(object(t, ask(t, "PUT", b.URL+crons+"/a/resume", ""))))
}

func TestCronWorkflowsAreSubmittedByHand(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	object(t, ask(t, "POST", b.URL+crons, scheduled("a", "")))
	made := ask(t, "POST", b.URL+"/api/v1/workflows/default/submit",
		`{"resourceKind":"cronwf","resourceName":"a","submitOptions":{"parameters":["who=you"],"labels":"l=m"}}`)
	o := object(t, made)
	require.Regexp(t, "^a-.{5}$", o.name())
	require.Equal(t, map[string]any{"l": "m", "team": "x", "workflows.argoproj.io/cron-workflow": "a"}, o.metadata()["labels"])
	require.Contains(t, o.metadata()["annotations"], "workflows.argoproj.io/scheduled-time")
	require.Contains(t, made.body, `"parameters":[{"name":"who","value":"you"},{"name":"b","value":"c"}]`)
	require.Contains(t, made.body, `"entrypoint":"main"`)
}
