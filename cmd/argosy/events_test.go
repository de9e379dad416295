package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEventsSubmitWorkflowsAndTheNewestAreKept(t *testing.T) {
	t.Parallel()
	r := startRoles(t)
	r.start("coordinator", "--keep", "Succeeded=2")
	r.worker()
	path := file(t, helloTemplate)
	_, errs, code := r.argosy("template", "create", path)
	require.Zero(t, code, errs)
	send := func(path, body string) {
		t.Helper()
		a, err := http.Post("http://"+r.server+path, "application/json", strings.NewReader(body))
		require.NoError(t, err)
		require.NoError(t, a.Body.Close())
		require.Equal(t, http.StatusOK, a.StatusCode)
	}
	send("/api/v1/workflow-event-bindings/default", `{"workflowEventBinding":{"metadata":{"name":"b"},"spec":{
		"event":{"selector":"payload.who != nil && discriminator == 'greet'"},
		"submit":{"workflowTemplateRef":{"name":"hello"},"metadata":{"name":"'of-' + payload.who"},
			"arguments":{"parameters":[{"name":"who","valueFrom":{"event":"payload.who"}}]}}}}}`)
	succeeded := func() string {
		out, errs, code := r.argosy("list", "--status", "Succeeded", "-o", "name")
		require.Zero(t, code, errs)
		return out
	}
	for _, who := range []string{"ann", "bob", "cat"} {
		send("/api/v1/events/default/greet", `{"who":"`+who+`"}`)
		require.Eventually(t, func() bool { return strings.Contains(succeeded(), "of-"+who) }, 30*time.Second, 50*time.Millisecond)
	}
	require.Eventually(t, func() bool { return succeeded() == "of-cat\nof-bob\n" }, 30*time.Second, 50*time.Millisecond)
	out, errs, code := r.argosy("logs", "of-cat", "--no-color")
	require.Zero(t, code, errs)
	require.Contains(t, out, "hello cat")

	_, errs, code = argosy(t, "coordinator", "--redis-url", r.redis, "--keep", "Running=2")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "expected one of Succeeded, Failed and Error")
}
