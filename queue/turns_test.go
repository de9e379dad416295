package queue_test

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/queue"
	"argosy/queue/queuetest"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// expiry finds the expiry in an entry of a fly hash.
var expiry = regexp.MustCompile(`^(\w+\|\d+\|)\d+\|`)

func TestOneStepRun(t *testing.T) {
	each(t, func(w *world) {
		ctx, stop := context.WithCancel(w.ctx)
		defer stop()
		tried := make(chan error, 1)
		served := make(chan error, 1)
		go func() { served <- w.broker.Serve(ctx, queue.ServeConfig{Pool: pool, Slots: 1}, w.tryStep(tried)) }()
		w.oneStepRun("1", tried)
		stop()
		require.NoError(w.t, <-served)
		w.idle()
	})
}

// tryStep is a worker's handler whose steps succeed.
func (w *world) tryStep(tried chan<- error) queue.Handler {
	return func(_ context.Context, d queue.Delivery) {
		c, err := w.tasks.Claim(w.ctx, d)
		if err == nil && c.Node.Type != spec.NodeTypePod {
			err = errors.New("wrong node")
		}
		if err == nil {
			err = w.tasks.Report(w.ctx, d, succeeded())
		}
		tried <- err
	}
}

func (w *world) oneStepRun(id string, tried <-chan error) {
	w.t.Helper()
	w.submit(id)
	d := w.launch(id)
	require.NoError(w.t, <-tried)
	ticket := w.claim()
	l := w.begin(ticket)
	require.Len(w.t, l.Events, 1)
	require.Equal(w.t, d.Key, l.Events[0].Key)
	require.Equal(w.t, spec.NodeSucceeded, l.Events[0].Result.Phase)
	require.True(w.t, l.Complete)
	require.Equal(w.t, spec.NodePending, l.Nodes[leaf].Phase)
	done := w.commit(l, &queue.Commit{
		State: &workflow.State{Phase: spec.WorkflowSucceeded, Finished: l.Now},
		Nodes: []*workflow.Node{{Key: leaf, Type: spec.NodeTypePod, Phase: spec.NodeSucceeded}},
	})
	require.Zero(w.t, done.Next)
	require.NoError(w.t, w.turns.Settle(w.ctx, ticket, queue.Settlement{Next: done.Next, Token: l.Token}))
}

func TestClaimTakesEachRunOnce(t *testing.T) {
	each(t, func(w *world) {
		want := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"} // over all shards
		for _, id := range want {
			w.submit(id)
		}
		other := w.newTurns()
		var got []string
		for i := range want {
			ticket, err := []*queue.Turns{w.turns, other}[i%2].Claim(w.ctx, time.Minute)
			require.NoError(w.t, err)
			got = append(got, ticket.Run)
		}
		require.ElementsMatch(w.t, want, got)
		w.idle()
	})
}

func TestClaimEndsWithItsContext(t *testing.T) {
	each(t, func(w *world) {
		ctx, cancel := context.WithCancel(w.ctx)
		got := make(chan error, 2)
		for range 2 { // one listens, one waits for its place
			go func() {
				_, err := w.turns.Claim(ctx, time.Hour)
				got <- err
			}()
		}
		cancel()
		require.ErrorIs(w.t, <-got, context.Canceled)
		require.ErrorIs(w.t, <-got, context.Canceled)
	})
}

func TestDeadCoordinatorsRunComesDueAgain(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		dead := w.claim()
		stale := w.begin(dead)
		w.idle()
		w.overdue("1")

		ticket := w.claim()
		l := w.begin(ticket)
		require.Greater(w.t, l.Token, stale.Token)
		_, err := w.turns.Commit(w.ctx, stale, &queue.Commit{State: &workflow.State{}})
		require.ErrorIs(w.t, err, queue.ErrFenced)
		// The dead one coming back does not end the turn of the other.
		require.NoError(w.t, w.turns.Settle(w.ctx, dead, queue.Settlement{}))
		w.commit(l, &queue.Commit{})
		require.NoError(w.t, w.turns.Settle(w.ctx, ticket, queue.Settlement{Next: 1}))
		require.Equal(w.t, "1", w.claim().Run)
	})
}

func TestRingDuringATurnIsNotLost(t *testing.T) {
	tests := map[string]struct {
		ring bool
		next workflow.Millis
		due  bool
	}{
		"nothing came in":             {},
		"something came in":           {ring: true, due: true},
		"came in, and a timer is set": {ring: true, next: 1 << 42, due: true},
		"a timer is set":              {next: 1 << 42},
		"a timer has passed":          {next: 1, due: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			each(t, func(w *world) {
				w.submit("1")
				ticket := w.claim()
				l := w.begin(ticket)
				w.commit(l, &queue.Commit{})
				if tt.ring {
					require.NoError(w.t, w.runs.Signal(w.ctx, "1", workflow.Event{Kind: workflow.EventSignal, Signal: workflow.SignalStop}))
					w.idle()
				}
				require.NoError(w.t, w.turns.Settle(w.ctx, ticket, queue.Settlement{Next: tt.next}))
				if !tt.due {
					w.idle()
					return
				}
				l = w.begin(w.claim())
				if tt.ring {
					require.Equal(w.t, []workflow.Event{{Kind: workflow.EventSignal, Signal: workflow.SignalStop}}, l.Events)
				}
			})
		})
	}
}

func TestTimersComeDue(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		ticket := w.claim()
		l := w.begin(ticket)
		timer := func(name string, key workflow.Key, at workflow.Millis) workflow.Timer {
			return workflow.Timer{Name: name, Key: key, At: at}
		}
		far := l.Now + 1_000_000
		done := w.commit(l, &queue.Commit{Timers: []workflow.Timer{
			timer("deadline", leaf, l.Now), timer("deadline", "", far), timer("backoff", leaf, l.Now),
		}})
		require.LessOrEqual(w.t, done.Next, l.Now)
		require.NoError(w.t, w.turns.Settle(w.ctx, ticket, queue.Settlement{Next: done.Next}))

		ticket = w.claim()
		l = w.begin(ticket)
		require.Equal(w.t, []workflow.Event{
			{Kind: workflow.EventTimer, Key: leaf, Timer: "backoff"},
			{Kind: workflow.EventTimer, Key: leaf, Timer: "deadline"},
		}, l.Events)
		// One is set anew, one is done with, one is taken back.
		done = w.commit(l, &queue.Commit{Timers: []workflow.Timer{timer("backoff", leaf, far), timer("deadline", "", 0)}})
		require.Less(w.t, done.Next, far, "Redis could lose the commit, and must be asked before long")
		require.Equal(w.t, []string{"backoff|" + string(leaf)}, w.raw.ZRange(w.ctx, "{r:1}:timers", 0, -1).Val())
		w.overdue("1")
		require.Equal(w.t, far, w.begin(w.claim()).Next)
	})
}

func TestCommitOfALostAnswerMayBeRepeated(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		l := w.begin(w.claim())
		c := &queue.Commit{State: &workflow.State{}, Send: []queue.Delivery{{Run: "1", Key: leaf, Number: 1, Pool: pool}}}
		first := w.commit(l, c)
		require.Equal(w.t, first, w.commit(l, c))
		s, err := w.runs.Load(w.ctx, "1", 100)
		require.NoError(w.t, err)
		require.EqualValues(w.t, 1, s.Version)
		require.Len(w.t, s.Flights, 1)
	})
}

func TestCommitOfAStaleVersionIsFenced(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		l := w.begin(w.claim())
		require.NoError(w.t, w.raw.HSet(w.ctx, "{r:1}:meta", "ver", 7).Err())
		_, err := w.turns.Commit(w.ctx, l, &queue.Commit{State: &workflow.State{}, Nodes: []*workflow.Node{{Key: leaf}}})
		require.ErrorIs(w.t, err, queue.ErrFenced)
		require.Zero(w.t, w.raw.Exists(w.ctx, "{r:1}:nodes").Val())
	})
}

func TestUndispatchedDeliveriesAreFoundByTheNextTurn(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		ticket := w.claim()
		l := w.begin(ticket)
		first := queue.Delivery{Run: "1", Key: "/[0].a|b", Number: 1, Pool: pool}
		w.commit(l, &queue.Commit{Send: []queue.Delivery{first}}) // and died
		w.overdue("1")

		next := w.claim()
		again := w.begin(next)
		require.Equal(w.t, []queue.Delivery{first}, again.Out)
		second := queue.Delivery{Run: "1", Key: "/[0].c", Number: 1, Pool: pool}
		done := w.commit(again, &queue.Commit{Send: []queue.Delivery{second}})
		require.Equal(w.t, []queue.Delivery{first, second}, done.Out)
		// The dead one comes back, and must not take the entries of the other away.
		require.NoError(w.t, w.turns.Settle(w.ctx, ticket, queue.Settlement{Token: l.Token, Sent: 1}))
		require.EqualValues(w.t, 2, w.raw.LLen(w.ctx, "{r:1}:out").Val())
		require.NoError(w.t, w.turns.Settle(w.ctx, next, queue.Settlement{Token: again.Token, Sent: 2}))
		require.Zero(w.t, w.raw.LLen(w.ctx, "{r:1}:out").Val())
	})
}

func TestWhatIsCommittedIsSentAlong(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		ticket := w.claim()
		l := w.begin(ticket)
		d := queue.Delivery{Run: "1", Key: leaf, Number: 1, Pool: pool}
		c := &queue.Commit{Nodes: []*workflow.Node{{Key: leaf}}, Send: []queue.Delivery{d}}
		done := w.commit(l, c)
		require.Equal(w.t, []queue.Delivery{d}, done.Out)
		states, err := w.broker.States(w.ctx, done.Out)
		require.NoError(w.t, err)
		if w.onCluster(1, 0) == 1 {
			require.Empty(w.t, done.Sent)
			require.Equal(w.t, []queue.TaskState{queue.TaskAbsent}, states)
			return
		}
		require.Equal(w.t, map[queue.Delivery]bool{d: true}, done.Sent)
		require.Equal(w.t, []queue.TaskState{queue.TaskQueued}, states)
		require.Equal(w.t, done.Sent, w.commit(l, c).Sent, "nor is it lost if the answer is")
		require.EqualValues(w.t, 1, w.raw.LLen(w.ctx, "asynq:{default}:pending").Val())
	})
}

func TestWhatIsNotCommittedIsNotSent(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		ticket := w.claim()
		l := w.begin(ticket)
		w.overdueTurn(ticket)
		w.begin(w.claim())
		d := queue.Delivery{Run: "1", Key: leaf, Number: 1, Pool: pool}
		state := workflow.State{Phase: spec.WorkflowRunning}
		_, err := w.turns.Commit(w.ctx, l, &queue.Commit{State: &state, Send: []queue.Delivery{d}})
		require.ErrorIs(w.t, err, queue.ErrFenced)
		states, err := w.broker.States(w.ctx, []queue.Delivery{d})
		require.NoError(w.t, err)
		require.Equal(w.t, []queue.TaskState{queue.TaskAbsent}, states)
	})
}

// overdueTurn gives a turn back at once.
func (w *world) overdueTurn(ticket *queue.Ticket) {
	w.t.Helper()
	require.NoError(w.t, w.turns.Settle(w.ctx, ticket, queue.Settlement{Next: 1}))
}

func TestLostDeliveriesAreFound(t *testing.T) {
	tests := map[string]struct {
		send   bool // the broker gets it
		state  string
		hold   bool
		lost   []bool // at one look after another
		heldBy string
	}{
		"never sent":             {lost: []bool{true}},
		"still queued":           {send: true, lost: []bool{false, false}},
		"taken, not yet claimed": {send: true, state: "active", lost: []bool{false, true}},
		"its holder died":        {send: true, hold: true, lost: []bool{true}, heldBy: "worker-1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			each(t, func(w *world) {
				w.submit("1")
				ticket := w.claim()
				l := w.begin(ticket)
				d := queue.Delivery{Run: "1", Key: leaf, Number: 1, Pool: pool}
				done := w.commit(l, &queue.Commit{Nodes: []*workflow.Node{{Key: leaf}}, Send: []queue.Delivery{d}})
				if tt.send {
					require.NoError(w.t, w.turns.Dispatch(w.ctx, done.Unsent()))
				} else {
					w.raw.Del(w.ctx, "asynq:{default}:t:"+d.ID(), "asynq:{default}:pending") // it went along with the commit
				}
				if tt.state != "" {
					require.NoError(w.t, w.raw.HSet(w.ctx, "asynq:{default}:t:"+d.ID(), "state", tt.state).Err())
				}
				if tt.hold {
					_, err := w.tasks.Claim(w.ctx, d)
					require.NoError(w.t, err)
				}
				require.NoError(w.t, w.turns.Settle(w.ctx, ticket, queue.Settlement{Next: done.Next, Token: l.Token, Sent: 1}))
				for _, lost := range tt.lost {
					w.overdue("1")
					ticket := w.claim()
					l := w.begin(ticket)
					if !lost {
						require.Empty(w.t, l.Lost)
						require.NoError(w.t, w.turns.Settle(w.ctx, ticket, queue.Settlement{Next: l.Next}))
						continue
					}
					require.Equal(w.t, []queue.Lost{{Delivery: d, Worker: tt.heldBy}}, l.Lost)
					done := w.commit(l, &queue.Commit{Send: []queue.Delivery{l.Lost[0].Again()}})
					require.NoError(w.t, w.turns.Dispatch(w.ctx, done.Unsent()))
					_, err := w.tasks.Claim(w.ctx, d)
					requireRefused(w.t, err, queue.RefusedSuperseded)
					require.ErrorIs(w.t, w.tasks.Report(w.ctx, d, succeeded()), queue.ErrFenced)
					_, err = w.tasks.Claim(w.ctx, l.Lost[0].Again())
					require.NoError(w.t, err)
				}
			})
		})
	}
}

func TestGivenUpDeliveryIsRefused(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		d := w.launch("1")
		_, err := w.tasks.Claim(w.ctx, d)
		require.NoError(w.t, err)
		w.overdue("1")
		w.commit(w.begin(w.claim()), &queue.Commit{Drop: []workflow.Key{leaf}})
		_, err = w.tasks.Claim(w.ctx, d)
		requireRefused(w.t, err, queue.RefusedEnded)
		require.ErrorIs(w.t, w.tasks.Report(w.ctx, d, succeeded()), queue.ErrFenced)
	})
}

func TestDeliveryThatIsNotLostAnyMoreIsNotGivenUp(t *testing.T) {
	tests := map[string]func(w *world, d queue.Delivery) error{
		"reported": func(w *world, d queue.Delivery) error { return w.tasks.Report(w.ctx, d, succeeded()) },
		"renewed": func(w *world, d queue.Delivery) error {
			_, err := w.tasks.Renew(w.ctx, []queue.Delivery{d})
			return err
		},
	}
	for name, comesBack := range tests {
		t.Run(name, func(t *testing.T) {
			each(t, func(w *world) {
				w.submit("1")
				d := w.launch("1")
				_, err := w.tasks.Claim(w.ctx, d)
				require.NoError(w.t, err)
				w.overdue("1")
				l := w.begin(w.claim())
				require.Len(w.t, l.Lost, 1)
				require.NoError(w.t, comesBack(w, d))
				_, err = w.turns.Commit(w.ctx, l, &queue.Commit{State: &workflow.State{Phase: spec.WorkflowRunning}, Drop: []workflow.Key{leaf}})
				require.ErrorIs(w.t, err, queue.ErrFenced)
			})
		})
	}
}

func TestLargeRunIsReadInParts(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		l := w.begin(w.claim())
		var nodes []*workflow.Node
		for i := range 1200 { // more than one HSET's worth
			nodes = append(nodes, &workflow.Node{Key: workflow.Root.Attempt(i), Message: "m"})
		}
		w.commit(l, &queue.Commit{Nodes: nodes})
		w.overdue("1")
		hint := []workflow.Key{nodes[1199].Key, "/none", nodes[0].Key}
		l, err := w.turns.Begin(w.ctx, w.claim(), hint...)
		require.NoError(w.t, err)
		require.False(w.t, l.Complete)
		require.Len(w.t, l.Nodes, 3)
		require.Nil(w.t, l.Nodes["/none"])
		require.Equal(w.t, nodes[1199], l.Nodes[nodes[1199].Key])
		more, err := w.turns.Nodes(w.ctx, "1", []workflow.Key{"/none", nodes[7].Key})
		require.NoError(w.t, err)
		require.Equal(w.t, map[workflow.Key]*workflow.Node{"/none": nil, nodes[7].Key: nodes[7]}, more)
	})
}

func TestFinishedAndDeletedRunsTakeNoTurns(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		l := w.begin(w.claim())
		w.commit(l, &queue.Commit{State: &workflow.State{Phase: spec.WorkflowFailed, Finished: l.Now}})
		w.overdue("1") // the coordinator died before it settled
		ticket := w.claim()
		_, err := w.turns.Begin(w.ctx, ticket)
		require.ErrorIs(w.t, err, queue.ErrFinished)
		require.NoError(w.t, w.turns.LeaveEnded(w.ctx, ticket))
		w.submit("2")
		require.NoError(w.t, w.raw.Del(w.ctx, "{r:2}:run").Err())
		_, err = w.turns.Begin(w.ctx, w.claim())
		require.ErrorIs(w.t, err, queue.ErrNotFound)
		w.idle()
		require.ErrorIs(w.t, w.runs.Signal(w.ctx, "1", workflow.Event{}), queue.ErrFinished)
		require.ErrorIs(w.t, w.runs.Signal(w.ctx, "2", workflow.Event{}), queue.ErrNotFound)
	})
}

func TestRunThatIsDeletedInItsTurnCommitsNothing(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		l := w.begin(w.claim())
		require.NoError(w.t, w.runs.Delete(w.ctx, "1"))
		_, err := w.turns.Commit(w.ctx, l, &queue.Commit{State: &workflow.State{Phase: spec.WorkflowRunning}, Nodes: []*workflow.Node{{Key: leaf}}})
		require.ErrorIs(w.t, err, queue.ErrFenced)
		require.Empty(w.t, w.keys("{r:1}:nodes"))
	})
}

func TestUnreadableEventIsDropped(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		good, err := json.Marshal(workflow.Event{Kind: workflow.EventSignal, Signal: "Stop"})
		require.NoError(w.t, err)
		require.NoError(w.t, w.raw.RPush(w.ctx, "{r:1}:in", "no JSON", good).Err())
		l := w.begin(w.claim())
		require.Len(w.t, l.Events, 1)
		w.commit(l, &queue.Commit{})
		require.Zero(w.t, w.raw.LLen(w.ctx, "{r:1}:in").Val())
	})
}

func TestScriptsAreLoadedAgainAfterARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, queuetest.Start(t))
	w.submit("1")
	w.launch("1")
	require.NoError(t, w.raw.ScriptFlush(w.ctx).Err())
	w.submit("2")
	require.NoError(t, w.raw.ScriptFlush(w.ctx).Err())
	w.launch("2")
}

func requireRefused(t testing.TB, err error, reason queue.Refusal) {
	t.Helper()
	var refused *queue.Refused
	require.ErrorAs(t, err, &refused)
	require.Equal(t, reason, refused.Reason)
}
