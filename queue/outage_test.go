package queue_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/queue"
	"argosy/queue/queuetest"
	"argosy/workflow"
)

// A machine's crash takes the writes that were not synced yet. Whatever the last one was
// that is left of a run's first half, the run goes on from there.
func TestRunGoesOnFromWhatACrashLeaves(t *testing.T) {
	t.Parallel()
	for _, last := range []string{"created", "claimed a turn", "committed", "sent", "settled", "held", "reported", "finished"} {
		t.Run(last, func(t *testing.T) {
			t.Parallel()
			server := queuetest.StartServer(t, queuetest.AOF()...)
			f := newFleet(t, server.URL())
			kept := int64(-1)
			did := func(what string) {
				if what == last {
					kept = server.Written(t)
				}
			}
			require.NoError(t, f.submit("1"))
			did("created")
			ticket, err := f.turns.Claim(f.ctx, time.Minute)
			require.NoError(t, err)
			did("claimed a turn")
			l, err := f.turns.Begin(f.ctx, ticket)
			require.NoError(t, err)
			d := queue.Delivery{Run: "1", Key: leaf, Number: 1, Pool: pool}
			done, err := f.turns.Commit(f.ctx, l, &queue.Commit{
				State: &workflow.State{Total: 1}, Nodes: []*workflow.Node{{Key: leaf}}, Send: []queue.Delivery{d},
			})
			require.NoError(t, err)
			did("committed")
			require.NoError(t, f.turns.Dispatch(f.ctx, done.Unsent()))
			did("sent")
			require.NoError(t, f.turns.Settle(f.ctx, ticket, queue.Settlement{Next: done.Next, Token: l.Token, Sent: 1}))
			did("settled")
			_, err = f.tasks.Claim(f.ctx, d)
			require.NoError(t, err)
			did("held")
			require.NoError(t, f.tasks.Report(f.ctx, d, succeeded()))
			did("reported")
			require.NoError(t, f.turn(f.ctx))
			did("finished")

			server.Kill(t)
			server.Forget(t, kept)
			server.Restart(t)
			f.start()
			f.finish("1")
			require.NoError(t, f.submit("2"))
			f.finish("2")
		})
	}
}

func TestFleetOutlivesAnAbsentRedis(t *testing.T) {
	t.Parallel()
	server := queuetest.StartServer(t, queuetest.AOF()...)
	f := newFleet(t, server.URL())
	f.start()
	require.NoError(t, f.submit("1"))
	f.finish("1")
	require.NoError(t, f.submit("2")) // wherever it is by then

	server.Kill(t)
	f.count.Reset()
	<-time.After(time.Second)
	// Two loops at two attempts a second, a look at each shard, what run 2 had under way.
	require.Less(t, f.count.Commands(), 60, "they try too often")
	server.Restart(t)
	// A crash may take what came in its last two seconds: whoever submitted does it again.
	require.NoError(t, f.submit("2"))
	require.NoError(t, f.submit("3"))
	f.finish("2", "3")
}

func TestFleetOutlivesAStalledRedis(t *testing.T) {
	t.Parallel()
	server := queuetest.StartServer(t, queuetest.AOF()...)
	f := newFleet(t, server.URL()+"?read_timeout=200ms")
	f.start()
	require.NoError(t, f.submit("1"))
	f.finish("1")

	server.Stall(t)
	resume := time.AfterFunc(3*lease, func() { server.Resume(t) })
	defer resume.Stop()
	// What times out is done later all the same. To submit again does no harm.
	f.insist(f.ctx, func() error { return f.submit("2") })
	f.finish("2")
	require.NoError(t, f.submit("3"))
	f.finish("3")
}

func TestFleetFollowsAFailover(t *testing.T) {
	t.Parallel()
	s := queuetest.StartSentinels(t)
	f := newFleet(t, s.URL)
	f.start()
	require.NoError(t, f.submit("1"))
	f.finish("1")
	s.Replicated(t) // what a replica had not received is lost
	s.Master.Kill(t)
	f.insist(f.ctx, func() error { return f.submit("2") })
	f.finish("1", "2")
}

// What is sent to a Redis that stalls is done when it goes on. So a claim is not sent once
// more, for nobody, before Redis has answered something.
func TestClaimAsksBeforeItTakesAfterAnError(t *testing.T) {
	t.Parallel()
	server := queuetest.StartServer(t, queuetest.AOF()...)
	f := newFleet(t, server.URL())
	server.Kill(t)
	// The shards are put off, until only the bell is left to wait at.
	for f.count.Sent("brpop") == 0 || f.count.Sent("exists") == 0 {
		_, err := f.turns.Claim(f.ctx, time.Minute)
		require.Error(t, err)
		require.NoError(t, f.ctx.Err())
	}
	require.Equal(t, 1, f.count.Sent("evalsha"), "one for all shards")
	server.Restart(t)
	require.NoError(t, f.submit("1"))
	ticket, err := f.turns.Claim(f.ctx, time.Minute)
	require.NoError(t, err)
	require.Equal(t, "1", ticket.Run)
}
