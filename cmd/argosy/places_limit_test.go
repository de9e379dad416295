package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const slowWorkflow = `
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: NAME}
spec:
  entrypoint: main
  priority: PRIORITY
  templates:
  - name: main
    container: {image: busybox, command: [sleep, "SECONDS"]}
`

func TestWorkflowsBeyondTheLimitArePending(t *testing.T) {
	t.Parallel()
	r := startRoles(t)
	r.start("coordinator", "--parallelism", "5", "--namespace-parallelism", "5", "--namespace-parallelism-of", "default=1")
	r.worker()
	submit := func(name, seconds, priority string) {
		t.Helper()
		_, errs, code := r.argosy("submit", file(t, strings.NewReplacer("NAME", name, "SECONDS", seconds, "PRIORITY", priority).Replace(slowWorkflow)))
		require.Zero(t, code, errs)
	}
	shows := func(name, text string) {
		t.Helper()
		for {
			out, _, code := r.argosy("get", name)
			require.Zero(t, code)
			if strings.Contains(out, text) {
				return
			}
			require.NoError(t, t.Context().Err())
		}
	}
	const postponed = "Workflow processing has been postponed because too many workflows are already running"
	submit("first", "300", "0")
	shows("first", "Running")
	submit("second", "300", "0")
	shows("second", postponed)
	submit("urgent", "0", "1")
	shows("urgent", postponed)
	_, errs, code := r.argosy("stop", "first")
	require.Zero(t, code, errs)
	_, errs, code = r.argosy("wait", "urgent")
	require.Zero(t, code, errs)
	shows("second", "Running")
	_, errs, code = r.argosy("terminate", "second")
	require.Zero(t, code, errs)
}
