package join_test

import (
	"context"
	"log/slog"
	"sync/atomic"
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

// slowly is a store whose turns take long before they commit.
type slowly struct {
	coordinator.Store
	takes   time.Duration
	commits *atomic.Int32 // tried
}

func (s slowly) Claim(ctx context.Context, wait time.Duration) (coordinator.Claimed, error) {
	t, err := s.Store.Claim(ctx, wait)
	if t == nil || err != nil {
		return nil, err
	}
	return &slowTurn{t.(coordinator.Turn), s}, nil
}

type slowTurn struct {
	coordinator.Turn
	slowly
}

func (t slowTurn) Commit(ctx context.Context, c *coordinator.Commit) ([]coordinator.Delivery, error) {
	<-time.After(t.takes)
	t.commits.Add(1)
	return t.Turn.Commit(ctx, c)
}

// Two coordinators would take such a turn from each other for ever.
func TestATurnThatTakesLongerThanItsLeaseEnds(t *testing.T) {
	t.Parallel()
	const lease = 2 * time.Second // what a busy machine may stand still for
	conn := queuetest.Connect(t, queuetest.Start(t))
	broker := queue.NewAsynq(conn)
	defer broker.Close()
	runs := queue.NewRuns(conn)
	spec := `{"entrypoint": "main", "templates": [{"name": "main", "steps": []}]}`
	require.NoError(t, runs.Submit(t.Context(), &workflow.Run{ID: "1", Name: "wf", Namespace: "default"}, []byte(spec)))

	commits := &atomic.Int32{}
	take, stop := context.WithCancel(t.Context())
	var fleet errgroup.Group
	for range 2 {
		turns := queue.NewTurns(conn, broker, queue.TurnOptions{Lease: lease})
		defer turns.Close()
		store := slowly{Store: join.Turns{Turns: turns, Pools: queue.NewPools(conn, nil), Objects: queue.NewObjects(conn), Locking: queue.NewLocks(conn), Memos: queue.NewMemos(conn), Room: join.Memory{Room: queue.NewRoom(conn, 0)}}, takes: 2 * lease, commits: commits}
		c := coordinator.New(store, coordinator.Config{Renew: lease / 40},
			coordinator.NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
		fleet.Go(func() error { return c.Run(take, t.Context()) })
	}
	require.Eventually(t, func() bool {
		head, err := runs.Head(t.Context(), "1")
		return err == nil && head.State.Finished != 0
	}, 30*time.Second, 20*time.Millisecond)
	stop()
	require.NoError(t, fleet.Wait())
	require.EqualValues(t, 1, commits.Load(), "the turn was taken more than once")
}
