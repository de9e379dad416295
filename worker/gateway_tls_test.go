package worker_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/worker"
	"argosy/worker/executortest"
	"argosy/worker/handover"
)

const sharedKey = "a key that all workers share, of enough bytes"

// serveTLS serves a gateway whose tokens are signed with the key.
func serveTLS(t *testing.T, key string) *worker.Gateway {
	t.Helper()
	tokens, err := worker.NewTokens([]byte(key))
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g := worker.NewGateway(worker.GatewayConfig{URL: "https://" + l.Addr().String(), Store: executortest.NewStore(), Tokens: tokens}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return g
}

// status asks a gateway for a plan, without a token.
func status(url string, config *tls.Config) (int, error) {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	resp, err := client.Get(url + handover.PathPlan)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func TestAPodTalksToWhoHasItsGatewaysKeyAndToNobodyElse(t *testing.T) {
	t.Parallel()
	mine, heir, impostor := serveTLS(t, sharedKey), serveTLS(t, sharedKey), serveTLS(t, "another key, which is not the workers' own")
	known := handover.ClientTLS(mine.KeySum())
	for name, g := range map[string]*worker.Gateway{"its own worker": mine, "another one of the fleet": heir} {
		code, err := status(g.URL(), known)
		require.NoError(t, err, name)
		require.Equal(t, http.StatusUnauthorized, code, name)
	}
	_, err := status(impostor.URL(), known)
	require.ErrorContains(t, err, "another key than the gateway")
	_, err = status(mine.URL(), handover.ClientTLS(""))
	require.ErrorContains(t, err, "another key than the gateway", "without a sum nobody is known")
	_, err = status(mine.URL(), nil)
	require.Error(t, err, "no authority stands for it")
	code, err := status("http"+mine.URL()[len("https"):], nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusBadRequest, code, "in clear text nothing is served")
}

func TestAGatewayWithoutTLSHasNoKeyToKnowItBy(t *testing.T) {
	t.Parallel()
	tokens, err := worker.NewTokens([]byte(sharedKey))
	require.NoError(t, err)
	require.Empty(t, worker.NewGateway(worker.GatewayConfig{URL: "http://gateway", Tokens: tokens}, slog.New(slog.DiscardHandler)).KeySum())
}
