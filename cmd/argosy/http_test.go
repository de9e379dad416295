package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAnHTTPTemplateAsksAndItsAnswerIsItsResult(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s for %s", r.URL.Path, r.Header.Get("X-Token"))
	}))
	t.Cleanup(server.Close)
	text := strings.ReplaceAll(`  - name: main
    steps:
    - - name: ask
        template: ask
        arguments: {parameters: [{name: path, value: answer}]}
    - - name: tell
        template: tell
        arguments: {parameters: [{name: text, value: "{{steps.ask.outputs.result}}"}]}
  - name: ask
    inputs: {parameters: [{name: path}]}
    http:
      url: "URL/{{inputs.parameters.path}}"
      successCondition: response.statusCode == 200
      headers:
      - {name: X-Token, valueFrom: {secretKeyRef: {name: cred, key: token}}}
  - name: tell
    inputs: {parameters: [{name: text}]}
    container: {image: busybox, command: [echo, "it said {{inputs.parameters.text}}"]}
---
apiVersion: v1
kind: Secret
metadata: {name: cred}
stringData: {token: them}
`, "URL", server.URL)
	file := write(t, "http", text)
	out, errs, code := argosy(t, "run", "--log", file)
	require.Zero(t, code, "%s%s", out, errs)
	require.Contains(t, out, "it said /answer for them")

	out, errs, code = argosy(t, "run", "--allow-local-addresses=false", file)
	require.Equal(t, exitRunFailed, code, "%s%s", out, errs)
	require.Contains(t, out, "workflows may not reach this address: 127.0.0.1 is this machine")
}
