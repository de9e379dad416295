package queue_test

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/queue"
	"argosy/queue/queuetest"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// The worker has a connection of its own here, so that its waiting can be told from the
// coordinator's.
func TestOneStepRunStaysWithinItsRoundTrips(t *testing.T) {
	each(t, func(w *world) {
		count := queue.NewCounter()
		conn := queuetest.ConnectWith(w.t, w.url, queue.Options{Counter: count})
		broker := queue.NewAsynq(conn)
		defer func() { require.NoError(w.t, broker.Close()) }()
		worker := *w
		worker.tasks = queue.NewTasks(conn, "worker-1", 0)
		ctx, stop := context.WithCancel(w.ctx)
		defer stop()
		tried, served := make(chan error, 1), make(chan error, 1)
		go func() {
			served <- broker.Serve(ctx, queue.ServeConfig{Pool: pool, Slots: 1}, worker.tryStep(tried))
		}()
		// The first run pays for what is paid once, and others meet asynq's heartbeat or a look
		// at what no bell was heard for, the more so on a busy machine: the least is the cost.
		trips, budget := math.MaxInt, w.onCluster(34, 15)
		for i := 0; i < 5 || i < 50 && trips > budget; i++ {
			id := strconv.Itoa(i)
			awaitSent(w.t, count, "brpop", i+1)
			w.count.Reset()
			before := count.Trips()
			w.oneStepRun(id, tried)
			awaitSent(w.t, count, "brpop", i+2) // the task is acknowledged
			trips = min(trips, w.count.Trips()+count.Trips()-before)
		}
		w.t.Logf("a one-step run costs %d round trips", trips)
		require.LessOrEqual(w.t, trips, budget)
		stop()
		require.NoError(w.t, <-served)
	})
}

// workerIsIdle returns when the worker waits at its doorbell.
func (w *world) workerIsIdle() {
	w.t.Helper()
	for !strings.Contains(w.raw.Info(w.ctx, "clients").Val(), "blocked_clients:1\r") {
		require.NoError(w.t, w.ctx.Err())
	}
}

// bytes is what the keys that match cost Redis, all told.
func (w *world) bytes(pattern string) int64 {
	w.t.Helper()
	var sum int64
	for _, k := range w.keys(pattern) {
		n, err := w.raw.MemoryUsage(w.ctx, k, 0).Result()
		require.NoError(w.t, err)
		sum += n
	}
	return sum
}

func TestRunsStayWithinTheirBytes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, queuetest.Start(t))
	const n = 1000
	for i := range n {
		require.NoError(t, w.runs.Submit(w.ctx, &workflow.Run{
			ID: fmt.Sprintf("6f1f4b1c-7d3e-4d55-9d7b-0a1b2c3d%04d", i), Name: fmt.Sprintf("hello-world-%05d", i),
			Namespace: "argo", Created: workflow.Millis(1_700_000_000_000 + i),
		}, []byte(`{"entrypoint":"hello"}`)))
	}
	queued, all := w.bytes("{r:*")/n, w.bytes("*")/n
	t.Logf("a queued run is %d bytes and %d of indexes", queued, all-queued)
	require.LessOrEqual(t, queued, int64(300))
	require.LessOrEqual(t, all-queued, int64(400))

	for range n {
		ticket := w.claim()
		l := w.begin(ticket)
		done := w.commit(l, &queue.Commit{
			State: &workflow.State{Phase: spec.WorkflowSucceeded, Started: l.Now, Finished: l.Now, Total: 1, Done: 1},
			Nodes: []*workflow.Node{{Key: leaf, Type: spec.NodeTypePod, Phase: spec.NodeSucceeded, Started: l.Now, Finished: l.Now}},
		})
		require.NoError(t, w.turns.Settle(w.ctx, ticket, queue.Settlement{Next: done.Next, Token: l.Token}))
	}
	finished, all := w.bytes("{r:*")/n, w.bytes("*")/n
	node := w.bytes("{r:*}:nodes") / n
	t.Logf("a finished one-step run is %d bytes, %d of them its node's, and %d of indexes", finished, node, all-finished)
	require.LessOrEqual(t, finished, int64(900))
	require.LessOrEqual(t, all-finished, int64(300))
}
