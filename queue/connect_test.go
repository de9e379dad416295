package queue_test

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/queue"
	"argosy/queue/queuetest"
)

// says passes a log's first line on.
type says chan string

func (s says) Write(p []byte) (int, error) {
	select {
	case s <- string(bytes.TrimSpace(p)):
	default:
	}
	return len(p), nil
}

func TestConnectWaitsForARedisThatComesLater(t *testing.T) {
	t.Parallel()
	server := queuetest.StartServer(t)
	server.Kill(t)
	waiting, connected := make(says, 1), make(chan error, 1)
	go func() {
		c, err := queue.Connect(t.Context(), server.URL(), queue.Options{Log: slog.New(slog.NewTextHandler(waiting, nil)), Wait: time.Hour})
		if err == nil {
			err = c.Close()
		}
		connected <- err
	}()
	require.Contains(t, <-waiting, "Redis does not answer yet")
	server.Restart(t)
	require.NoError(t, <-connected)
}
