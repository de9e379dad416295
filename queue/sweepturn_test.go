package queue

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
)

func TestOneSweepAnHourIsEnough(t *testing.T) {
	t.Parallel()
	e, err := StartEmbedded(t.Context(), EmbeddedMemory)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Stop()) })
	conn, err := Connect(t.Context(), e.URL, Options{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer conn.Close()
	runs := NewRuns(conn)
	require.NoError(t, runs.Submit(t.Context(), &workflow.Run{ID: "1", Name: "one", Namespace: "argo"}, []byte(`{}`)))
	require.NoError(t, runs.Delete(t.Context(), "1"))

	sweep := func(want int) {
		t.Helper()
		removed, err := runs.sweepInTurn(t.Context(), 0)
		require.NoError(t, err)
		require.Equal(t, want, removed)
	}
	sweep(0) // marks
	sweep(0) // not its turn
	require.NoError(t, conn.client.Del(t.Context(), sweepingKey).Err())
	sweep(1)
}
