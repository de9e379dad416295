package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
)

func TestARunTellsKubernetesOfItself(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var told []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var e corev1.Event
		body, err := io.ReadAll(r.Body)
		if err == nil { // the client chooses between JSON and protobuf
			_, _, err = scheme.Codecs.UniversalDeserializer().Decode(body, nil, &e)
		}
		if r.Method+" "+r.URL.Path != "POST /api/v1/namespaces/default/events" || err != nil {
			http.Error(w, "no event", http.StatusNotFound)
			return
		}
		mu.Lock()
		told = append(told, e.Reason)
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		e.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Event"}
		json.NewEncoder(w).Encode(&e) //nolint:errcheck // the client is gone, then
	}))
	defer server.Close()
	config := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `{"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": [{"name": "c", "cluster": {"server": %q}}], "contexts": [{"name": "c", "context": {"cluster": "c"}}]}`, server.URL), 0o600))
	file := write(t, "told", "  - name: main\n    container: {image: busybox, command: [\"true\"]}\n")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for flag, want := range map[string][]string{
		"--kubernetes-events":                      {"WorkflowNodeRunning", "WorkflowNodeSucceeded", "WorkflowRunning", "WorkflowSucceeded"},
		"--kubernetes-events --node-events=false":  {"WorkflowRunning", "WorkflowSucceeded"},
		"--node-events-as-pods --node-events=true": nil,
	} {
		cmd := command(ctx, append([]string{"run", "--embedded", "memory", "--executor", "noop", "--kubeconfig", config, file}, strings.Fields(flag)...)...)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		require.NoError(t, cmd.Run(), "%s: %s", flag, &errs)
		mu.Lock()
		slices.Sort(told)
		require.Equal(t, want, told, "%s: %s", flag, &errs)
		told = nil
		mu.Unlock()
	}
}
