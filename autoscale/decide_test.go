package autoscale_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/autoscale"
)

var (
	start  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	policy = autoscale.Policy{Min: 0, Max: 10, Slots: 4, Idle: time.Minute, MaxGap: 20 * time.Second}
)

func TestDecide(t *testing.T) {
	t.Parallel()
	// moment is one observation; the decisions before it are its history.
	type moment struct {
		after                    time.Duration
		ready, running, replicas int
		want                     int
		reason                   autoscale.Reason
	}
	for _, tc := range []struct {
		name    string
		policy  func(*autoscale.Policy)
		moments []moment
	}{
		{"nothing to do and no workers", nil, []moment{{0, 0, 0, 0, 0, autoscale.Demand}}},
		{"from zero to what is needed, at once", nil, []moment{{0, 9, 0, 0, 3, autoscale.Demand}}},
		{"running and ready together", nil, []moment{{0, 3, 6, 2, 3, autoscale.Demand}}},
		{"no more than the most", nil, []moment{{0, 1000, 0, 0, 10, autoscale.Maximum}}},
		{"no fewer than the least", func(p *autoscale.Policy) { p.Min = 2 }, []moment{{0, 1, 0, 0, 2, autoscale.Minimum}}},
		{"a new autoscaler takes none away", nil, []moment{{0, 0, 0, 7, 7, autoscale.Cooldown}}},
		{"to zero only after idle", nil, []moment{
			{0, 8, 0, 0, 2, autoscale.Demand},
			{10 * time.Second, 0, 8, 2, 2, autoscale.Demand},
			{20 * time.Second, 0, 0, 2, 2, autoscale.Cooldown},
			{30 * time.Second, 0, 0, 2, 2, autoscale.Cooldown},
			{45 * time.Second, 0, 0, 2, 2, autoscale.Cooldown},
			{60 * time.Second, 0, 0, 2, 2, autoscale.Cooldown},
			{69 * time.Second, 0, 0, 2, 2, autoscale.Cooldown},
			{70 * time.Second, 0, 0, 2, 0, autoscale.Demand},
		}},
		{"the highest of the last idle is kept", nil, []moment{
			{0, 40, 0, 0, 10, autoscale.Demand},
			{20 * time.Second, 20, 0, 10, 10, autoscale.Cooldown},
			{40 * time.Second, 4, 0, 10, 10, autoscale.Cooldown},
			{60 * time.Second, 0, 0, 10, 5, autoscale.Cooldown},
			{80 * time.Second, 0, 0, 5, 1, autoscale.Cooldown},
			{100 * time.Second, 0, 0, 1, 0, autoscale.Demand},
		}},
		{"a gap in the watching begins anew", nil, []moment{
			{0, 4, 0, 0, 1, autoscale.Demand},
			{20 * time.Second, 0, 0, 1, 1, autoscale.Cooldown},
			{2 * time.Minute, 0, 0, 1, 1, autoscale.Cooldown},
			{2*time.Minute + 20*time.Second, 0, 0, 1, 1, autoscale.Cooldown},
			{2*time.Minute + 40*time.Second, 0, 0, 1, 1, autoscale.Cooldown},
			{3 * time.Minute, 0, 0, 1, 0, autoscale.Demand},
		}},
		{"without idle the way down is at once", func(p *autoscale.Policy) { p.Idle = 0 }, []moment{
			{0, 8, 0, 0, 2, autoscale.Demand},
			{time.Second, 0, 1, 2, 1, autoscale.Demand},
			{2 * time.Second, 0, 0, 1, 0, autoscale.Demand},
		}},
		{"one long task keeps its worker", func(p *autoscale.Policy) { p.Idle = 0 }, []moment{
			{0, 1, 0, 0, 1, autoscale.Demand},
			{10 * time.Second, 0, 1, 1, 1, autoscale.Demand},
			{20 * time.Second, 0, 1, 1, 1, autoscale.Demand},
		}},
		{"a lowered maximum waits for the work", func(p *autoscale.Policy) { p.Max = 2 }, []moment{{0, 0, 17, 6, 5, autoscale.Running}}},
		{"the maximum holds for lost workers", func(p *autoscale.Policy) { p.Max = 2 }, []moment{{0, 0, 17, 1, 2, autoscale.Maximum}}},
		{"too many by hand", func(p *autoscale.Policy) { p.Max = 2 }, []moment{{0, 0, 0, 6, 2, autoscale.Maximum}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := policy
			if tc.policy != nil {
				tc.policy(&p)
			}
			require.NoError(t, p.Validate())
			var h autoscale.History
			for i, m := range tc.moments {
				o := autoscale.Observation{Ready: m.ready, Running: m.running, Replicas: m.replicas, At: start.Add(m.after)}
				d := autoscale.Decide(p, h, o)
				require.False(t, d.Hold)
				require.Equal(t, m.want, d.Want, "moment %d: %s", i, d)
				require.Equal(t, m.reason, d.Reason, "moment %d: %s", i, d)
				h = h.Add(p, d)
			}
		})
	}
}

func TestStaleObservationsHold(t *testing.T) {
	t.Parallel()
	var h autoscale.History
	o := autoscale.Observation{Ready: 4, Replicas: 3, At: start}
	h = h.Add(policy, autoscale.Decide(policy, h, o))
	o.Ready = 0
	for _, at := range []time.Time{start, start.Add(-time.Hour)} {
		o.At = at
		d := autoscale.Decide(policy, h, o)
		require.True(t, d.Hold)
		require.Equal(t, autoscale.Stale, d.Reason)
		require.Equal(t, o.Replicas, d.Want) //nolint:testifylint // want is what was decided
		require.Equal(t, h, h.Add(policy, d), "what was not seen is not remembered")
	}
}

// Whatever happens, workers that running tasks need are not taken away, no more
// than the maximum are asked for, and what there is work for is asked for.
func TestDecideKeepsItsPromises(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 2_000 {
		p := autoscale.Policy{
			Min: random.IntN(3), Max: 3 + random.IntN(20), Slots: 1 + random.IntN(8),
			Idle: time.Duration(random.IntN(100)) * time.Second, MaxGap: time.Duration(1+random.IntN(60)) * time.Second,
		}
		var h autoscale.History
		at, replicas := start, random.IntN(30)
		lowered := at // when something last argued against fewer workers
		for range 50 {
			step := time.Duration(1+random.IntN(30)) * time.Second
			at = at.Add(step)
			o := autoscale.Observation{Ready: random.IntN(2) * random.IntN(50), Running: random.IntN(2) * random.IntN(100), Replicas: replicas, At: at}
			d := autoscale.Decide(p, h, o)
			h = h.Add(p, d)
			running := (o.Running + p.Slots - 1) / p.Slots
			demand := (o.Running + o.Ready + p.Slots - 1) / p.Slots
			require.GreaterOrEqual(t, d.Want, min(running, replicas), "%+v %+v %s", p, o, d)
			require.GreaterOrEqual(t, d.Want, min(demand, p.Max))
			require.GreaterOrEqual(t, d.Want, p.Min)
			require.LessOrEqual(t, d.Want, max(p.Max, min(running, replicas)))
			if demand > 0 || step > p.MaxGap {
				lowered = at
			}
			if d.Want == 0 && replicas > 0 {
				require.GreaterOrEqual(t, at.Sub(lowered), p.Idle, "to zero too early: %s", d)
			}
			replicas = d.Want
			if random.IntN(10) == 0 {
				replicas = random.IntN(30) // someone else's hand
			}
		}
	}
}

func TestPolicyIsValidated(t *testing.T) {
	t.Parallel()
	for _, bad := range []func(*autoscale.Policy){
		func(p *autoscale.Policy) { p.Min = -1 }, func(p *autoscale.Policy) { p.Max = 0 }, func(p *autoscale.Policy) { p.Min = 11 },
		func(p *autoscale.Policy) { p.Slots = 0 }, func(p *autoscale.Policy) { p.Idle = -1 }, func(p *autoscale.Policy) { p.MaxGap = 0 },
	} {
		p := policy
		bad(&p)
		require.Error(t, p.Validate())
	}
}

func BenchmarkDecide(b *testing.B) {
	var h autoscale.History
	o := autoscale.Observation{Ready: 100, Running: 7, Replicas: 3, At: start}
	for b.Loop() {
		o.At = o.At.Add(time.Second)
		h = h.Add(policy, autoscale.Decide(policy, h, o))
	}
}

func TestWhatWaitsForRoomIsDemand(t *testing.T) {
	t.Parallel()
	o := autoscale.Observation{Ready: 5, Running: 2, Waiting: 10, Replicas: 2, At: start}
	d := autoscale.Decide(policy, autoscale.History{}, o)
	require.Equal(t, 5, d.Want)
	require.Equal(t, 1, d.ForRunning, "what waits keeps no worker")
}
