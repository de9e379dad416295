package queue_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"argosy/queue"
	"argosy/queue/queuetest"
)

func TestEmbeddedServerLeavesNothing(t *testing.T) {
	t.Parallel()
	e, err := queue.StartEmbedded(t.Context(), queue.EmbeddedServer)
	require.NoError(t, err)
	require.Equal(t, queue.EmbeddedServer, e.Kind)
	u, err := url.Parse(e.URL)
	require.NoError(t, err)
	require.FileExists(t, u.Path)
	require.NoError(t, queuetest.Connect(t, e.URL).Ping(t.Context()))
	require.NoError(t, e.Stop())
	<-e.Done
	require.NoDirExists(t, filepath.Dir(u.Path))
	require.NoError(t, e.Stop(), "twice")
}

func TestEmbeddedMemoryAsksForItsPassword(t *testing.T) {
	t.Parallel()
	e, err := queue.StartEmbedded(t.Context(), queue.EmbeddedMemory)
	require.NoError(t, err)
	require.Equal(t, queue.EmbeddedMemory, e.Kind)
	u, err := url.Parse(e.URL)
	require.NoError(t, err)
	u.User = nil
	_, err = queue.Connect(t.Context(), u.String(), queue.Options{Log: slog.New(slog.DiscardHandler), Wait: time.Hour})
	require.ErrorContains(t, err, "NOAUTH", "time will not mend that")
	require.NoError(t, e.Stop())
	require.NoError(t, e.Stop(), "twice")
}

func TestConnectTellsWhereNobodyAnswers(t *testing.T) {
	t.Parallel()
	_, err := queue.Connect(t.Context(), "unix:///nonexistent/socket", queue.Options{})
	require.ErrorContains(t, err, "connecting to Redis at /nonexistent/socket")
	_, err = queue.Connect(t.Context(), "http://localhost", queue.Options{})
	require.ErrorContains(t, err, "reading the Redis URL")
}

// The test binary runs itself as the process that is killed.
func TestEmbeddedServerDiesWithUs(t *testing.T) {
	if os.Getenv("ARGOSY_TEST_PARENT") != "" {
		e, err := queue.StartEmbedded(context.Background(), queue.EmbeddedServer)
		require.NoError(t, err)
		fmt.Println(e.URL)
		_, _ = io.Copy(io.Discard, os.Stdin) // until we are killed
		return
	}
	t.Parallel()
	parent := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v=false")
	parent.Env = append(os.Environ(), "ARGOSY_TEST_PARENT=1")
	_, err := parent.StdinPipe()
	require.NoError(t, err)
	output, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	u, err := url.Parse(line[:len(line)-1])
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(filepath.Dir(u.Path)) })
	conn := queuetest.Connect(t, u.String())
	require.NoError(t, conn.Ping(t.Context()))
	require.NoError(t, parent.Process.Kill())
	_ = parent.Wait() // says that it was killed
	// The kernel ends the child with the parent: its end of the socket closes.
	for conn.Ping(t.Context()) == nil {
	}
}

func TestServingWithAPasswordListensToAsynqsChannel(t *testing.T) {
	t.Parallel()
	e, err := queue.StartEmbedded(t.Context(), queue.EmbeddedMemory)
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Stop()) }()
	b := queue.NewAsynq(queuetest.Connect(t, e.URL))
	defer b.Close()
	opts, err := redis.ParseURL(e.URL)
	require.NoError(t, err)
	raw := redis.NewClient(opts)
	defer raw.Close()
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- b.Serve(ctx, queue.ServeConfig{Pool: pool, Slots: 1}, func(context.Context, queue.Delivery) {})
	}()
	for raw.PubSubNumSub(t.Context(), "asynq:cancel").Val()["asynq:cancel"] == 0 {
		require.NoError(t, t.Context().Err())
		runtime.Gosched()
	}
	stop()
	require.NoError(t, <-served)
}
