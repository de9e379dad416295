package worker

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// oneSlot is a queue for a worker that has one.
type oneSlot struct{ *fakeQueue }

func (q oneSlot) Serve(ctx context.Context, handle func(Delivery)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case d := <-q.deliveries:
			handle(d)
		}
	}
}

// daemons is a worker with one slot whose steps serve a second after they were started, until
// they are ended; other steps end at once.
func daemons(t *testing.T, cfg Config) (*rig, *sync.Map) {
	t.Helper()
	ended := &sync.Map{}
	r := &rig{queue: newFakeQueue(), specs: newFakeSpecs(), done: make(chan error, 1)}
	r.queue.node.Daemon = &workflow.DaemonState{}
	return r.runOn(t, cfg, oneSlot{r.queue}, ExecutorFunc(func(ctx context.Context, s *Step) (workflow.Result, error) {
		if s.Ready == nil {
			return Exited(0, ""), nil
		}
		time.Sleep(time.Second)
		s.Ready(ctx, workflow.Ready{Address: "10.0.0.1", Host: "here"})
		<-ctx.Done()
		ended.Store("daemon", context.Cause(ctx))
		return workflow.Result{}, context.Cause(ctx)
	})), ended
}

func TestADaemonThatIsReadyGivesItsSlotBackAndKeepsItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _ := daemons(t, Config{})
		r.queue.deliveries <- first
		pass(500 * time.Millisecond)
		require.Empty(t, r.queue.told())
		pass(time.Second)
		require.Equal(t, map[Delivery]workflow.Ready{first: {Address: "10.0.0.1", Host: "here"}}, r.queue.told())

		client := Delivery{Run: "run-1", Key: workflow.Root.Step(1, "b"), N: 1}
		r.queue.set(func() { r.queue.node = &workflow.Node{Type: spec.NodeTypePod, Template: "main"} })
		r.queue.deliveries <- client
		synctest.Wait()
		require.Equal(t, spec.NodeSucceeded, r.queue.reports[client].Phase)
		pass(5 * time.Second)
		r.queue.set(func() { require.Equal(t, []Delivery{first}, r.queue.renewals[len(r.queue.renewals)-1]) })

		r.queue.deliveries <- first // handed out again
		synctest.Wait()
		r.queue.set(func() { require.Equal(t, 2, r.queue.claims, "it is in work here") })
		r.finish(t)
	})
}

func TestADaemonsReadinessThatWasLostIsToldAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _ := daemons(t, Config{})
		r.queue.deliveries <- first
		pass(1500 * time.Millisecond)
		require.Contains(t, r.queue.told(), first)
		r.queue.set(func() { clear(r.queue.ready) }) // Redis lost it
		pass(5 * time.Second)
		require.Contains(t, r.queue.told(), first)
		r.finish(t)
	})
}

func TestHowADaemonEnds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		lease    Lease
		shutdown bool
		cause    error
		reported bool
		released bool
	}{
		"its scope has ended":    {lease: LeaseCancelled, cause: ErrStopped, reported: true},
		"its run is over":        {lease: LeaseOver, cause: ErrStopped, reported: true}, // which the queue refuses
		"its lease is lost":      {lease: LeaseLost, cause: ErrLeaseLost},
		"the worker is to leave": {shutdown: true, cause: ErrShutdown, released: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r, ended := daemons(t, Config{})
				r.queue.deliveries <- first
				pass(2500 * time.Millisecond)
				require.NotEmpty(t, r.queue.told())
				if tt.shutdown {
					r.finish(t)
				}
				r.queue.set(func() { r.queue.lease[first] = tt.lease })
				pass(2 * time.Second)
				cause, _ := ended.Load("daemon")
				require.Equal(t, tt.cause, cause)
				_, reported := r.queue.reports[first]
				require.Equal(t, tt.reported, reported)
				require.Equal(t, tt.released, len(r.queue.released) == 1)
				if !tt.shutdown {
					r.finish(t)
				}
			})
		})
	}
}

func TestAWorkerThatLeavesGivesDaemonsTheDrainTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, ended := daemons(t, Config{Drain: time.Minute})
		r.queue.deliveries <- first
		pass(1500 * time.Millisecond)
		r.stop()
		pass(50 * time.Second)
		_, over := ended.Load("daemon")
		require.False(t, over)
		pass(11 * time.Second)
		require.NoError(t, <-r.done)
		require.Len(t, r.queue.released, 1)
	})
}

func TestADaemonIsToldOfHoweverLongTheQueueIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _ := daemons(t, Config{})
		r.queue.deliveries <- first
		synctest.Wait()
		r.queue.set(func() { r.queue.down = true })
		pass(time.Minute)
		require.Empty(t, r.queue.told())
		r.queue.set(func() { r.queue.down = false })
		pass(5 * time.Second)
		require.NotEmpty(t, r.queue.told())
		r.finish(t)
	})
}
