package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

const failsFirst = `apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: NAME}
spec:
  entrypoint: main
  ttlStrategy: {secondsAfterCompletion: 1}
  arguments: {parameters: [{name: ok, value: "no"}]}
  templates:
  - name: main
    steps:
    - - {name: one, template: say, arguments: {parameters: [{name: text, value: one}]}}
    - - {name: wide, template: item, withSequence: {count: "5"}, arguments: {parameters: [{name: i, value: "{{item}}"}]}}
    - - {name: tell, template: say, arguments: {parameters: [{name: text, value: "{{steps.one.outputs.result}} {{steps.wide.outputs.result}}"}]}}
  - name: say
    inputs: {parameters: [{name: text}]}
    container: {image: busybox, command: [echo, "{{inputs.parameters.text}}"]}
  - name: item
    inputs: {parameters: [{name: i}]}
    container:
      image: busybox
      command: [sh, -c, "echo i{{inputs.parameters.i}}; test {{inputs.parameters.i}} != 3 -o {{workflow.parameters.ok}} = yes"]
`

func TestAnArchivedRunIsRetriedAndResubmitted(t *testing.T) {
	t.Parallel()
	r := startRoles(t)
	r.server = r.serve("--artifacts", r.dir)
	r.start("coordinator", "--archive", "--artifacts", r.dir)
	r.worker()
	_, errs, code := r.argosy("submit", "--wait", file(t, strings.ReplaceAll(failsFirst, "NAME", "again")+"---\n"+short("fine")))
	require.Equal(t, exitRunFailed, code, errs)
	r.eventually("Persisted", "get", "again", "-o", "json")
	r.eventually("Persisted", "get", "fine", "-o", "json")
	before := r.archived("again")
	require.Equal(t, spec.WorkflowFailed, before.Status.Phase)
	node := func(wf *spec.Workflow, tail string) spec.NodeStatus {
		return wf.Status.Nodes[workflow.NodeID(wf.Name, wf.Name+tail)]
	}

	for _, c := range []struct {
		want string
		args []string
	}{
		{"To retry a succeeded workflow, set the options restartSuccessful and nodeFieldSelector", []string{"retry", "fine"}},
		{"archived workflow 'none' not found", []string{"retry", "none"}},
		{"not found", []string{"resubmit", "--uid", "none"}},
		{"requires either selector or workflow", []string{"retry"}},
	} {
		_, errs, code := r.argosy(append([]string{"archive"}, c.args...)...)
		require.Equal(t, exitUsage, code)
		require.Contains(t, errs, c.want)
	}

	out := r.ok("archive", "resubmit", "again", "--memoized", "-p", "ok=yes", "--wait", "-o", "name")
	memoized := lines(out)[0]
	r.eventually("Persisted", "get", memoized, "-o", "json")
	wf := r.archived(memoized)
	require.Equal(t, spec.WorkflowSucceeded, wf.Status.Phase, wf.Status.Message)
	require.Equal(t, spec.NodeTypeSkipped, node(wf, "[0].one").Type, "it was taken over")
	require.Contains(t, node(wf, "[2].tell").Inputs.Parameters[0].GetValue(), `one ["i0","i1","i2","i3","i4"]`)

	require.Contains(t, r.ok("archive", "retry", "again", "-p", "ok=yes", "--wait"), "retried as again")
	r.eventually("Succeeded", "archive", "get", "again")
	r.eventually("Persisted", "get", "again", "-o", "json")
	wf = r.archived("again")
	require.Equal(t, before.UID, wf.UID)
	require.Equal(t, spec.WorkflowSucceeded, wf.Status.Phase)
	require.Equal(t, node(before, "[0].one").StartedAt, node(wf, "[0].one").StartedAt, "it ran again")
	require.Equal(t, `one ["i0","i1","i2","i3","i4"]`, node(wf, "[2].tell").Inputs.Parameters[0].GetValue())
	require.Equal(t, 1, strings.Count(r.ok("archive", "list", "-o", "name"), "again\n"), "it is one run")

	// The name is taken.
	r.ok("submit", file(t, strings.ReplaceAll(strings.ReplaceAll(failsFirst, "NAME", "again"), "ttlStrategy: {secondsAfterCompletion: 1}", "suspend: true")))
	_, errs, code = r.argosy("archive", "retry", string(before.UID), "--restart-successful", "--node-field-selector", "displayName=one")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "Workflow already exists on cluster, use argo retry {name} instead")
	live := &spec.Workflow{}
	require.NoError(t, json.Unmarshal([]byte(r.ok("get", "again", "-o", "json")), live))
	require.NotEqual(t, before.UID, live.UID)
}
