package worker_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"argosy/worker"
	"argosy/worker/executortest"
	"argosy/workflow"
	"argosy/workflow/spec"
)

func artifact(name, key string) spec.Artifact {
	a := spec.Artifact{Name: name, Path: "/" + name}
	a.S3 = &spec.S3Artifact{Key: key}
	return a
}

func stepOf(key workflow.Key, delivery int) *worker.Step {
	return &worker.Step{
		Run: &workflow.Run{ID: "run-1", Name: "wf"}, Key: key, PodName: "wf-a-1", Delivery: delivery,
		Template: &spec.Template{
			Name: "a", Container: &corev1.Container{},
			Inputs:  spec.Inputs{Artifacts: []spec.Artifact{artifact("in", "keys/in")}},
			Outputs: spec.Outputs{Artifacts: []spec.Artifact{artifact("out", "keys/out")}},
		},
	}
}

// site is a gateway with one open step.
type site struct {
	store   *executortest.Store
	gateway *worker.Gateway
	tokens  *worker.Tokens
	server  *httptest.Server
	step    *worker.Step
}

func newSite(t *testing.T, resolve func(context.Context, worker.Grant) (*worker.Step, error)) *site {
	t.Helper()
	tokens, err := worker.NewTokens([]byte(strings.Repeat("k", 32)))
	require.NoError(t, err)
	s := &site{store: executortest.NewStore(), tokens: tokens, step: stepOf(workflow.Root.Step(0, "a"), 2)}
	s.store.Set("keys/in", "input")
	s.store.Set("keys/secret", "another's")
	s.gateway = worker.NewGateway(worker.GatewayConfig{Store: s.store, Tokens: tokens, Resolve: resolve}, slog.New(slog.DiscardHandler))
	s.server = httptest.NewServer(s.gateway.Handler())
	t.Cleanup(s.server.Close)
	t.Cleanup(s.gateway.Open(s.step, nil))
	return s
}

func (s *site) do(t *testing.T, method, path, token, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.server.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := s.server.Client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

func TestGatewayServesWhatATokenIsFor(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	now := time.Now()
	own, err := s.gateway.Token(s.step, now)
	require.NoError(t, err)
	foreign, err := s.gateway.Token(stepOf(workflow.Root.Step(0, "b"), 2), now)
	require.NoError(t, err)
	old, err := s.gateway.Token(stepOf(s.step.Key, 1), now)
	require.NoError(t, err)
	expired, err := s.gateway.Token(s.step, now.Add(-8*24*time.Hour))
	require.NoError(t, err)
	otherKey, err := worker.NewTokens(nil)
	require.NoError(t, err)
	forged, err := otherKey.Issue(worker.Grant{Run: "run-1", Key: s.step.Key, Delivery: 2, Expires: now.Unix() + 60})
	require.NoError(t, err)
	payload, _, _ := strings.Cut(own, ".")

	for _, c := range []struct {
		name, method, path, token string
		status                    int
		body                      string
	}{
		{"an input", "GET", "/v1/inputs/in", own, 200, "input"},
		{"an output", "PUT", "/v1/outputs/out", own, 204, ""},
		{"an output's object", "PUT", "/v1/outputs/out?object=a/b", own, 204, ""},
		{"the outcome", "PUT", "/v1/outcome", own, 204, ""},
		{"no progress", "PUT", "/v1/progress", own, 400, ""},
		{"no token", "GET", "/v1/inputs/in", "", 401, ""},
		{"a token without signature", "GET", "/v1/inputs/in", payload, 401, ""},
		{"a forged token", "GET", "/v1/inputs/in", forged, 401, ""},
		{"an expired token", "GET", "/v1/inputs/in", expired, 401, ""},
		{"the token of a step that is not here", "GET", "/v1/inputs/in", foreign, 503, ""},
		{"a superseded delivery's token", "PUT", "/v1/outputs/out", old, 409, ""},
		{"an artifact that is not the step's", "GET", "/v1/inputs/secret", own, 400, ""},
		{"an output read as input", "GET", "/v1/inputs/out", own, 400, ""},
		{"an input written as output", "PUT", "/v1/outputs/in", own, 400, ""},
		{"an object outside of the artifact", "PUT", "/v1/outputs/out?object=../secret", own, 400, ""},
		{"an absolute object", "PUT", "/v1/outputs/out?object=/etc/passwd", own, 400, ""},
		{"an object that is not there", "GET", "/v1/inputs/in?object=x", own, 404, ""},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			status, body := s.do(t, c.method, c.path, c.token, "data")
			require.Equal(t, c.status, status, "body: %s", body)
			if c.body != "" {
				require.Equal(t, c.body, body)
			}
		})
	}
	require.Equal(t, executortest.Tree{
		"keys/in": "input", "keys/secret": "another's", "keys/out": "data", "keys/out/a/b": "data",
		"wf/wf-a-1/.outcome.d2.json": "data",
	}, s.store.Objects())
}

func TestGatewayServesStepsOfOtherWorkers(t *testing.T) {
	t.Parallel()
	theirs := stepOf(workflow.Root.Step(0, "theirs"), 1)
	s := newSite(t, func(_ context.Context, g worker.Grant) (*worker.Step, error) {
		if g.Key == theirs.Key && g.Delivery == theirs.Delivery {
			return theirs, nil
		}
		return nil, worker.ErrSuperseded
	})
	token, err := s.gateway.Token(theirs, time.Now())
	require.NoError(t, err)
	status, body := s.do(t, "GET", "/v1/inputs/in", token, "")
	require.Equal(t, 200, status)
	require.Equal(t, "input", body)
	status, _ = s.do(t, "GET", "/v1/plan", token, "")
	require.Equal(t, 200, status)

	gone, err := s.gateway.Token(stepOf(workflow.Root.Step(0, "gone"), 1), time.Now())
	require.NoError(t, err)
	status, _ = s.do(t, "GET", "/v1/inputs/in", gone, "")
	require.Equal(t, 409, status)
}

func TestGatewayLetsNobodyInOnceClosed(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	step := stepOf(workflow.Root.Step(1, "z"), 1)
	closing := s.gateway.Open(step, nil)
	token, err := s.gateway.Token(step, time.Now())
	require.NoError(t, err)
	status, _ := s.do(t, "GET", "/v1/inputs/in", token, "")
	require.Equal(t, 200, status)
	closing()
	status, _ = s.do(t, "GET", "/v1/inputs/in", token, "")
	require.Equal(t, 503, status)
}

func TestGatewayStopsWithItsContext(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.gateway.Serve(ctx, l) }()
	cancel()
	require.NoError(t, <-done)
}

func TestTokenKeysMustBeLong(t *testing.T) {
	t.Parallel()
	_, err := worker.NewTokens([]byte("short"))
	require.ErrorContains(t, err, "at least 32")
}

func TestAsDeliveryMovesDefaultKeysOnly(t *testing.T) {
	t.Parallel()
	s := stepOf(workflow.Root.Step(0, "a"), 3)
	own := artifact("own", "wf/wf-a-1/own.d3.tgz")
	s.Template.Outputs.Artifacts = append(s.Template.Outputs.Artifacts, own)
	as := s.AsDelivery(1)
	require.Equal(t, "keys/out", as.Template.Outputs.Artifacts[0].S3.Key)
	require.Equal(t, "wf/wf-a-1/own.tgz", as.Template.Outputs.Artifacts[1].S3.Key)
	require.Equal(t, "wf/wf-a-1/own.d3.tgz", s.Template.Outputs.Artifacts[1].S3.Key, "the step itself is unchanged")
	require.Same(t, s, s.AsDelivery(3))
}

func TestGatewayPassesOnWhatStepsTellOfTheirProgress(t *testing.T) {
	t.Parallel()
	tokens, err := worker.NewTokens(nil)
	require.NoError(t, err)
	var told []string
	cfg := worker.GatewayConfig{Store: executortest.NewStore(), Tokens: tokens}
	cfg.Tells = func(_ context.Context, run string, key workflow.Key, p spec.Progress) error {
		if p == "9/9" {
			return fmt.Errorf("gone: %w", worker.ErrLeaseLost)
		}
		told = append(told, fmt.Sprint(run, " ", key, " ", p))
		return nil
	}
	s := &site{step: stepOf(workflow.Root.Step(0, "a"), 2), gateway: worker.NewGateway(cfg, slog.New(slog.DiscardHandler))}
	s.server = httptest.NewServer(s.gateway.Handler())
	defer s.server.Close()
	defer s.gateway.Open(s.step, nil)()
	own, err := s.gateway.Token(s.step, time.Now())
	require.NoError(t, err)
	for body, want := range map[string]int{"3/7\n": 204, "9/9": 409, "x": 400, "": 400} {
		status, text := s.do(t, "PUT", "/v1/progress", own, body)
		require.Equal(t, want, status, text)
	}
	require.Equal(t, []string{"run-1 " + string(s.step.Key) + " 3/7"}, told)
}
