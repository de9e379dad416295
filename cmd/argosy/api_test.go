package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/server"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// testAPI speaks to a real server as Argo's CLI, UI and Hera do.
func testAPI(t *testing.T, base string) {
	const ns = "api"
	call := func(method, path, body string) (int, []byte) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
		require.NoError(t, err)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		data, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, data
	}
	ok := func(method, path, body string, into any) {
		t.Helper()
		status, data := call(method, path, body)
		require.Equal(t, http.StatusOK, status, "%s %s: %s", method, path, data)
		require.NoError(t, json.Unmarshal(data, into), "every 200 has a JSON object")
	}
	submit := func(meta, script string) *spec.Workflow {
		t.Helper()
		quoted, _ := json.Marshal(script)
		var wf spec.Workflow
		ok("POST", "/api/v1/workflows/"+ns, `{"namespace":"`+ns+`","workflow":{"apiVersion":"argoproj.io/v1alpha1","kind":"Workflow","metadata":`+meta+`,
			"spec":{"entrypoint":"main","templates":[
				{"name":"main","steps":[[{"name":"one","template":"leaf"}]]},
				{"name":"leaf","script":{"image":"busybox","command":["sh"],"source":`+string(quoted)+`}}]},
			"status":{"startedAt":null,"finishedAt":null}}}`, &wf)
		return &wf
	}

	created := submit(`{"generateName":"api-","labels":{"team":"ships"},"annotations":{"note":"x"},"creationTimestamp":null}`, "echo hi")
	require.Regexp(t, `^api-[bcdfghjklmnpqrstvwxz2456789]{5}$`, created.Name)
	require.NotEmpty(t, created.UID)
	require.False(t, created.CreationTimestamp.IsZero())

	final := watchToTheEnd(t, base, ns, created.Name)
	require.Equal(t, spec.WorkflowSucceeded, final.Status.Phase)
	require.Equal(t, "Succeeded", final.Labels["workflows.argoproj.io/phase"])
	require.Equal(t, "true", final.Labels["workflows.argoproj.io/completed"])
	require.Equal(t, "ships", final.Labels["team"])
	require.Equal(t, "x", final.Annotations["note"])

	var got spec.Workflow
	ok("GET", "/api/v1/workflows/"+ns+"/"+created.Name+"?uid="+string(created.UID), "", &got)
	require.Equal(t, spec.Progress("1/1"), got.Status.Progress)
	id := workflow.NodeID(created.Name, created.Name+"[0].one")
	require.Contains(t, got.Status.Nodes, id, "nodes have Argo's ids")
	require.Equal(t, "0", *got.Status.Nodes[id].Outputs.ExitCode)

	_, data := call("GET", "/api/v1/workflows/"+ns+"/@latest?fields=metadata.name,status.phase", "")
	require.JSONEq(t, `{"metadata":{"name":"`+created.Name+`"},"status":{"phase":"Succeeded"}}`, string(data))

	submit(`{"name":"second"}`, "exit 1")
	watchToTheEnd(t, base, ns, "second")
	names := func(query string) (string, string) {
		t.Helper()
		var list spec.WorkflowList
		ok("GET", "/api/v1/workflows/"+query, "", &list)
		require.NotNil(t, list.Items, "an empty list is a list")
		var all []string
		for _, wf := range list.Items {
			if wf.Namespace == ns {
				all = append(all, strings.Replace(wf.Name, created.Name, "first", 1))
			}
		}
		return strings.Join(all, " "), list.Continue
	}
	for query, want := range map[string]string{
		"": "second first", // of all namespaces: the segment is empty
		"?listOptions.fieldSelector=metadata.namespace%3D" + ns: "second first",
		ns: "second first",
		ns + "?listOptions.labelSelector=team%3Dships":                                              "first",
		ns + "?listOptions.labelSelector=workflows.argoproj.io%2Fphase+in+(Failed)":                 "second",
		ns + "?nameFilter=Prefix&listOptions.fieldSelector=metadata.name%3Dsec":                     "second",
		ns + "?nameFilter=Contains&listOptions.fieldSelector=metadata.name%3Dcon":                   "second",
		ns + "?nameFilter=NotEquals&listOptions.fieldSelector=metadata.name%3Dsecond":               "first",
		ns + "?listOptions.fieldSelector=metadata.name%3D@latest":                                   "second",
		ns + "?listOptions.fieldSelector=metadata.name%3Dnobody":                                    "",
		ns + "?createdAfter=" + url.QueryEscape(time.Now().Add(time.Hour).Format(time.RFC3339)):     "",
		ns + "?finishedBefore=" + url.QueryEscape(time.Now().Add(time.Hour).Format(time.RFC3339)):   "second first",
		ns + "?fields=items.metadata.name,items.metadata.namespace&listOptions.labelSelector=!team": "second",
	} {
		got, next := names(query)
		require.Equal(t, want, got, query)
		require.Empty(t, next)
	}
	page, next := names(ns + "?listOptions.limit=1")
	require.Equal(t, "second", page)
	require.NotEmpty(t, next)
	page, next = names(ns + "?listOptions.limit=1&listOptions.continue=" + url.QueryEscape(next))
	require.Equal(t, "first", page)
	require.Empty(t, next)
	status, _ := call("GET", "/api/v1/workflows/"+ns+"?listOptions.continue=nonsense", "")
	require.Equal(t, http.StatusBadRequest, status)

	status, data = call("POST", "/api/v1/workflows/"+ns, `{"workflow":{"apiVersion":"argoproj.io/v1alpha1","kind":"Workflow","metadata":{"name":"second"},
		"spec":{"entrypoint":"a","templates":[{"name":"a","container":{"image":"x"}}]}}}`)
	require.Equal(t, http.StatusConflict, status)
	require.JSONEq(t, `{"code":6,"message":"workflows.argoproj.io \"second\" already exists"}`, string(data))

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/api/v1/workflows/"+ns+"/"+created.Name+"/log?logOptions.container=main&logOptions.follow=true", nil)
	require.NoError(t, err)
	req.Header.Set("Accept", "text/event-stream")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	logs, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	pod := workflow.PodName(created.Name, "leaf", workflow.Root.Step(0, "one"))
	require.Equal(t, fmt.Sprintf("data: {\"result\":{\"content\":\"hi\",\"podName\":%q}}\n\n", pod), string(logs))

	for _, path := range []string{"/api/v1/version", "/api/v1/info", "/api/v1/userinfo"} {
		ok("GET", path, "", &map[string]any{})
	}
	for range 2 {
		status, data = call("DELETE", "/api/v1/workflows/"+ns+"/second?deleteOptions.propagationPolicy=Background", "")
		if status == http.StatusOK {
			require.JSONEq(t, `{}`, string(data))
		}
	}
	require.Equal(t, http.StatusNotFound, status)
	for _, path := range []string{"/healthz", "/readyz"} {
		status, _ = call("GET", path, "")
		require.Equal(t, http.StatusOK, status)
	}
}

// watchToTheEnd reads a watch as Argo's Go client does, and returns the run's last state.
func watchToTheEnd(t *testing.T, base, ns, name string) *spec.Workflow {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	query := url.Values{"listOptions.fieldSelector": {"metadata.name=" + name}, "listOptions.resourceVersion": {"0"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/v1/workflow-events/"+ns+"?"+query.Encode(), nil)
	require.NoError(t, err)
	req.Header.Set("Accept", "text/event-stream")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
	want := server.Added
	for lines := bufio.NewReader(res.Body); ; {
		line, err := lines.ReadBytes('\n')
		require.NoError(t, err)
		if len(line) <= 6 {
			continue
		}
		var frame struct{ Result server.WatchEvent }
		require.NoError(t, json.Unmarshal(line[6:], &frame))
		require.Equal(t, want, frame.Result.Type)
		want = server.Modified
		if wf := frame.Result.Object; !wf.Status.FinishedAt.IsZero() {
			return wf
		}
	}
}
