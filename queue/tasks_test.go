package queue_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/queue"
	"argosy/workflow"
)

func TestClaimOfADelivery(t *testing.T) {
	tests := map[string]struct {
		entry  string // of the fly hash
		number int
		want   queue.Refusal
	}{
		"sent":                       {entry: "sent|2|9999999999999|default|", number: 2},
		"sent, looked after":         {entry: "sent|2|1|default|taken", number: 2},
		"sent anew":                  {entry: "sent|3|9999999999999|default|", number: 2, want: queue.RefusedSuperseded},
		"not sent yet":               {entry: "sent|1|9999999999999|default|", number: 2, want: queue.RefusedSuperseded},
		"held by another":            {entry: "held|2|9999999999999|default|worker-2", number: 2, want: queue.RefusedLeased},
		"held by itself":             {entry: "held|2|9999999999999|default|worker-1", number: 2},
		"its own, being cancelled":   {entry: "cancel|2|9999999999999|default|worker-1", number: 2, want: queue.RefusedCancelled},
		"its holder died":            {entry: "held|2|1|default|worker-2", number: 2},
		"being cancelled":            {entry: "cancel|2|9999999999999|default|worker-2", number: 2, want: queue.RefusedLeased},
		"cancelled, its holder died": {entry: "cancel|2|1|default|worker-2", number: 2, want: queue.RefusedCancelled},
		"ended":                      {number: 2, want: queue.RefusedEnded},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			each(t, func(w *world) {
				w.submit("1")
				w.launch("1")
				fly := "{r:1}:fly"
				require.NoError(w.t, w.raw.HDel(w.ctx, fly, string(leaf)).Err())
				if tt.entry != "" {
					require.NoError(w.t, w.raw.HSet(w.ctx, fly, string(leaf), tt.entry).Err())
				}
				c, err := w.tasks.Claim(w.ctx, queue.Delivery{Run: "1", Key: leaf, Number: tt.number, Pool: pool})
				if tt.want != "" {
					requireRefused(w.t, err, tt.want)
					require.Equal(w.t, tt.entry, w.raw.HGet(w.ctx, fly, string(leaf)).Val())
					return
				}
				require.NoError(w.t, err)
				require.Equal(w.t, newRun("1"), c.Run)
				require.Equal(w.t, leaf, c.Node.Key)
				spec, err := w.tasks.Spec(w.ctx, c.Digest)
				require.NoError(w.t, err)
				require.JSONEq(w.t, `{"entrypoint":"hello"}`, string(spec))
				s, err := w.runs.Load(w.ctx, "1", 100)
				require.NoError(w.t, err)
				require.Equal(w.t, queue.FlightHeld, s.Flights[leaf].State)
				require.Equal(w.t, "worker-1", s.Flights[leaf].Worker)
			})
		})
	}
}

func TestClaimOfADeletedRunIsRefused(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		d := w.launch("1")
		require.NoError(w.t, w.runs.Delete(w.ctx, "1"))
		_, err := w.tasks.Claim(w.ctx, d)
		requireRefused(w.t, err, queue.RefusedGone)
	})
}

func TestRenewAnswersForEachDelivery(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		w.submit("2")
		other := queue.NewTasks(w.conn, "worker-2", time.Minute)
		flights := map[string]string{
			"{r:1}:fly a": "held|1|1|default|worker-1", // passed, and nobody took it
			"{r:1}:fly b": "cancel|1|9999999999999|default|worker-1",
			"{r:2}:fly a": "held|2|9999999999999|default|worker-1",
			"{r:2}:fly b": "held|1|9999999999999|default|worker-2",
			"{r:2}:fly c": "sent|1|9999999999999|default|",
		}
		for at, entry := range flights {
			require.NoError(w.t, w.raw.HSet(w.ctx, at[:9], at[10:], entry).Err())
		}
		held := func(run, key string, n int) queue.Delivery {
			return queue.Delivery{Run: run, Key: workflow.Key(key), Number: n, Pool: pool}
		}
		ds := []queue.Delivery{
			held("1", "a", 1), held("2", "a", 1), held("2", "a", 2), held("1", "b", 1), held("2", "b", 1), held("2", "c", 1), held("3", "a", 1),
		}
		w.count.Reset()
		got, err := w.tasks.Renew(w.ctx, ds)
		require.NoError(w.t, err)
		require.Equal(w.t, 1, w.count.Trips())
		require.Equal(w.t, []queue.Renewal{
			queue.RenewalOK, queue.RenewalLost, queue.RenewalOK, queue.RenewalCancel, queue.RenewalLost, queue.RenewalLost, queue.RenewalOver,
		}, got)
		_, err = other.Claim(w.ctx, held("1", "a", 1))
		requireRefused(w.t, err, queue.RefusedLeased)
		got, err = w.tasks.Renew(w.ctx, nil)
		require.NoError(w.t, err)
		require.Empty(w.t, got)
	})
}

func TestResultIsAcceptedOnce(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		d := w.launch("1")
		other := queue.NewTasks(w.conn, "worker-2", time.Minute)
		require.ErrorIs(w.t, w.tasks.Report(w.ctx, d, succeeded()), queue.ErrFenced, "before the claim")
		_, err := w.tasks.Claim(w.ctx, d)
		require.NoError(w.t, err)
		require.ErrorIs(w.t, other.Report(w.ctx, d, succeeded()), queue.ErrFenced, "of another worker")
		require.NoError(w.t, w.tasks.Report(w.ctx, d, succeeded()))
		require.ErrorIs(w.t, w.tasks.Report(w.ctx, d, succeeded()), queue.ErrFenced, "again")
		_, err = other.Claim(w.ctx, d)
		requireRefused(w.t, err, queue.RefusedEnded)
		require.Len(w.t, w.begin(w.claim()).Events, 1)
	})
}

func TestZombieIsFencedByTheNextDelivery(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		first := w.launch("1")
		_, err := w.tasks.Claim(w.ctx, first)
		require.NoError(w.t, err)
		w.overdue("1")
		ticket := w.claim()
		l := w.begin(ticket)
		require.Len(w.t, l.Lost, 1)
		second := l.Lost[0].Again()
		done := w.commit(l, &queue.Commit{Send: []queue.Delivery{second}})
		require.NoError(w.t, w.turns.Settle(w.ctx, ticket, queue.Settlement{Next: done.Next}))

		other := queue.NewTasks(w.conn, "worker-2", time.Minute)
		_, err = other.Claim(w.ctx, second)
		require.NoError(w.t, err)
		require.ErrorIs(w.t, w.tasks.Report(w.ctx, first, succeeded()), queue.ErrFenced)
		renewals, err := w.tasks.Renew(w.ctx, []queue.Delivery{first})
		require.NoError(w.t, err)
		require.Equal(w.t, []queue.Renewal{queue.RenewalLost}, renewals)
		require.NoError(w.t, other.Report(w.ctx, second, succeeded()))
	})
}

func TestReportOfALapsedLeaseCountsUntilItIsTaken(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		d := w.launch("1")
		_, err := w.tasks.Claim(w.ctx, d)
		require.NoError(w.t, err)
		w.overdue("1")
		require.NoError(w.t, w.tasks.Report(w.ctx, d, succeeded()))
		l := w.begin(w.claim())
		require.Len(w.t, l.Events, 1)
		require.Empty(w.t, l.Lost)
	})
}

func TestDeliveryThatIsNotLostAnyMoreIsNotSentAnew(t *testing.T) {
	tests := map[string]func(w *world, d queue.Delivery){
		"reported": func(w *world, d queue.Delivery) {
			require.NoError(w.t, w.tasks.Report(w.ctx, d, succeeded()))
		},
		"renewed": func(w *world, d queue.Delivery) {
			renewals, err := w.tasks.Renew(w.ctx, []queue.Delivery{d})
			require.NoError(w.t, err)
			require.Equal(w.t, []queue.Renewal{queue.RenewalOK}, renewals)
		},
		"sent anew by another turn": func(w *world, d queue.Delivery) {
			require.NoError(w.t, w.raw.HSet(w.ctx, "{r:1}:fly", string(leaf), "sent|2|1|default|").Err())
		},
	}
	for name, meanwhile := range tests {
		t.Run(name, func(t *testing.T) {
			each(t, func(w *world) {
				w.submit("1")
				d := w.launch("1")
				_, err := w.tasks.Claim(w.ctx, d)
				require.NoError(w.t, err)
				w.overdue("1")
				l := w.begin(w.claim())
				require.Len(w.t, l.Lost, 1)
				meanwhile(w, d)
				before := w.raw.HGetAll(w.ctx, "{r:1}:fly").Val()
				require.Empty(w.t, w.commit(l, &queue.Commit{Send: []queue.Delivery{l.Lost[0].Again()}}).Out)
				require.Equal(w.t, before, w.raw.HGetAll(w.ctx, "{r:1}:fly").Val())
			})
		})
	}
}

func TestReleasedDeliveryIsLostAtOnce(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		d := w.launch("1")
		_, err := w.tasks.Claim(w.ctx, d)
		require.NoError(w.t, err)
		require.NoError(w.t, queue.NewTasks(w.conn, "worker-2", time.Minute).Release(w.ctx, d), "not the holder")
		require.Empty(w.t, w.begin(w.claim()).Lost)
		w.overdueRun("1")
		require.NoError(w.t, w.tasks.Release(w.ctx, d))
		l := w.begin(w.claim())
		require.Equal(w.t, []queue.Lost{{Delivery: d}}, l.Lost)
		require.Len(w.t, w.commit(l, &queue.Commit{Send: []queue.Delivery{l.Lost[0].Again()}}).Out, 1)
		require.ErrorIs(w.t, w.tasks.Report(w.ctx, d, succeeded()), queue.ErrFenced)
	})
}
