package worker_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/worker"
	"argosy/worker/executortest"
	"argosy/worker/handover"
	"argosy/workflow"
)

func TestAPodsTokenLetsItInOnce(t *testing.T) {
	t.Parallel()
	tokens, err := worker.NewTokens(nil)
	require.NoError(t, err)
	g := worker.NewGateway(worker.GatewayConfig{URL: "http://all", Own: "http://one", Store: executortest.NewStore(), Tokens: tokens}, slog.New(slog.DiscardHandler))
	require.Equal(t, "http://one", g.Own())
	server := httptest.NewServer(g.Handler())
	defer server.Close()
	ask := func(path, token, protocol string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", protocol)
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode
	}
	now := time.Now()
	pod, err := g.PodToken("ns/pod", now)
	require.NoError(t, err)
	old, err := g.PodToken("ns/pod", now.Add(-30*24*time.Hour))
	require.NoError(t, err)
	other, err := g.PodToken("ns/other", now)
	require.NoError(t, err)
	s := &worker.Step{Run: &workflow.Run{ID: "run"}, Key: workflow.Root.Step(0, "a"), Delivery: 1}
	step, err := g.Token(s, now)
	require.NoError(t, err)
	defer g.Open(s, &handover.Plan{})()
	in := make(chan struct{}, 2)
	closing := g.Admit("ns/pod", func(*handover.Wire) { in <- struct{}{} })

	for name, c := range map[string]struct {
		path, token, protocol string
		want                  int
	}{
		"no token":                           {handover.PathWarm, "", handover.WarmProtocol, http.StatusUnauthorized},
		"a step's token":                     {handover.PathWarm, step, handover.WarmProtocol, http.StatusUnauthorized},
		"an old token":                       {handover.PathWarm, old, handover.WarmProtocol, http.StatusUnauthorized},
		"another pod's":                      {handover.PathWarm, other, handover.WarmProtocol, http.StatusConflict},
		"another protocol":                   {handover.PathWarm, pod, "websocket", http.StatusUpgradeRequired},
		"a pod that wants a step's plan":     {handover.PathPlan, pod, "", http.StatusUnauthorized},
		"a pod that wants a step's artifact": {"/v1/inputs/a", pod, "", http.StatusUnauthorized},
	} {
		require.Equal(t, c.want, ask(c.path, c.token, c.protocol), name)
	}
	require.Empty(t, in)
	require.Equal(t, http.StatusSwitchingProtocols, ask(handover.PathWarm, pod, handover.WarmProtocol))
	<-in
	require.Equal(t, http.StatusConflict, ask(handover.PathWarm, pod, handover.WarmProtocol), "a second time")
	g.Admit("ns/pod", func(*handover.Wire) { in <- struct{}{} })
	closing()
	require.Equal(t, http.StatusConflict, ask(handover.PathWarm, pod, handover.WarmProtocol), "when it is not waited for any more")
}
