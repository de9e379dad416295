package autoscale_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"argosy/autoscale"
)

// pool is an Observer and a Scaler that a test sets.
type pool struct {
	mu                       sync.Mutex
	ready, running, replicas int
	frozen                   time.Time
	observeErr, countErr     error
	scaleErr                 error
	hang                     bool
	scaled                   []int
}

func (p *pool) Observe(ctx context.Context, name string) (autoscale.Observation, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hang {
		<-ctx.Done()
		return autoscale.Observation{}, ctx.Err()
	}
	at := time.Now()
	if !p.frozen.IsZero() {
		at = p.frozen
	}
	return autoscale.Observation{Pool: name, Ready: p.ready, Running: p.running, At: at}, p.observeErr
}

func (p *pool) Replicas(context.Context) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.replicas, p.countErr
}

func (p *pool) Scale(_ context.Context, n int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.scaleErr != nil {
		return p.scaleErr
	}
	p.replicas = n
	p.scaled = append(p.scaled, n)
	return nil
}

// set changes what there is to do while a loop runs.
func (p *pool) set(ready, running int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready, p.running = ready, running
}

// changes are the sizes that were asked for.
func (p *pool) changes() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.scaled)
}

type bundle struct {
	pool     *pool
	loop     *autoscale.Loop
	registry *prometheus.Registry
	log      *bytes.Buffer
}

func newBundle(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{pool: &pool{}, registry: prometheus.NewRegistry(), log: &bytes.Buffer{}}
	p := policy
	p.MaxGap = 0 // the default
	loop, err := autoscale.NewLoop(autoscale.Config{
		Pool: "default", Policy: p, Observer: b.pool, Scaler: b.pool,
		Metrics: autoscale.NewMetrics(b.registry), Log: slog.New(slog.NewTextHandler(b.log, nil)),
	})
	require.NoError(t, err)
	b.loop = loop
	return b
}

func TestLoopGoesFromZeroAndBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBundle(t)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			b.loop.Run(ctx)
		}()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.Empty(t, b.pool.changes())

		b.pool.set(10, 0)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Equal(t, []int{3}, b.pool.changes(), "all that is needed, in one step")

		b.pool.set(0, 10)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		require.Equal(t, []int{3}, b.pool.changes(), "running tasks keep their workers")

		b.pool.set(0, 0)
		time.Sleep(50 * time.Second)
		synctest.Wait()
		require.Equal(t, []int{3}, b.pool.changes())
		time.Sleep(15 * time.Second)
		synctest.Wait()
		require.Equal(t, []int{3, 0}, b.pool.changes())
		cancel()
		<-ended
		require.NoError(t, testutil.GatherAndCompare(b.registry, strings.NewReader(`
# HELP argosy_autoscale_changes_total Changes made, by direction: up, down.
# TYPE argosy_autoscale_changes_total counter
argosy_autoscale_changes_total{direction="down",pool="default"} 1
argosy_autoscale_changes_total{direction="up",pool="default"} 1
`), "argosy_autoscale_changes_total"))
	})
}

func TestLoopHoldsWhenItCannotSeeOrAct(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		set    func(*pool)
		reason string
	}{
		"the observation fails":  {func(p *pool) { p.observeErr = errors.New("no database") }, "observe"},
		"the count fails":        {func(p *pool) { p.countErr = errors.New("no API server") }, "observe"},
		"the observation hangs":  {func(p *pool) { p.hang = true }, "observe"},
		"nonsense is observed":   {func(p *pool) { p.running = -1 }, "observe"},
		"the observation is old": {func(p *pool) { p.frozen = time.Now() }, "stale"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBundle(t)
				b.pool.ready = 8
				require.Equal(t, 2, b.loop.Step(t.Context()).Want)
				b.pool.ready = 0
				tc.set(b.pool)
				for range 100 {
					time.Sleep(2 * time.Second)
					d := b.loop.Step(t.Context())
					require.True(t, d.Hold)
					require.Equal(t, autoscale.Reason(tc.reason), d.Reason)
				}
				require.Equal(t, []int{2}, b.pool.changes(), "what cannot be seen is not zero")
				require.Equal(t, 1, strings.Count(b.log.String(), "msg=hold"), "told once: %s", b.log)
				require.InDelta(t, 100, counter(t, b.registry, "argosy_autoscale_holds_total"), 0)

				// Seeing again, it first watches for as long as Idle.
				b.pool.observeErr, b.pool.countErr, b.pool.hang, b.pool.running, b.pool.frozen = nil, nil, false, 0, time.Time{}
				time.Sleep(2 * time.Second)
				require.Equal(t, 2, b.loop.Step(t.Context()).Want)
			})
		})
	}
}

func counter(t *testing.T, g prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := g.Gather()
	require.NoError(t, err)
	total := 0.0
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				total += m.GetCounter().GetValue()
			}
		}
	}
	return total
}

func TestLoopTriesAgainWhenItCannotScale(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBundle(t)
		b.pool.ready, b.pool.scaleErr = 4, autoscale.ErrManaged
		require.True(t, b.loop.Step(t.Context()).Hold)
		require.Contains(t, b.log.String(), autoscale.ErrManaged.Error())
		b.pool.scaleErr = nil
		time.Sleep(2 * time.Second)
		require.Equal(t, 1, b.loop.Step(t.Context()).Want)
		require.Equal(t, []int{1}, b.pool.changes())
	})
}

func TestLoopRefusesAnImpossiblePolicy(t *testing.T) {
	t.Parallel()
	_, err := autoscale.NewLoop(autoscale.Config{Pool: "p", Policy: autoscale.Policy{Max: 1}})
	require.ErrorContains(t, err, "slots")
}
