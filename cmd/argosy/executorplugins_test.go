package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// startExecutor starts an executor plugin, which greets, and says how often it was asked for each greeting.
// A greeting is ready when it is asked for again. It knows its callers by a token in a file.
func startExecutor(t *testing.T) (flag string, asked func(to string) int) {
	t.Helper()
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("s3cr3t"), 0o600))
	var mu sync.Mutex
	calls := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var args struct {
			Template struct {
				Plugin map[string]struct{ To string }
			}
		}
		if r.Header.Get("Authorization") != "Bearer s3cr3t" {
			http.Error(w, "who are you?", http.StatusForbidden)
			return
		}
		if err := json.NewDecoder(r.Body).Decode(&args); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		greeting, ok := args.Template.Plugin["hello"]
		mu.Lock()
		defer mu.Unlock()
		calls[greeting.To]++
		switch {
		case !ok:
			fmt.Fprint(w, `{}`)
		case calls[greeting.To] == 1:
			fmt.Fprint(w, `{"node":{"phase":"Running","message":"thinking"},"requeue":"50ms"}`)
		default:
			fmt.Fprintf(w, `{"node":{"phase":"Succeeded","message":"Hello template!","outputs":{"parameters":[{"name":"said","value":"hello %s"}]}}}`, greeting.To)
		}
	}))
	t.Cleanup(server.Close)
	return "hello=" + server.URL + ",token-file=" + token, func(to string) int {
		mu.Lock()
		defer mu.Unlock()
		return calls[to]
	}
}

const greetings = `  - name: main
    steps:
    - - {name: greet, template: greet, arguments: {parameters: [{name: to, value: "{{item}}"}]}, withItems: [you, me, them]}
    - - {name: say, template: say, arguments: {parameters: [{name: all, value: "{{steps.greet.outputs.parameters.said}}"}]}}
  - name: greet
    inputs: {parameters: [{name: to}]}
    outputs: {parameters: [{name: said, valueFrom: {default: nothing}}]}
    plugin: {hello: {to: "{{inputs.parameters.to}}"}}
  - name: say
    inputs: {parameters: [{name: all}]}
    container: {image: busybox, command: [echo, "{{inputs.parameters.all}}"]}
`

func TestPluginTemplatesAreCarriedOutByPlugins(t *testing.T) {
	t.Parallel()
	plugin, asked := startExecutor(t)
	file := write(t, "plugins", greetings)
	out, errs, code := argosy(t, "run", "--embedded", "memory", "--slots", "1", "--log", "--executor-plugin", plugin, file)
	require.Zero(t, code, "%s%s", out, errs)
	require.Contains(t, out, `["hello you","hello me","hello them"]`)
	for _, to := range []string{"you", "me", "them"} {
		require.Equal(t, 2, asked(to), to)
	}
}

func TestPluginTemplatesThatNobodyTakesFail(t *testing.T) {
	t.Parallel()
	plugin, _ := startExecutor(t)
	file := write(t, "plugins", "  - name: main\n    plugin: {other: {}}\n")
	out, _, code := argosy(t, "run", "--embedded", "memory", "--executor-plugin", plugin, file)
	require.Equal(t, exitRunFailed, code, out)
	require.Contains(t, out, "no plugin executed the template")

	name, _, _ := strings.Cut(plugin, ",")
	out, _, code = argosy(t, "run", "--embedded", "memory", "--executor-plugin", name, write(t, "plugins", "  - name: main\n    plugin: {hello: {}}\n"))
	require.Equal(t, exitRunFailed, code, out)
	require.Contains(t, out, "403 Forbidden: who are you?", "without its token")
}

func TestPluginTemplatesAreRefusedWhereThereAreNoPlugins(t *testing.T) {
	t.Parallel()
	refused(t, write(t, "plugins", greetings), `spec.templates[1].plugin: no executor plugin is configured`)
	refused(t, write(t, "plugins", "  - name: main\n    plugin: {a: {}, b: {}}\n"), `spec.templates[0].plugin: templates.main.plugin: expected exactly one key, got 2`)
	refused(t, write(t, "plugins", "  - name: main\n    container: {image: busybox, command: [sh]}\n  executorPlugins: [{spec: {}}]\n"), `executor plugins are not started with a workflow`)
	_, errs, code := argosy(t, "run", "--executor-plugin", "hello", write(t, "plugins", greetings))
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "is not NAME=ADDRESS")
}
