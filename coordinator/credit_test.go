package coordinator_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/coordinator"
	"argosy/workflow"
)

// wide is a run of 100 leaves at once.
const wide = `{"spec": {"entrypoint": "main", %s"templates": [
	{"name": "main", "steps": [[{"name": "a", "template": "leaf", "withSequence": {"count": "100"}}]]},
	{"name": "leaf", "container": {"image": "busybox"}}
]}}`

func TestARunSendsWhatItsCreditAllows(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		slots, limit, min int
		slotsFail         error
		want              int
	}{
		"two for each slot":                      {slots: 20, want: 40},
		"a pool without workers shows demand":    {want: 16},
		"few slots":                              {slots: 1, want: 16},
		"few slots, and less to begin with":      {slots: 2, min: 1, want: 4},
		"a limit of its own":                     {slots: 20, limit: 5, want: 5},
		"slots that cannot be counted at once":   {slots: 20, slotsFail: errAway, want: 40},
		"a limit that is more than the pool has": {limit: 1000, want: 16},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMemory(t, fmt.Sprintf(wide, ""))
			m.slots = test.slots
			m.fail = once("slots", test.slotsFail)
			c, _ := m.start(coordinator.Config{MinCredit: test.min, Limits: workflow.Limits{InFlight: test.limit}})
			m.step(c)
			require.Len(t, m.queue, test.want)
			m.step(c)
			require.Len(t, m.queue, test.want)
			m.work()
			m.step(c)
			require.Len(t, m.queue, min(test.want, 100-test.want))
		})
	}
}

func TestADeliverysClassFollowsFromPriorityAndWhatIsInFlight(t *testing.T) {
	t.Parallel()
	const high, normal, bulk = coordinator.ClassHigh, coordinator.ClassNormal, coordinator.ClassBulk
	for priority, want := range map[string][]coordinator.Class{
		"":                 {normal, normal, normal, normal, bulk, bulk},
		`"priority": 0, `:  {normal, normal, normal, normal, bulk, bulk},
		`"priority": 3, `:  {high, high, high, high, high, high},
		`"priority": -1, `: {bulk, bulk, bulk, bulk, bulk, bulk},
	} {
		m := newMemory(t, fmt.Sprintf(wide, priority))
		c, _ := m.start(coordinator.Config{Limits: workflow.Limits{InFlight: 6}})
		classes := func() (got []coordinator.Class) {
			for _, d := range m.queue {
				got = append(got, d.Class)
			}
			return got
		}
		m.step(c)
		require.Equal(t, want, classes(), priority)

		first := m.queue[0]
		require.True(t, m.claim(first, "w"))
		m.lose(first.Key, "w")
		m.step(c)
		again := m.queue[len(m.queue)-1]
		require.Equal(t, 2, again.Number)
		require.Equal(t, want[0], again.Class, "what is sent anew keeps its class")

		m.work()
		m.step(c)
		require.Equal(t, want, classes(), priority)
	}
}

func TestThePoolIsToldWhatWaits(t *testing.T) {
	t.Parallel()
	m := newMemory(t, fmt.Sprintf(wide, ""))
	m.slots = 20
	c, _ := m.start(coordinator.Config{})
	m.step(c)
	m.step(c) // idle: what is said counts for a while only
	m.fail = once("settle", errAway)
	m.work()
	require.ErrorIs(t, c.Step(t.Context(), t.Context()), errAway)
	for m.state.Finished == 0 {
		m.step(c)
		m.work()
	}
	told := func() (n []int) {
		for _, w := range m.waiting {
			require.Equal(t, "default", w.Pool)
			n = append(n, w.N)
		}
		return n
	}
	// A loop that has items left counts as one more.
	require.Equal(t, []int{61, 61, 21, 0}, told())

	m = newMemory(t, run)
	c, _ = m.start(coordinator.Config{})
	for m.state.Finished == 0 {
		m.step(c)
		m.work()
	}
	require.Empty(t, m.waiting, "a run that never had to wait costs nothing")
}

func TestNothingNewIsStartedWhileTheStoreIsNearlyFull(t *testing.T) {
	t.Parallel()
	m := newMemory(t, run)
	c, _ := m.start(coordinator.Config{})
	m.tight = true
	m.step(c)
	require.Empty(t, m.commits, "a run that has not begun is left alone")
	m.tight = false
	m.step(c)
	require.Len(t, m.queue, 2)

	m.tight = true
	m.work()
	m.step(c)
	require.Equal(t, 2, m.state.Done, "results are taken")
	require.Empty(t, m.queue)
	commits := len(m.commits)
	m.step(c)
	require.Len(t, m.commits, commits)
	require.Equal(t, []time.Duration{5 * time.Second, 5 * time.Second}, m.again, "somebody has to look again")

	m.tight = false
	for m.state.Finished == 0 {
		m.step(c)
		m.work()
	}
	require.Equal(t, 5, m.state.Done)
	require.Len(t, m.again, 2)
}
