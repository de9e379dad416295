package queue

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"argosy/workflow"
)

func TestRoomReadsRedissMemory(t *testing.T) {
	t.Parallel()
	const info = "# Memory\r\nused_memory:900\r\nused_memory_human:900B\r\nmaxmemory:1000\r\nmaxmemory_policy:allkeys-lru\r\n"
	require.Equal(t, Fill{Used: 900, Limit: 800, Policy: "allkeys-lru"}, (&Room{}).parse(info))
	require.Equal(t, Fill{Used: 900, Limit: 950, Policy: "allkeys-lru"}, (&Room{limit: 950}).parse(info))
	require.Equal(t, Fill{Used: 900}, (&Room{}).parse("used_memory:900\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n"))
	for _, f := range []struct {
		used, limit int64
		full, tight bool
	}{
		{used: 99, limit: 100}, {used: 100, limit: 100, full: true}, {used: 109, limit: 100, full: true},
		{used: 110, limit: 100, full: true, tight: true}, {used: 1 << 50},
	} {
		require.Equal(t, f.full, Fill{Used: f.used, Limit: f.limit}.Full(), "%+v", f)
		require.Equal(t, f.tight, Fill{Used: f.used, Limit: f.limit}.Tight(), "%+v", f)
	}
	require.True(t, Fill{Policy: "allkeys-lru"}.Evicts())
	require.False(t, Fill{Policy: "noeviction"}.Evicts())
	require.True(t, nearer(Fill{Used: 9, Limit: 10}, Fill{Used: 80, Limit: 100}))
	require.True(t, nearer(Fill{Used: 1, Limit: 10}, Fill{Used: 1000}), "one that has a limit")
	require.False(t, nearer(Fill{Used: 1000}, Fill{Used: 1, Limit: 10}))
}

func TestRoomIsReadOnceInAWhile(t *testing.T) {
	t.Parallel()
	e, err := StartEmbedded(t.Context(), EmbeddedServer)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Stop()) })
	count := NewCounter()
	conn, err := Connect(t.Context(), e.URL, Options{Log: slog.New(slog.DiscardHandler), Counter: count})
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.client.ConfigSet(t.Context(), "maxmemory", "100000000").Err())

	room, now := NewRoom(conn, 0), time.Unix(1000, 0)
	room.now = func() time.Time { return now }
	fill := func() Fill {
		f, err := room.Fill(t.Context())
		require.NoError(t, err)
		return f
	}
	count.Reset()
	first := fill()
	require.Equal(t, 2, count.Trips())
	require.Zero(t, first.Runs)
	require.NotZero(t, first.Used)
	require.EqualValues(t, 80_000_000, first.Limit)
	require.Equal(t, "noeviction", first.Policy)

	runs := NewRuns(conn)
	for _, id := range []string{"a", "b", "c"} {
		require.NoError(t, runs.Submit(t.Context(), &workflow.Run{ID: id, Name: id, Namespace: "argo"}, []byte(`{}`)))
	}
	count.Reset()
	require.Equal(t, first, fill())
	require.Zero(t, count.Trips())
	now = now.Add(time.Second)
	require.Equal(t, 3, fill().Runs)

	registry := prometheus.NewRegistry()
	require.NoError(t, RegisterRoomMetrics(registry, room))
	families, err := registry.Gather()
	require.NoError(t, err)
	require.Len(t, families, 3)

	require.NoError(t, e.Stop())
	now = now.Add(time.Second)
	known, err := room.Fill(t.Context())
	require.Error(t, err)
	require.Equal(t, 3, known.Runs, "what was known last")
}

func TestAMemoryOfItsOwnHasNoLimit(t *testing.T) {
	t.Parallel()
	e, err := StartEmbedded(t.Context(), EmbeddedMemory)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Stop()) })
	conn, err := Connect(t.Context(), e.URL, Options{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer conn.Close()
	f, err := NewRoom(conn, 0).Fill(t.Context())
	require.NoError(t, err)
	require.False(t, f.Full())
}
