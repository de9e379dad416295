package warm

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/worker"
	"argosy/worker/handover"
	"argosy/workflow/spec"
)

// cluster plays the launcher and its pods. A step's command is what the pod does: a duration that
// it takes, and how it ends.
type cluster struct {
	pools *Pools
	kind  Kind
	slow  time.Duration // until a pod comes
	never *worker.Fault // pods do not come, for this reason

	kill chan struct{} // closed: pods vanish

	mu     sync.Mutex
	counts counts
}

type counts struct{ launched, alive, most, removed int }

func (c *cluster) seen() counts {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts
}

func newCluster(limits spec.Warm) *cluster {
	c := &cluster{pools: NewPools(slog.New(slog.DiscardHandler)), slow: time.Second, kill: make(chan struct{})}
	c.kind = Kind{Key: "run/template", Limits: limits, Launch: c.launch}
	return c
}

// close ends what a test leaves.
func (c *cluster) close(t *testing.T) {
	require.NoError(t, c.pools.Close(t.Context()))
	require.Zero(t, c.seen().alive)
}

func (c *cluster) count(launched, alive, removed int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.launched += launched
	c.counts.alive += alive
	c.counts.most = max(c.counts.most, c.counts.alive)
	c.counts.removed += removed
}

func (c *cluster) launch(ctx context.Context, p Pod) *worker.Fault {
	c.count(1, 1, 0)
	defer c.count(0, -1, 0)
	select {
	case <-ctx.Done():
		c.count(0, 0, 1)
		return nil
	case <-time.After(c.slow):
	}
	if c.never != nil {
		return c.never
	}
	ours, theirs := net.Pipe()
	pod, end := handover.NewWire(theirs, bufio.NewReader(theirs)), make(chan struct{})
	defer pod.Close()
	go p.Serve(handover.NewWire(ours, bufio.NewReader(ours)))
	go func() {
		defer close(end)
		play(pod)
	}()
	select {
	case <-end:
		return nil
	case <-c.kill:
		return worker.Faultf(worker.ClassEvicted, "the node is gone")
	case <-ctx.Done():
		c.count(0, 0, 1)
		return nil
	}
}

// play is what a pod does.
func play(wire *handover.Wire) {
	cancel, gone := make(chan struct{}, 1), make(chan struct{})
	items := make(chan *handover.Item, 1)
	go func() {
		defer close(items)
		defer close(gone)
		for {
			kind, payload, err := wire.Receive()
			switch {
			case err != nil || kind == handover.SayLeave:
				return
			case kind == handover.SayCancel:
				cancel <- struct{}{}
			default:
				item := &handover.Item{}
				_ = json.Unmarshal(payload, item)
				items <- item
			}
		}
	}()
	for wire.Send(handover.SayReady, nil) == nil {
		item, more := <-items
		if !more {
			return
		}
		if item.Command[0] == "break" {
			return
		}
		takes, _ := time.ParseDuration(item.Command[0])
		o := &handover.Outcome{}
		_ = wire.Send(handover.SayOutput, []byte("says "+item.Command[1]))
		deaf := cancel
		if item.Command[1] == "deaf" {
			deaf = nil
		}
		select {
		case <-time.After(takes):
		case <-gone:
			return
		case <-deaf:
			o.Code = 143
		}
		_ = wire.SendJSON(handover.SayEnded, o)
	}
}

func (c *cluster) run(ctx context.Context, patience time.Duration, command ...string) (Done, string, error) {
	var log bytes.Buffer
	d, err := c.pools.Run(ctx, c.kind, &handover.Item{Command: command, Grace: 1000}, &log, patience)
	return d, log.String(), err
}

// many runs so many steps at once, each of which must succeed.
func (c *cluster) many(t *testing.T, n int, takes string) time.Duration {
	began := time.Now()
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			d, log, err := c.run(t.Context(), 0, takes, fmt.Sprint(i))
			if err != nil || d.Outcome.Code != 0 || log != fmt.Sprintf("says %d", i) {
				t.Errorf("step %d: %+v, %q, %v", i, d, log, err)
			}
		})
	}
	running.Wait()
	return time.Since(began)
}

func limits() spec.Warm { return spec.Warm{MaxPods: 8, MaxItems: 1000, Idle: 30 * time.Second} }

func TestQuickStepsShareTheFirstPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(limits())
		defer c.close(t)
		took := c.many(t, 100, "10ms")
		require.Equal(t, 2, c.seen().most)
		require.Equal(t, c.slow+500*time.Millisecond, took)
		require.Equal(t, 2, c.seen().alive, "they stay for more")
		time.Sleep(29 * time.Second)
		require.Equal(t, 2, c.seen().alive)
		time.Sleep(2 * time.Second)
		require.Zero(t, c.seen().alive)
		require.Zero(t, c.seen().removed, "they went when they were told to")
		require.Empty(t, c.pools.pools)
	})
}

func TestSlowStepsSoonHaveAllPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(limits())
		defer c.close(t)
		c.many(t, 40, "1m")
		require.Equal(t, 8, c.seen().most)
	})
}

func TestAPodIsReplacedAfterSoManySteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limits()
		l.MaxPods, l.MaxItems = 1, 10
		c := newCluster(l)
		defer c.close(t)
		c.many(t, 30, "1s")
		require.Equal(t, 3, c.seen().launched)
		require.Equal(t, 1, c.seen().most)
		require.Zero(t, c.seen().alive, "the last one is not kept for what it may not run")
	})
}

func TestAStepIsLostWithItsPodOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(limits())
		defer c.close(t)
		var running sync.WaitGroup
		running.Go(func() {
			_, _, err := c.run(t.Context(), 0, "break", "")
			var f *worker.Fault
			if !errors.As(err, &f) || f.Class != worker.ClassLost {
				t.Errorf("want a fault, got %v", err)
			}
		})
		c.many(t, 20, "1s")
		running.Wait()
		require.NoError(t, c.pools.Close(t.Context()))
	})
}

func TestAnEvictedPodSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(limits())
		defer c.close(t)
		go func() {
			time.Sleep(10 * time.Second)
			close(c.kill)
		}()
		_, _, err := c.run(t.Context(), 0, "1m", "")
		require.EqualError(t, err, "the node is gone")
	})
}

func TestStepsForWhichNoPodComesEnd(t *testing.T) {
	for class, waits := range map[string]bool{worker.ClassImage: false, worker.ClassEvicted: true} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(limits())
			defer c.close(t)
			c.never = worker.Faultf(class, "no pod")
			began := time.Now()
			var running sync.WaitGroup
			for range 6 {
				running.Go(func() {
					if _, _, err := c.run(t.Context(), 0, "1s", ""); err == nil || err.Error() != "no pod" {
						t.Errorf("got %v", err)
					}
				})
			}
			running.Wait()
			require.Equal(t, waits, time.Since(began) > c.slow, "each pod that is lost costs one step")
			require.NoError(t, c.pools.Close(t.Context()))
		})
	}
}

func TestAStepEndsWithItsContext(t *testing.T) {
	for name, c := range map[string]struct {
		after   time.Duration
		command []string
		took    time.Duration
		removed int
	}{
		"while it waits":            {500 * time.Millisecond, []string{"1h", ""}, 0, 0},
		"while it runs":             {10 * time.Second, []string{"1h", ""}, 0, 0},
		"with its pod if it clings": {10 * time.Second, []string{"1h", "deaf"}, time.Second + endTime, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(limits())
				defer cl.close(t)
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(c.after, func() { cancel(worker.ErrStopped) })
				began := time.Now()
				_, _, err := cl.run(ctx, 0, c.command...)
				require.ErrorIs(t, err, worker.ErrStopped)
				require.Equal(t, c.after+c.took, time.Since(began))
				require.Equal(t, c.removed, cl.seen().removed)
			})
		})
	}
}

func TestAStepWaitsForAPodAsLongAsItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(limits())
		defer c.close(t)
		c.slow = time.Hour
		_, _, err := c.run(t.Context(), 3*time.Second, "1s", "")
		require.ErrorIs(t, err, ErrNotStarted)
		require.NoError(t, c.pools.Close(t.Context()))
		require.Equal(t, 1, c.seen().removed)
		_, _, err = c.run(t.Context(), 0, "1s", "")
		require.ErrorIs(t, err, worker.ErrShutdown)
	})
}
