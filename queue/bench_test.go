package queue_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/queue"
	"argosy/queue/queuetest"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// BenchmarkTurn is claim, begin, commit of one node, settle, over the socket of a
// redis-server.
func BenchmarkTurn(b *testing.B) {
	w := newWorld(b, queuetest.Start(b))
	w.submit("1")
	node := []*workflow.Node{{Key: leaf, Type: spec.NodeTypePod, Phase: spec.NodeRunning}}
	b.ResetTimer()
	for b.Loop() {
		ticket := w.claim()
		l := w.begin(ticket)
		w.commit(l, &queue.Commit{Nodes: node, More: true})
		w.overdueTurn(ticket)
	}
}

// BenchmarkSubmit is the two round trips of a submit.
func BenchmarkSubmit(b *testing.B) {
	w := newWorld(b, queuetest.Start(b))
	n := 0
	for b.Loop() {
		n++
		w.submit(fmt.Sprint(n))
	}
}

// BenchmarkHop is the time from Send to the start of the handler at an idle worker.
func BenchmarkHop(b *testing.B) {
	w := newWorld(b, queuetest.Start(b))
	ctx, cancel := context.WithCancel(w.ctx)
	began, served := make(chan time.Time), make(chan error, 1)
	go func() {
		served <- w.broker.Serve(ctx, queue.ServeConfig{Pool: pool, Slots: 1}, func(context.Context, queue.Delivery) { began <- time.Now() })
	}()
	var hops []time.Duration
	n := 0
	for b.Loop() {
		n++
		w.workerIsIdle()
		sent := time.Now()
		require.NoError(b, w.broker.Send(w.ctx, []queue.Delivery{{Run: "1", Key: leaf, Number: n, Pool: pool}}))
		hops = append(hops, (<-began).Sub(sent))
	}
	slices.Sort(hops)
	b.ReportMetric(float64(hops[len(hops)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(hops[len(hops)*99/100].Microseconds()), "p99-us")
	cancel()
	require.NoError(b, <-served)
}

// BenchmarkSend is a pipeline of 500 deliveries.
func BenchmarkSend(b *testing.B) {
	w := newWorld(b, queuetest.Start(b))
	ds := make([]queue.Delivery, 500)
	n := 0
	for b.Loop() {
		n++
		for i := range ds {
			ds[i] = queue.Delivery{Run: fmt.Sprint(n), Key: workflow.Root.Attempt(i), Number: 1, Pool: pool}
		}
		require.NoError(b, w.broker.Send(w.ctx, ds))
	}
}
