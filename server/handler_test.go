package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow/spec"
)

type answer struct {
	status  int
	Code    Code   `json:"code"`
	Message string `json:"message"`
	body    string
}

func ask(t *testing.T, method, url, body string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	out := answer{status: res.StatusCode, body: string(data)}
	if res.StatusCode != http.StatusOK {
		require.NoError(t, json.Unmarshal(data, &out), "every error has a JSON body: %s", data)
	}
	return out
}

func TestRefusalsHaveArgosCodes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.submit(t, "default", "taken")
	wrap := func(wf string) string { return `{"workflow":` + wf + `}` }
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
		code                     Code
		message                  string
	}{
		{"a duplicate", "POST", "/api/v1/workflows/default", wrap(hello(`{"name":"taken"}`)), 409, CodeExists, `workflows.argoproj.io "taken" already exists`},
		{"no workflow", "POST", "/api/v1/workflows/default", `{}`, 400, CodeInvalid, "workflow field not set"},
		{"not JSON", "POST", "/api/v1/workflows/default", `{`, 400, CodeInvalid, "not the JSON that was expected"},
		{"no body", "POST", "/api/v1/workflows/default", ``, 400, CodeInvalid, "workflow field not set"},
		{"no name", "POST", "/api/v1/workflows/default", wrap(hello(`{}`)), 400, CodeInvalid, "name or generateName is required"},
		{"a bad name", "POST", "/api/v1/workflows/default", wrap(hello(`{"name":"No_Name"}`)), 400, CodeInvalid, "metadata.name"},
		{"a bad generateName", "POST", "/api/v1/workflows/default", wrap(hello(`{"generateName":"No_Name-"}`)), 400, CodeInvalid, "metadata.generateName"},
		{"a bad label", "POST", "/api/v1/workflows/default", wrap(hello(`{"name":"a","labels":{"x":"not a label"}}`)), 400, CodeInvalid, "metadata.labels"},
		{"a bad namespace", "POST", "/api/v1/workflows/No_Space", wrap(hello(`{"name":"a"}`)), 400, CodeInvalid, "metadata.namespace"},
		{"another namespace", "POST", "/api/v1/workflows/default", wrap(hello(`{"name":"a","namespace":"other"}`)), 400, CodeInvalid, "does not match"},
		{"another kind", "POST", "/api/v1/workflows/default", wrap(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}`), 400, CodeInvalid, "expected a Workflow, found a ConfigMap"},
		{"a misspelt field", "POST", "/api/v1/workflows/default", wrap(`{"apiVersion":"argoproj.io/v1alpha1","kind":"Workflow","metadata":{"name":"a"},"spec":{"entrypont":"x"}}`), 400, CodeInvalid, `spec.entrypont: unknown field "entrypont" (did you mean "entrypoint"?)`},
		{"an unknown template", "POST", "/api/v1/workflows/default/lint", wrap(strings.Replace(hello(`{"name":"a"}`), `"entrypoint":"main"`, `"entrypoint":"nope"`, 1)), 400, CodeInvalid, "nope"},
		{"what cannot run yet", "POST", "/api/v1/workflows/default", wrap(strings.Replace(hello(`{"name":"a"}`), `"spec":{`, `"spec":{"executorPlugins":[{}],`, 1)), 400, CodeInvalid, "spec.executorPlugins"},
		{"an unknown run", "GET", "/api/v1/workflows/default/nope", "", 404, CodeNotFound, `workflows.argoproj.io "nope" not found`},
		{"another uid", "GET", "/api/v1/workflows/default/taken?uid=x", "", 404, CodeNotFound, "not found"},
		{"the latest of none", "GET", "/api/v1/workflows/empty/@latest", "", 404, CodeNotFound, "no workflows"},
		{"deleting what is not there", "DELETE", "/api/v1/workflows/default/nope", "", 404, CodeNotFound, "not found"},
		{"stopping what is not there", "PUT", "/api/v1/workflows/default/nope/stop", "", 404, CodeNotFound, "not found"},
		{"stopping a node that is not there", "PUT", "/api/v1/workflows/default/taken/stop", `{"nodeFieldSelector":"displayName=x"}`, 400, CodeInvalid, "no suspend nodes matching nodeFieldSelector: displayName=x"},
		{"resuming a node that is not there", "PUT", "/api/v1/workflows/default/taken/resume", `{"nodeFieldSelector":"displayName=x"}`, 400, CodeInvalid, "no suspend nodes matching"},
		{"setting without a selector", "PUT", "/api/v1/workflows/default/taken/set", `{"message":"x"}`, 400, CodeInvalid, "use a node field selector to target them"},
		{"a bad node selector", "PUT", "/api/v1/workflows/default/taken/set", `{"nodeFieldSelector":"x","message":"x"}`, 400, CodeInvalid, "nodeFieldSelector: "},
		{"a bad phase", "PUT", "/api/v1/workflows/default/taken/set", `{"nodeFieldSelector":"name=x","phase":"Running"}`, 400, CodeInvalid, "Running is an invalid phase to set to"},
		{"bad outputs", "PUT", "/api/v1/workflows/default/taken/set", `{"nodeFieldSelector":"name=x","outputParameters":"x"}`, 400, CodeInvalid, "unable to parse output parameter set request"},
		{"retrying what is not there", "PUT", "/api/v1/workflows/default/nope/retry", "", 404, CodeNotFound, "not found"},
		{"retrying what has not ended", "PUT", "/api/v1/workflows/default/taken/retry", "", 400, CodeInvalid, "Cannot retry a workflow in phase Pending"},
		{"resubmitting what is not there", "PUT", "/api/v1/workflows/default/nope/resubmit", "", 404, CodeNotFound, "not found"},
		{"resubmitting what has not failed", "PUT", "/api/v1/workflows/default/taken/resubmit", `{"memoized":true}`, 400, CodeInvalid, "workflow must be Failed/Error to resubmit in memoized mode"},
		{"resubmitting with bad arguments", "PUT", "/api/v1/workflows/default/taken/resubmit", `{"parameters":["x"]}`, 400, CodeInvalid, "expected parameter of the form: NAME=VALUE. Received: x"},
		{"suspending what is not there", "PUT", "/api/v1/workflows/default/nope/suspend", "", 404, CodeNotFound, "not found"},
		{"the logs of what is not there", "GET", "/api/v1/workflows/default/nope/log", "", 404, CodeNotFound, "not found"},
		{"the logs of a pod that is not there", "GET", "/api/v1/workflows/default/taken/log?podName=x", "", 404, CodeNotFound, `pods "x" not found`},
		{"a bad expression", "GET", "/api/v1/workflows/default/taken/log?grep=(", "", 400, CodeInvalid, "grep"},
		{"a bad label selector", "GET", "/api/v1/workflows/default?listOptions.labelSelector=a=(", "", 400, CodeInvalid, "label selector"},
		{"a bad field selector", "GET", "/api/v1/workflow-events/default?listOptions.fieldSelector=spec.x=y", "", 400, CodeInvalid, "spec.x"},
		{"a bad limit", "GET", "/api/v1/workflows/default?listOptions.limit=many", "", 400, CodeInvalid, "limit"},
		{"a bad time", "GET", "/api/v1/workflows/default?createdAfter=yesterday", "", 400, CodeInvalid, "createdAfter"},
		{"a path of nobody", "GET", "/api/v1/sensors/default", "", 404, CodeNotFound, "not served here"},
		{"too large", "POST", "/api/v1/workflows/default", strings.Repeat(" ", maxBody+1), 400, CodeInvalid, "more than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := ask(t, tt.method, b.URL+tt.path, tt.body)
			require.Equal(t, tt.status, a.status, a.body)
			require.Equal(t, tt.code, a.Code)
			require.Contains(t, a.Message, tt.message)
		})
	}
}

func TestAllThatIsWrongIsToldAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := ask(t, "POST", b.URL+"/api/v1/workflows/default", `{"workflow":{"apiVersion":"argoproj.io/v1alpha1","kind":"Workflow",
		"metadata":{"generateName":"a-"},"spec":{"entrypont":"a","templates":[{"name":"a","contaner":{}}]}}}`)
	lines := strings.Split(a.Message, "\n")
	require.Len(t, lines, 2, a.Message)
	require.Regexp(t, `^line \d+:\d+: spec\.entrypont: `, lines[0])
	require.Regexp(t, `^line \d+:\d+: spec\.templates\[0\]\.contaner: `, lines[1])
}

func TestTroubleOfTheStoreIsAServerError(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.submit(t, "default", "x")
	b.store.do(func() { b.store.failed = errors.New("connection refused") })
	for _, path := range []string{"/api/v1/workflows/default", "/api/v1/workflows/default/x", "/api/v1/workflows/default/x/log"} {
		a := ask(t, "GET", b.URL+path, "")
		require.Equal(t, 500, a.status)
		require.Equal(t, CodeInternal, a.Code)
		require.Contains(t, a.Message, "connection refused")
	}
	require.Equal(t, 503, ask(t, "GET", b.URL+"/readyz", "").status)
	require.Equal(t, 200, ask(t, "GET", b.URL+"/healthz", "").status)
}

func TestAGeneratedNameThatIsTakenIsGeneratedAnew(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.store.do(func() { b.store.taken = 2 })
	wf, err := b.service.Submit(t.Context(), "default", []byte(hello(`{"generateName":"a-"}`)), SubmitOptions{})
	require.NoError(t, err)
	require.Regexp(t, `^a-[bcdfghjklmnpqrstvwxz2456789]{5}$`, wf.Name)
	require.Equal(t, "a-", wf.GenerateName)
	b.store.do(func() { b.store.taken = nameAttempts })
	_, err = b.service.Submit(t.Context(), "default", []byte(hello(`{"generateName":"a-"}`)), SubmitOptions{})
	require.Equal(t, CodeExists, asError(err).Code)
	long := generateName(strings.Repeat("x", 100))
	require.Len(t, long, 63, "as long as a label may be")
}

func TestADryRunKeepsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, option := range []string{`"createOptions":{"dryRun":["All"]}`, `"serverDryRun":true`} {
		a := ask(t, "POST", b.URL+"/api/v1/workflows/default", `{"workflow":`+hello(`{"name":"dry"}`)+`,`+option+`}`)
		require.Equal(t, 200, a.status, a.body)
		var wf spec.Workflow
		require.NoError(t, json.Unmarshal([]byte(a.body), &wf))
		require.Equal(t, "dry", wf.Name)
		require.NotEmpty(t, wf.UID, "argo submit --server-dry-run insists on one")
	}
	require.Empty(t, b.store.runs)
}

func TestWhatComesInWithoutKindIsAWorkflow(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	doc := strings.Replace(hello(`{"name":"kindless"}`), `"apiVersion":"argoproj.io/v1alpha1","kind":"Workflow",`, "", 1)
	a := ask(t, "POST", b.URL+"/api/v1/workflows/default", `{"workflow":`+doc+`}`)
	require.Equal(t, 200, a.status, a.body)
}

func TestEndingWhatHasEndedIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.submit(t, "default", "over")
	b.store.do(func() { r.State.Phase, r.State.Finished = spec.WorkflowSucceeded, 1 })
	for _, verb := range []string{"stop", "terminate"} {
		a := ask(t, "PUT", b.URL+"/api/v1/workflows/default/over/"+verb, "")
		require.Equal(t, 400, a.status)
		require.Equal(t, CodePrecondition, a.Code)
		require.Contains(t, a.Message, "cannot shutdown a completed workflow")
	}
	require.Equal(t, 200, ask(t, "DELETE", b.URL+"/api/v1/workflows/default/over", "").status)
}

func TestTokensAreNeededOnceConfigured(t *testing.T) {
	t.Parallel()
	b := newBench(t, "s3cret", "other")
	for _, tt := range []struct {
		name   string
		header []string
		status int
	}{
		{"none", nil, 401},
		{"wrong", []string{"Authorization", "Bearer nope"}, 401},
		{"a prefix", []string{"Authorization", "Bearer s3cre"}, 401},
		{"empty", []string{"Authorization", "Bearer "}, 401},
		{"right", []string{"Authorization", "Bearer s3cret"}, 200},
		{"the second", []string{"Authorization", "Bearer other"}, 200},
		{"as a cookie", []string{"Cookie", "authorization=Bearer s3cret"}, 200},
		{"as a cookie, from another site", []string{"Cookie", "authorization=Bearer s3cret", "Sec-Fetch-Site", "cross-site"}, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := ask(t, "GET", b.URL+"/api/v1/workflows/", "", tt.header...)
			require.Equal(t, tt.status, a.status, a.body)
			if tt.status == 401 {
				require.Equal(t, CodeUnauthenticated, a.Code)
				require.True(t, strings.HasPrefix(a.Message, "token not valid. see https://argo-workflows.readthedocs.io/"))
			}
		})
	}
	require.Equal(t, 403, ask(t, "GET", b.URL+"/metrics", "").status)
	require.Equal(t, 200, ask(t, "GET", b.URL+"/metrics", "", "Authorization", "Bearer s3cret").status)
	a := ask(t, "POST", b.URL+"/api/v1/workflows/default", "{}", "Cookie", "authorization=Bearer s3cret", "Sec-Fetch-Site", "cross-site")
	require.Equal(t, 403, a.status, "a page of another site must not submit with the user's cookie")
}

func TestAnOpenServerKeepsWebPagesOut(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	body := `{"workflow":` + hello(`{"generateName":"a-"}`) + `}`
	for _, tt := range []struct {
		name, method string
		header       []string
		status       int
	}{
		{"a command", "POST", nil, 200},
		{"its own page", "POST", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"another site's page", "POST", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"an old browser's page", "POST", []string{"Origin", "https://evil.example"}, 403},
		{"a name that points here", "GET", []string{"Host", "evil.example:2746"}, 403},
		{"localhost", "GET", []string{"Host", "localhost:2746"}, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.status, ask(t, tt.method, b.URL+"/api/v1/workflows/default", body, tt.header...).status)
		})
	}
}

func TestAnOpenServerStaysOnLoopback(t *testing.T) {
	t.Parallel()
	for addr, ok := range map[string]bool{
		"127.0.0.1:2746": true, "localhost:2746": true, "[::1]:2746": true, "127.8.8.8:1": true,
		":2746": false, "0.0.0.0:2746": false, "10.0.0.1:2746": false, "[::]:2746": false, "example.com:2746": false,
	} {
		err := NewAuth(nil).RequireLoopback(addr)
		require.Equal(t, ok, err == nil, "%s: %v", addr, err)
		require.NoError(t, NewAuth([]Token{{Secret: "t"}}).RequireLoopback(addr))
	}
	_, err := ReadTokens(strings.NewReader("# none\n\n"))
	require.Error(t, err, "an empty file must not open the server")
	tokens, err := ReadTokens(strings.NewReader("# two\n a \n\nb name=bob email=bob@x.org username=b\n"))
	require.NoError(t, err)
	require.Equal(t, []Token{{Secret: "a"}, {Secret: "b", User: User{"bob", "bob@x.org", "b"}}}, tokens)
	for _, bad := range []string{"a b", "a name", "a email=x@y"} {
		_, err := ReadTokens(strings.NewReader("ok\n" + bad))
		require.ErrorContains(t, err, "line 2", bad)
	}
}

func TestStreamsEndWhenTheServerStops(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.submit(t, "default", "x")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	stop, end := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(stop, t.Context(), l, b.Config.Handler) }()
	res, err := http.Get("http://" + l.Addr().String() + "/api/v1/workflow-events/default")
	require.NoError(t, err)
	defer res.Body.Close()
	first := make([]byte, 1)
	_, err = res.Body.Read(first)
	require.NoError(t, err)
	end()
	_, err = io.ReadAll(res.Body)
	require.NoError(t, err, "the stream ends, it is not cut")
	require.NoError(t, <-served)
}

func TestEveryRouteIsCountedByItsPattern(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ask(t, "GET", b.URL+"/api/v1/workflows/default/some-name", "")
	ask(t, "POST", b.URL+"/api/v1/workflows/default", `{"workflow":`+hello(`{"name":"a"}`)+`}`)
	text := ask(t, "GET", b.URL+"/metrics", "").body
	require.Contains(t, text, `argosy_server_requests_total{method="GET",route="/api/v1/workflows/{namespace}/{name}",status="404"} 1`)
	require.Contains(t, text, `argosy_server_submitted_total{outcome="accepted"} 1`)
	require.NotContains(t, text, "some-name")
}
