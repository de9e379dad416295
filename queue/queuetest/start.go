// Package queuetest starts Redis for tests, and holds the suite that every queue.Broker
// passes.
package queuetest

import (
	"context"
	"log/slog"
	"os/exec"
	"testing"
	"time"

	"argosy/queue"
)

// Start starts a private redis-server for the test and returns its URL.
func Start(t testing.TB) string {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatal("redis-server is not installed: run make deps")
	}
	return start(t, queue.EmbeddedServer)
}

// StartMemory starts the in-process Redis for the test and returns its URL.
func StartMemory(t testing.TB) string {
	t.Helper()
	// It shares the test's processor: on a busy machine it may not answer for seconds.
	return start(t, queue.EmbeddedMemory) + "?read_timeout=1m"
}

func start(t testing.TB, kind queue.EmbeddedKind) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	e, err := queue.StartEmbedded(ctx, kind)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Stop(); err != nil {
			t.Error(err)
		}
	})
	return e.URL
}

// Each runs a test against a real redis-server and against the in-process one.
func Each(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(t, Start(t))
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, StartMemory(t))
	})
}

// Connect connects to a Redis for the time of the test.
func Connect(t testing.TB, url string) *queue.Conn {
	t.Helper()
	return ConnectWith(t, url, queue.Options{})
}

// ConnectWith connects with options; a logger is not needed.
func ConnectWith(t testing.TB, url string, o queue.Options) *queue.Conn {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c, err := queue.Connect(context.Background(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}
