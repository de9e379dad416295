package agent_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"argosy/worker"
	"argosy/worker/agent"
	"argosy/worker/egress"
	"argosy/worker/executortest"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// objects are those of namespace "default".
type objects map[string]map[string][]byte

func (o objects) Secret(_ context.Context, namespace, name string) (map[string][]byte, error) {
	if namespace != "default" {
		return nil, errors.New("asked for a secret of another namespace")
	}
	return o[name], nil
}

func (o objects) ConfigMap(context.Context, string, string) (map[string][]byte, error) {
	return nil, errors.New("asked for a config map")
}

// nobody is what steps of other templates would go to.
var nobody = worker.ExecutorFunc(func(context.Context, *worker.Step) (workflow.Result, error) {
	return workflow.Result{Phase: spec.NodeSucceeded, Message: "by the next executor"}, nil
})

func newAgent(guard *egress.Guard, store *executortest.Store) *agent.Agent {
	secrets := objects{"token": {"value": []byte("s3cr3t")}}
	return agent.New(nobody, guard, secrets, store, nil, "here")
}

func step(t *spec.Template) *worker.Step {
	t.Name = "asks"
	return &worker.Step{
		Run: &workflow.Run{ID: "1", Name: "wf", Namespace: "default"}, Key: workflow.Root, Delivery: 1,
		Spec: &spec.WorkflowSpec{}, Template: t, Log: io.Discard,
	}
}

// echo answers with what it was asked, or as its path says.
func echo(w http.ResponseWriter, r *http.Request) {
	switch body, _ := io.ReadAll(r.Body); r.URL.Path {
	case "/teapot":
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, "short and stout")
	case "/away":
		http.Redirect(w, r, "/landed", http.StatusFound)
	case "/large":
		io.CopyN(w, endless{}, 17<<20) //nolint:errcheck // the client hangs up
	case "/never":
		<-r.Context().Done()
	default:
		w.Header().Set("X-Served-By", "echo")
		fmt.Fprintf(w, "%s %s host=%v token=%s body=%s", r.Method, r.URL.Path, r.Host == "named", r.Header.Get("X-Token"), body)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestARequestIsMadeAndJudged(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(echo))
	t.Cleanup(server.Close)
	secret := func(name, key string, optional bool) *spec.HTTPHeaderSource {
		return &spec.HTTPHeaderSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: key, Optional: &optional,
		}}
	}
	second := int64(1)
	for name, tt := range map[string]struct {
		http    spec.HTTP
		phase   spec.NodePhase
		result  string
		message string // a part of the node's message, or of the fault's if there is a class
		class   string
	}{
		"a get": {http: spec.HTTP{URL: "/a"}, phase: spec.NodeSucceeded, result: "GET /a host=false token= body="},
		"a body": {
			http:  spec.HTTP{Method: "PUT", URL: "/a", Body: "text"},
			phase: spec.NodeSucceeded, result: "PUT /a host=false token= body=text",
		},
		"a body of bytes": {
			http:  spec.HTTP{Method: "POST", URL: "/a", BodyFrom: &spec.HTTPBodySource{Bytes: []byte("bytes")}},
			phase: spec.NodeSucceeded, result: "POST /a host=false token= body=bytes",
		},
		"headers, one from a secret": {
			http: spec.HTTP{URL: "/a", Headers: spec.HTTPHeaders{
				{Name: "Host", Value: "named"}, {Name: "X-Token", ValueFrom: secret("token", "value", false)},
			}},
			phase: spec.NodeSucceeded, result: "GET /a host=true token=s3cr3t body=",
		},
		"an optional secret that is not there": {
			http:  spec.HTTP{URL: "/a", Headers: spec.HTTPHeaders{{Name: "X-Token", ValueFrom: secret("none", "value", true)}}},
			phase: spec.NodeSucceeded, result: "GET /a host=false token= body=",
		},
		"a secret that is not there": {
			http:  spec.HTTP{URL: "/a", Headers: spec.HTTPHeaders{{Name: "X-Token", ValueFrom: secret("none", "value", false)}}},
			class: worker.ClassInvalid, message: `there is no secret "none" in namespace "default"`,
		},
		"a key that is not there": {
			http:  spec.HTTP{URL: "/a", Headers: spec.HTTPHeaders{{Name: "X-Token", ValueFrom: secret("token", "other", false)}}},
			class: worker.ClassInvalid, message: `has no key "other"`,
		},
		"a redirect":      {http: spec.HTTP{URL: "/away"}, phase: spec.NodeSucceeded, result: "GET /landed host=false token= body="},
		"an error status": {http: spec.HTTP{URL: "/teapot"}, phase: spec.NodeFailed, result: "short and stout", message: "received non-2xx response code: 418"},
		"a condition on the answer": {
			http:  spec.HTTP{URL: "/teapot", SuccessCondition: `response.statusCode == 418 && response.body contains "stout"`},
			phase: spec.NodeSucceeded, result: "short and stout",
		},
		"a condition on headers and the request": {
			http: spec.HTTP{
				Method: "POST", URL: "/a", Body: "x",
				SuccessCondition: `response.headers["X-Served-By"][0] == "echo" && request.method == "POST" && request.body == "x"`,
			},
			phase: spec.NodeSucceeded, result: "POST /a host=false token= body=x",
		},
		"a condition that does not hold": {
			http:  spec.HTTP{URL: "/a", SuccessCondition: "response.statusCode == 201"},
			phase: spec.NodeFailed, result: "GET /a host=false token= body=", message: "successCondition 'response.statusCode == 201' evaluated false",
		},
		"a condition that cannot be evaluated": {
			http:  spec.HTTP{URL: "/a", SuccessCondition: "response.status == 201 + nothing"},
			phase: spec.NodeFailed, result: "GET /a host=false token= body=", message: "nothing",
		},
		"too slow":         {http: spec.HTTP{URL: "/never", TimeoutSeconds: &second}, phase: spec.NodeFailed, message: "deadline exceeded"},
		"too large":        {http: spec.HTTP{URL: "/large"}, phase: spec.NodeFailed, message: "more than 16777216 bytes"},
		"a broken method":  {http: spec.HTTP{Method: "NOT GOOD", URL: "/a"}, phase: spec.NodeFailed, message: "invalid method"},
		"an unknown place": {http: spec.HTTP{URL: "gopher://hole/"}, phase: spec.NodeFailed, message: "unsupported protocol scheme"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if strings.HasPrefix(tt.http.URL, "/") {
				tt.http.URL = server.URL + tt.http.URL
			}
			r, err := newAgent(&egress.Guard{Local: true}, executortest.NewStore()).Execute(t.Context(), step(&spec.Template{HTTP: &tt.http}))
			if tt.class != "" {
				fault, ok := errors.AsType[*worker.Fault](err)
				require.True(t, ok, "%v", err)
				require.Equal(t, tt.class, fault.Class)
				require.ErrorContains(t, err, tt.message)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.phase, r.Phase, r.Message)
			require.Contains(t, r.Message, tt.message)
			if tt.result != "" {
				require.Equal(t, tt.result, *r.Outputs.Result)
			}
			require.Equal(t, "here", r.Host)
			require.NotZero(t, r.Finished)
		})
	}
}

func TestCertificatesAreLookedAtUnlessTheTemplateSaysNo(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(echo))
	t.Cleanup(server.Close)
	for insecure, phase := range map[bool]spec.NodePhase{false: spec.NodeFailed, true: spec.NodeSucceeded} {
		a := newAgent(&egress.Guard{Local: true}, executortest.NewStore())
		r, err := a.Execute(t.Context(), step(&spec.Template{HTTP: &spec.HTTP{URL: server.URL, InsecureSkipVerify: insecure}}))
		require.NoError(t, err)
		require.Equal(t, phase, r.Phase, r.Message)
	}
}

func TestWorkflowsDoNotReachTheWorkersOwnMachine(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was reached") }))
	t.Cleanup(server.Close)
	_, err := newAgent(&egress.Guard{}, executortest.NewStore()).Execute(t.Context(), step(&spec.Template{HTTP: &spec.HTTP{URL: server.URL}}))
	fault, ok := errors.AsType[*worker.Fault](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, worker.ClassInvalid, fault.Class)
	require.ErrorIs(t, err, egress.ErrRefused)
}

func TestARequestEndsWithItsStep(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, 2)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	a := newAgent(&egress.Guard{Local: true}, executortest.NewStore())
	s := step(&spec.Template{HTTP: &spec.HTTP{URL: server.URL}})

	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { <-arrived; cancel(worker.ErrStopped) }()
	_, err := a.Execute(ctx, s)
	require.ErrorIs(t, err, worker.ErrStopped)

	s.Deadline = time.Now().Add(time.Millisecond)
	r, err := a.Execute(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, worker.DeadlineMessage, r.Message)
}

func TestOtherTemplatesGoToTheExecutor(t *testing.T) {
	t.Parallel()
	r, err := newAgent(&egress.Guard{}, executortest.NewStore()).Execute(t.Context(), step(&spec.Template{Container: &corev1.Container{}}))
	require.NoError(t, err)
	require.Equal(t, "by the next executor", r.Message)
}

func TestDataIsListedAndTransformed(t *testing.T) {
	t.Parallel()
	store := executortest.NewStore()
	for _, key := range []string{"in/a.csv", "in/b.txt", "in/sub/c.csv", "other/d.csv"} {
		store.Set(key, "")
	}
	for name, tt := range map[string]struct {
		steps   []string
		result  string
		message string
	}{
		"all of it":        {result: `["in/a.csv","in/b.txt","in/sub/c.csv"]`},
		"filtered":         {steps: []string{`filter(data, {# endsWith ".csv"})`}, result: `["in/a.csv","in/sub/c.csv"]`},
		"one upon another": {steps: []string{`filter(data, {# endsWith ".csv"})`, `map(data, {upper(#)})`, `{"n": len(data), "first": data[0]}`}, result: `{"first":"IN/A.CSV","n":2}`},
		"none":             {steps: []string{`filter(data, {# == ""})`}, result: `[]`},
		"broken":           {steps: []string{`data`, `data[7]`}, message: "transformation 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &spec.Data{Source: spec.DataSource{ArtifactPaths: &spec.ArtifactPaths{}}}
			d.Source.ArtifactPaths.S3 = &spec.S3Artifact{Key: "in/"}
			for _, e := range tt.steps {
				d.Transformation = append(d.Transformation, spec.TransformationStep{Expression: e})
			}
			r, err := newAgent(&egress.Guard{}, store).Execute(t.Context(), step(&spec.Template{Data: d}))
			if tt.message != "" {
				require.ErrorContains(t, err, tt.message)
				return
			}
			require.NoError(t, err)
			require.JSONEq(t, tt.result, *r.Outputs.Result)
		})
	}
}
