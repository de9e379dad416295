package join_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
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
	"argosy/workflow/cron"
	"argosy/workflow/spec"
)

var errDead = errors.New("the coordinator died")

// mortal is a store whose turns of CronWorkflows end before or after any step, or stand still
// there until others have taken over.
type mortal struct {
	coordinator.Store
	dice  func(n int) int
	lease time.Duration
}

func (m mortal) Claim(ctx context.Context, wait time.Duration) (coordinator.Claimed, error) {
	t, err := m.Store.Claim(ctx, wait)
	if c, ok := t.(coordinator.CronTurn); ok {
		return &mortalTurn{c, m}, err
	}
	return t, err
}

type mortalTurn struct {
	coordinator.CronTurn
	mortal
}

func (t mortalTurn) step(ctx context.Context, do func() error) error {
	for i := range 2 {
		switch t.dice(12) {
		case 0:
			return errDead
		case 1:
			select {
			case <-time.After(2 * t.lease):
			case <-ctx.Done():
			}
		}
		if i == 0 {
			if err := do(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t mortalTurn) Commit(ctx context.Context, s *cron.State) error {
	return t.step(ctx, func() error { return t.CronTurn.Commit(ctx, s) })
}

func (t mortalTurn) Submit(ctx context.Context, c *spec.CronWorkflow, child *cron.Child) error {
	return t.step(ctx, func() error { return t.CronTurn.Submit(ctx, c, child) })
}

func (t mortalTurn) Delete(ctx context.Context, run string) error {
	return t.step(ctx, func() error { return t.CronTurn.Delete(ctx, run) })
}

func (t mortalTurn) Settle(ctx context.Context, next workflow.Millis) error {
	return t.step(ctx, func() error { return t.CronTurn.Settle(ctx, next) })
}

// Any number of coordinators may die or stand still anywhere in a firing: each tick has one
// run at most, also when that one has ended and is deleted by the time that a coordinator,
// which was about to submit it, goes on.
func TestATickFiresOnceWhoeverDies(t *testing.T) {
	t.Parallel()
	const lease = 300 * time.Millisecond
	conn := queuetest.Connect(t, queuetest.Start(t))
	runs, objects := queue.NewRuns(conn), queue.NewObjects(conn)
	_, err := objects.Put(t.Context(), spec.KindCronWorkflow, "default", "c", []byte(`{"metadata":{"name":"c","namespace":"default","uid":"u"},
		"spec":{"schedules":["@every 1s"],"successfulJobsHistoryLimit":0,"workflowSpec":{"entrypoint":"main","templates":[
		{"name":"main","steps":[[{"name":"a","template":"leaf","when":"false"}]]},{"name":"leaf","container":{"image":"busybox"}}]}}}`), queue.VersionNone)
	require.NoError(t, err)

	// A run is counted when it begins, by who sees that it is there for the first time.
	var mu sync.Mutex
	began := map[string]int{}
	watch := func(ctx context.Context, id string, wf *spec.Workflow) error {
		body, err := json.Marshal(spec.Workflow{Spec: wf.Spec})
		if err != nil {
			return err
		}
		run := &workflow.Run{ID: id, Name: wf.Name, Namespace: wf.Namespace, Labels: wf.Labels, Created: 1}
		return runs.SubmitOnce(ctx, run, body)
	}
	take, stop := context.WithCancel(t.Context())
	var fleet errgroup.Group
	for i := range 3 {
		broker := queue.NewAsynq(conn)
		defer broker.Close()
		turns := queue.NewTurns(conn, broker, queue.TurnOptions{Lease: lease})
		defer turns.Close()
		r := rand.New(rand.NewPCG(uint64(i), 1))
		store := counting{mortal{Store: join.Turns{
			Turns: turns, Pools: queue.NewPools(conn, nil), Objects: objects, Room: join.Memory{Room: queue.NewRoom(conn, 0)},
			Runs: runs, Crons: queue.NewCrons(conn), Submit: watch,
		}, dice: func(n int) int { mu.Lock(); defer mu.Unlock(); return r.IntN(n) }, lease: lease}, func(run string) {
			mu.Lock()
			defer mu.Unlock()
			began[run]++
		}}
		co := coordinator.New(store, coordinator.Config{Parallel: 2, Renew: time.Hour},
			coordinator.NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
		fleet.Go(func() error { return co.Run(take, t.Context()) })
	}
	const enough = 8
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(began) >= enough
	}, time.Minute, 20*time.Millisecond)
	stop()
	require.NoError(t, fleet.Wait())
	for name, n := range began {
		require.Equal(t, 1, n, "run %s was begun %d times", name, n)
		var at int64
		_, err := fmt.Sscanf(name, "c-%d", &at)
		require.NoError(t, err)
	}
	state, err := queue.NewCrons(conn).States(t.Context(), "default")
	require.NoError(t, err)
	require.NotZero(t, state["c"].Succeeded)
	require.LessOrEqual(t, int(state["c"].Succeeded), len(began))
}

// counting tells of each first turn of a run that commits.
type counting struct {
	coordinator.Store
	began func(run string)
}

func (c counting) Claim(ctx context.Context, wait time.Duration) (coordinator.Claimed, error) {
	t, err := c.Store.Claim(ctx, wait)
	if turn, ok := t.(coordinator.Turn); ok {
		return &countingTurn{Turn: turn, counting: c}, err
	}
	return t, err
}

type countingTurn struct {
	coordinator.Turn
	counting
	name  string
	first bool
}

func (t *countingTurn) Begin(ctx context.Context) (*coordinator.Loaded, error) {
	l, err := t.Turn.Begin(ctx)
	if err == nil {
		t.name, t.first = l.Run.Name, l.State.Phase == ""
	}
	return l, err
}

func (t *countingTurn) Commit(ctx context.Context, c *coordinator.Commit) ([]coordinator.Delivery, error) {
	out, err := t.Turn.Commit(ctx, c)
	if err == nil && t.first {
		t.began(t.name)
	}
	return out, err
}

func TestOneOfTwoDecisionsIsCommitted(t *testing.T) {
	t.Parallel()
	conn := queuetest.Connect(t, queuetest.Start(t))
	crons, objects := queue.NewCrons(conn), queue.NewObjects(conn)
	_, err := objects.Put(t.Context(), spec.KindCronWorkflow, "ns", "c", []byte(`{"metadata":{"name":"c","namespace":"ns","uid":"u"},"spec":{"schedules":["@yearly"]}}`), queue.VersionNone)
	require.NoError(t, err)
	l, err := crons.Load(t.Context(), "ns", "c")
	require.NoError(t, err)
	require.False(t, l.Known)
	stale, err := crons.Load(t.Context(), "ns", "c")
	require.NoError(t, err)
	require.NoError(t, crons.Commit(t.Context(), l, &cron.State{UID: "u", Ticked: 5}))
	require.ErrorIs(t, crons.Commit(t.Context(), stale, &cron.State{UID: "u", Ticked: 6}), queue.ErrFenced)
	l, err = crons.Load(t.Context(), "ns", "c")
	require.NoError(t, err)
	require.Equal(t, workflow.Millis(5), l.State.Ticked)
	require.Equal(t, "c", l.Cron.Name)
	require.NoError(t, objects.Delete(t.Context(), spec.KindCronWorkflow, "ns", "c"))
	require.ErrorIs(t, crons.Commit(t.Context(), l, &cron.State{}), queue.ErrFenced, "it was deleted meanwhile")
	l, err = crons.Load(t.Context(), "ns", "c")
	require.NoError(t, err)
	require.Nil(t, l.Cron)
	require.True(t, l.Known)
	require.NoError(t, crons.Commit(t.Context(), l, nil))
	states, err := crons.States(t.Context(), "ns")
	require.NoError(t, err)
	require.Empty(t, states)
	fates, err := crons.Fates(t.Context(), []string{"none"})
	require.NoError(t, err)
	require.True(t, fates["none"].Gone)
}
