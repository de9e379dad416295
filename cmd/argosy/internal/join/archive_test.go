package join_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"argosy/cmd/argosy/internal/join"
	"argosy/coordinator"
	"argosy/queue"
	"argosy/queue/queuetest"
	"argosy/workflow"
)

func TestARowOfTheArchiveThatRedisLostIsWrittenAgain(t *testing.T) {
	t.Parallel()
	conn := queuetest.Connect(t, queuetest.Start(t))
	broker := queue.NewAsynq(conn)
	defer broker.Close()
	turns := queue.NewTurns(conn, broker, queue.TurnOptions{})
	defer turns.Close()
	runs, a := queue.NewRuns(conn), queue.NewArchive(conn)
	spec := `{"entrypoint": "main", "templates": [{"name": "main", "steps": []}]}`
	require.NoError(t, runs.Submit(t.Context(), &workflow.Run{ID: "1", Name: "wf", Namespace: "default"}, []byte(spec)))
	c := coordinator.New(join.Turns{
		Turns: turns, Pools: queue.NewPools(conn, nil), Objects: queue.NewObjects(conn), Locking: queue.NewLocks(conn), Memos: queue.NewMemos(conn),
		Room: join.Memory{Room: queue.NewRoom(conn, 0)}, Runs: runs, Archive: a,
	}, coordinator.Config{Archive: func(*workflow.Run, *workflow.State) bool { return true }},
		coordinator.NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
	take, stop := context.WithCancel(t.Context())
	var fleet errgroup.Group
	fleet.Go(func() error { return c.Run(take, t.Context()) })
	archiving := func() workflow.Archiving {
		head, err := runs.Head(t.Context(), "1")
		require.NoError(t, err)
		return head.State.Archiving
	}
	require.Eventually(t, func() bool { return archiving() == workflow.ArchivingPending }, 30*time.Second, 20*time.Millisecond)
	stop()
	require.NoError(t, fleet.Wait())

	files := 0
	write := func(ctx context.Context) (*queue.Dumped, error) {
		return a.Dump(ctx, "1", func(string, []byte) error { files++; return nil })
	}
	labels := func(*workflow.Run, *workflow.State) map[string]string { return map[string]string{"team": "ships"} }
	require.NoError(t, join.Archive(t.Context(), a, "1", write, labels))
	require.Equal(t, workflow.ArchivingArchived, archiving())
	written := files
	require.NotZero(t, written)
	require.NoError(t, a.Forget(t.Context(), "default", "1"))
	require.NoError(t, join.Archive(t.Context(), a, "1", write, labels))
	row, err := a.Row(t.Context(), "default", "1")
	require.NoError(t, err)
	require.Equal(t, workflow.ArchivingPersisted, row.State.Archiving)
	require.Equal(t, written, files, "the file is there")
}
