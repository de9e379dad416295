package coordinator_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"argosy/coordinator"
	"argosy/workflow"
	"argosy/workflow/spec"
)

var (
	keyA = workflow.Root.Step(0, "a")
	keyB = workflow.Root.Step(0, "b")
)

var errAway = errors.New("the store is away")

// once fails a hop the first time.
func once(hop string, err error) func(string) error {
	failed := false
	return func(h string) error {
		if h != hop || failed {
			return nil
		}
		failed = true
		return err
	}
}

func TestARunIsTakenToItsEnd(t *testing.T) {
	t.Parallel()
	for _, partial := range []bool{false, true} {
		m := newMemory(t, run)
		m.partial = partial
		c, registry := m.start(coordinator.Config{})
		for m.state.Finished == 0 {
			m.step(c)
			m.work()
		}
		require.Equal(t, spec.WorkflowSucceeded, m.state.Phase)
		require.Equal(t, 5, m.state.Done)
		require.Zero(t, m.state.InFlight)
		require.Equal(t, partial, m.asked > 0)
		require.EqualValues(t, 1, counted(t, registry, "argosy_runs_finished_total"))
		commits := len(m.commits)
		m.step(c) // gone
		require.Len(t, m.commits, commits)
	}
}

// counted is the sum of a counter over its labels.
func counted(t *testing.T, registry *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

func TestATurnWithNothingToDoCommitsNothing(t *testing.T) {
	t.Parallel()
	m := newMemory(t, run)
	c, _ := m.start(coordinator.Config{})
	m.step(c)
	m.step(c)
	require.Len(t, m.commits, 1)
	require.Equal(t, []int{2, 0}, m.settled)
}

func TestAFencedCommitDropsTheTurn(t *testing.T) {
	t.Parallel()
	m := newMemory(t, run)
	c, _ := m.start(coordinator.Config{})
	m.fail = func(hop string) error {
		if hop == "commit" {
			m.token++ // another coordinator began meanwhile
		}
		return nil
	}
	m.step(c)
	require.Empty(t, m.commits)
	require.Empty(t, m.queue)
	require.Empty(t, m.settled)
}

func TestWhatWasNotDispatchedIsInTheNextTurn(t *testing.T) {
	t.Parallel()
	for _, hop := range []string{"committed", "dispatch", "dispatched", "settle"} {
		t.Run(hop, func(t *testing.T) {
			t.Parallel()
			m := newMemory(t, run)
			m.fail = once(hop, errAway)
			c, _ := m.start(coordinator.Config{})
			require.ErrorIs(t, c.Step(t.Context(), t.Context()), errAway)
			require.Empty(t, m.settled)
			require.Len(t, m.out, 2)
			m.step(c)
			require.Len(t, m.commits, 1)
			require.Len(t, m.queue, 2)
			require.Equal(t, []int{2}, m.settled)
			require.Empty(t, m.out)
		})
	}
}

func TestASpecThatCannotBeRunEndsTheRun(t *testing.T) {
	t.Parallel()
	for text, message := range map[string]string{
		`{`:  "the stored spec cannot be run: decoding workflow: unexpected end of JSON input",
		`{}`: `the stored spec cannot be run: compiling the workflow: entrypoint template "" is not defined`,
	} {
		m := newMemory(t, text)
		c, _ := m.start(coordinator.Config{})
		m.step(c)
		require.Equal(t, spec.WorkflowError, m.state.Phase)
		require.Equal(t, message, m.state.Message)
		require.NotZero(t, m.state.Finished)
	}
}

func TestASpecThatCannotBeReadNowIsWaitedFor(t *testing.T) {
	t.Parallel()
	m := newMemory(t, run)
	m.fail = once("spec", errAway)
	c, _ := m.start(coordinator.Config{})
	require.ErrorIs(t, c.Step(t.Context(), t.Context()), errAway)
	require.Empty(t, m.commits)
	m.step(c)
	require.Len(t, m.queue, 2)
}

func TestAPanicOfTheEngineEndsTheRun(t *testing.T) {
	t.Parallel()
	m := newMemory(t, run)
	c, _ := m.start(coordinator.Config{})
	m.step(c)
	stray := workflow.Root.Step(7, "none")
	m.nodes[stray] = []byte(`{"t":"Pod","p":"Pending"}`)
	m.in = append(m.in, result(stray, spec.NodeFailed))
	m.step(c)
	require.Equal(t, spec.WorkflowError, m.state.Phase)
	require.Contains(t, m.state.Message, "internal error: ")
}

func TestALostDeliveryIsSentAnewAndGivenUpAtLast(t *testing.T) {
	t.Parallel()
	for _, partial := range []bool{false, true} {
		m := newMemory(t, run)
		m.partial = partial
		c, registry := m.start(coordinator.Config{MaxLost: 3})
		m.step(c)
		require.True(t, m.claim(m.fly[keyB].Delivery, "w"))
		require.True(t, m.report(m.fly[keyB].Delivery, spec.NodeSucceeded))
		for n := 1; n <= 3; n++ {
			d := m.fly[keyA].Delivery
			require.Equal(t, n, d.Number)
			require.True(t, m.claim(d, "w"))
			m.lose(keyA, fmt.Sprint("w", n))
			m.step(c)
			require.False(t, m.report(d, spec.NodeSucceeded), "the dead worker's report")
			require.Equal(t, n, m.node(keyA).Lost)
		}
		require.NotContains(t, m.fly, keyA)
		require.Equal(t, spec.NodeError, m.node(keyA).Phase)
		require.Equal(t, "poison", m.node(keyA).Class)
		require.Equal(t, "3 workers died while they ran this step", m.node(keyA).Message)
		require.NotZero(t, m.state.Finished)
		require.Zero(t, m.state.InFlight)
		require.EqualValues(t, 3, counted(t, registry, "argosy_deliveries_lost_total"))
	}
}

func TestADeliveryThatNoWorkerDiedWithCountsNot(t *testing.T) {
	t.Parallel()
	m := newMemory(t, run)
	c, _ := m.start(coordinator.Config{MaxLost: 2})
	m.step(c)
	for n := 1; n <= 5; n++ {
		m.lose(keyA, "")
		m.step(c)
		require.Equal(t, n+1, m.fly[keyA].Number)
	}
	require.Zero(t, m.node(keyA).Lost)
}

func TestALostDeliveryThatHasEndedIsForgotten(t *testing.T) {
	t.Parallel()
	m := newMemory(t, run)
	c, _ := m.start(coordinator.Config{})
	m.step(c)
	m.in = append(m.in, result(keyA, spec.NodeSucceeded))
	m.step(c)
	require.Contains(t, m.fly, keyA)
	m.lose(keyA, "w")
	m.step(c)
	require.NotContains(t, m.fly, keyA)
	require.Equal(t, 1, m.state.Done)
}

func TestNothingIsSentAnewInARunThatEnds(t *testing.T) {
	t.Parallel()
	for name, worker := range map[string]string{"its worker died": "w", "it was handed back": ""} {
		for _, turns := range []int{1, 2} { // the stop comes in the turn that finds it lost, or before
			t.Run(fmt.Sprint(name, turns), func(t *testing.T) {
				t.Parallel()
				m := newMemory(t, run)
				c, _ := m.start(coordinator.Config{})
				m.step(c)
				require.True(t, m.claim(m.fly[keyA].Delivery, "w"))
				m.in = append(m.in, workflow.Event{Kind: workflow.EventSignal, Signal: workflow.SignalStop})
				if turns == 2 {
					m.step(c)
				}
				m.lose(keyA, worker)
				m.queue = nil
				m.step(c)
				m.step(c)
				require.Empty(t, m.queue)
				require.NotZero(t, m.state.Finished)
				require.Equal(t, spec.WorkflowFailed, m.state.Phase)
				require.Equal(t, "Stopped with strategy 'Stop'", m.state.Message)
				require.Zero(t, m.state.InFlight)
			})
		}
	}
}

func TestAnyHopMayFail(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		m := newMemory(t, run)
		m.partial = seed%2 == 0
		m.fail = func(string) error {
			if r.IntN(6) == 0 {
				return errAway
			}
			return nil
		}
		c, _ := m.start(coordinator.Config{Limits: workflow.Limits{Launch: 1 + r.IntN(4), InFlight: r.IntN(3)}, MaxLost: 1000})
		for turn := 0; m.state.Finished == 0; turn++ {
			require.Less(t, turn, 1000, "seed %d: the run does not end", seed)
			if err := c.Step(t.Context(), t.Context()); err != nil {
				require.ErrorIs(t, err, errAway)
			}
			for _, d := range slices.Clone(m.queue) {
				switch r.IntN(4) {
				case 0: // later
				case 1: // with a worker that dies, or hands it back
					if m.claim(d, "w") {
						m.lose(d.Key, []string{"w", ""}[r.IntN(2)])
					}
				default:
					if m.claim(d, "w") {
						m.report(d, spec.NodeSucceeded)
						require.False(t, m.report(d, spec.NodeSucceeded))
					}
				}
			}
		}
		require.Equal(t, spec.WorkflowSucceeded, m.state.Phase, "seed %d", seed)
		require.Equal(t, 5, m.state.Done, "seed %d", seed)
		require.Zero(t, m.state.InFlight, "seed %d", seed)
	}
}

func TestRunGoesOnWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, run)
		away := time.Now().Add(time.Minute)
		tries := 0
		m.fail = func(string) error {
			if tries++; time.Now().Before(away) {
				return errAway
			}
			return nil
		}
		c, _ := m.start(coordinator.Config{Parallel: 1})
		take, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(take, t.Context()) }()
		time.Sleep(59 * time.Second)
		synctest.Wait()
		require.Less(t, tries, 50, "tries in a minute")
		stop()
		require.NoError(t, <-done)
	})
}

func TestLeasesOfLongTurnsAreRenewed(t *testing.T) {
	t.Parallel()
	m := newMemory(t, run)
	c, _ := m.start(coordinator.Config{})
	renew := func() int {
		c.Renew(t.Context())
		return m.extended
	}
	m.fail = func(hop string) error {
		if hop == "commit" {
			require.Zero(t, renew(), "it may be short")
			require.Equal(t, 1, renew())
			require.Equal(t, 2, renew())
		}
		return nil
	}
	m.step(c)
	require.Len(t, m.commits, 1)
	require.Equal(t, 2, renew(), "no turn is under way")
}

func TestATurnWhoseLeaseCannotBeRenewedGoesOn(t *testing.T) {
	t.Parallel()
	for _, err := range []error{errAway, coordinator.ErrFenced} {
		m := newMemory(t, run)
		c, _ := m.start(coordinator.Config{})
		m.fail = func(hop string) error {
			switch hop {
			case "commit":
				c.Renew(t.Context())
				c.Renew(t.Context())
			case "extend":
				return err
			}
			return nil
		}
		m.step(c)
		require.Len(t, m.commits, 1)
	}
}
