package queuetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/queue"
	"argosy/workflow"
)

// TestBroker holds a Broker to what every implementation must do. make returns a new and
// empty one.
func TestBroker(t *testing.T, make func(t *testing.T) queue.Broker) {
	tests := map[string]func(t *testing.T, b queue.Broker){
		"what was sent before and after the start is handled": testDelivers,
		"pools are served apart":                              testPools,
		"a delivery that is there is not sent again":          testSendTwice,
		"states follow a delivery":                            testStates,
		"no more handlers run than there are slots":           testSlots,
		"the end waits for handlers and takes nothing more":   testDrain,
		"a handler's context outlives the taking of work":     testWork,
		"servers share a pool":                                testShare,
		"many are sent at once":                               testMany,
		"a higher class is handled first":                     testClasses,
		"a delivery of any class wakes who waits":             testWakes,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, make(t))
		})
	}
}

func delivery(n int) queue.Delivery {
	return queue.Delivery{Run: "run", Key: workflow.Root.Attempt(n), Number: 1, Pool: "default"}
}

// serve serves a pool until the test ends or stop is called, which returns when Serve has.
func serve(t *testing.T, b queue.Broker, c queue.ServeConfig, handle queue.Handler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- b.Serve(ctx, c, handle) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func one(slots int) queue.ServeConfig { return queue.ServeConfig{Pool: "default", Slots: slots} }

// into is a handler that passes on what it gets.
func into(got chan<- queue.Delivery) queue.Handler {
	return func(_ context.Context, d queue.Delivery) { got <- d }
}

func testDelivers(t *testing.T, b queue.Broker) {
	first, second := delivery(1), delivery(2)
	require.NoError(t, b.Send(t.Context(), []queue.Delivery{first}))
	got := make(chan queue.Delivery, 2)
	serve(t, b, one(1), into(got))
	require.Equal(t, first, <-got)
	require.NoError(t, b.Send(t.Context(), []queue.Delivery{second}))
	require.Equal(t, second, <-got)
}

func testPools(t *testing.T, b queue.Broker) {
	ours, others := delivery(1), delivery(2)
	others.Pool = "other"
	got := make(chan queue.Delivery, 2)
	stop := serve(t, b, one(2), into(got))
	require.NoError(t, b.Send(t.Context(), []queue.Delivery{others, ours}))
	require.Equal(t, ours, <-got)
	stop()
	require.Empty(t, got)
	states, err := b.States(t.Context(), []queue.Delivery{others})
	require.NoError(t, err)
	require.Equal(t, []queue.TaskState{queue.TaskQueued}, states)
}

func testSendTwice(t *testing.T, b queue.Broker) {
	first, second := delivery(1), delivery(2)
	require.NoError(t, b.Send(t.Context(), []queue.Delivery{first, first}))
	require.NoError(t, b.Send(t.Context(), []queue.Delivery{first, second}))
	got := make(chan queue.Delivery, 4)
	stop := serve(t, b, one(1), into(got))
	require.ElementsMatch(t, []queue.Delivery{first, second}, []queue.Delivery{<-got, <-got})
	stop()
	require.Empty(t, got)
}

func testStates(t *testing.T, b queue.Broker) {
	d, never := delivery(1), delivery(2)
	again := d
	again.Number = 2
	all := []queue.Delivery{never, d, again}
	states := func() []queue.TaskState {
		got, err := b.States(t.Context(), all)
		require.NoError(t, err)
		return got
	}
	require.Equal(t, []queue.TaskState{queue.TaskAbsent, queue.TaskAbsent, queue.TaskAbsent}, states())
	require.NoError(t, b.Send(t.Context(), []queue.Delivery{d}))
	require.Equal(t, []queue.TaskState{queue.TaskAbsent, queue.TaskQueued, queue.TaskAbsent}, states())
	began, end := make(chan struct{}), make(chan struct{})
	stop := serve(t, b, one(1), func(context.Context, queue.Delivery) {
		close(began)
		<-end
	})
	<-began
	require.Equal(t, []queue.TaskState{queue.TaskAbsent, queue.TaskTaken, queue.TaskAbsent}, states())
	close(end)
	stop()
	require.Equal(t, []queue.TaskState{queue.TaskAbsent, queue.TaskAbsent, queue.TaskAbsent}, states())
	none, err := b.States(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, none)
}

func testSlots(t *testing.T, b queue.Broker) {
	const slots, all = 2, 6
	var sent []queue.Delivery
	for i := range all {
		sent = append(sent, delivery(i))
	}
	require.NoError(t, b.Send(t.Context(), sent))
	running := make(chan struct{}, slots) // a send beyond its capacity would fail the test
	began, end := make(chan struct{}, all), make(chan struct{})
	serve(t, b, one(slots), func(context.Context, queue.Delivery) {
		select {
		case running <- struct{}{}:
		default:
			t.Error("more handlers than slots")
		}
		began <- struct{}{}
		<-end
		<-running
	})
	for range slots {
		<-began
	}
	for range all - slots {
		end <- struct{}{}
		<-began
	}
	close(end)
}

func testDrain(t *testing.T, b queue.Broker) {
	first, second := delivery(1), delivery(2)
	require.NoError(t, b.Send(t.Context(), []queue.Delivery{first, second}))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	began, end, served := make(chan queue.Delivery, 2), make(chan struct{}), make(chan error, 1)
	go func() {
		served <- b.Serve(ctx, one(1), func(_ context.Context, d queue.Delivery) {
			began <- d
			<-end
		})
	}()
	got := <-began
	cancel()
	require.Empty(t, served, "Serve returned before its handler")
	close(end)
	require.NoError(t, <-served)
	require.Empty(t, began, "a delivery was taken after the end")

	// What it left is another's, what it handled is not.
	rest := make(chan queue.Delivery, 2)
	stop := serve(t, b, one(1), into(rest))
	next := <-rest
	stop()
	require.Empty(t, rest)
	require.ElementsMatch(t, []queue.Delivery{first, second}, []queue.Delivery{got, next})
}

func testWork(t *testing.T, b queue.Broker) {
	require.NoError(t, b.Send(t.Context(), []queue.Delivery{delivery(1)}))
	work, endWork := context.WithCancel(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	began, served := make(chan struct{}), make(chan error, 1)
	var before, after error
	go func() {
		c := one(1)
		c.Work = work
		served <- b.Serve(ctx, c, func(ctx context.Context, _ queue.Delivery) {
			began <- struct{}{}
			<-began
			before = ctx.Err()
			endWork()
			<-ctx.Done()
			after = ctx.Err()
		})
	}()
	<-began
	cancel()
	began <- struct{}{}
	require.NoError(t, <-served)
	require.NoError(t, before)
	require.ErrorIs(t, after, context.Canceled)
}

func testShare(t *testing.T, b queue.Broker) {
	began, end := make(chan string, 2), make(chan struct{})
	for _, name := range []string{"a", "b"} {
		serve(t, b, one(1), func(context.Context, queue.Delivery) {
			began <- name
			<-end
		})
	}
	require.NoError(t, b.Send(t.Context(), []queue.Delivery{delivery(1), delivery(2)}))
	require.ElementsMatch(t, []string{"a", "b"}, []string{<-began, <-began})
	close(end)
}

func testMany(t *testing.T, b queue.Broker) {
	const n = 200
	var sent []queue.Delivery
	for i := range n {
		d := delivery(i)
		d.Key = workflow.Root.Child(fmt.Sprintf("item(%d:ä/%%|)", i))
		sent = append(sent, d)
	}
	got := make(chan queue.Delivery, n)
	serve(t, b, one(8), into(got))
	require.NoError(t, b.Send(t.Context(), sent))
	var all []queue.Delivery
	for range n {
		all = append(all, <-got)
	}
	require.ElementsMatch(t, sent, all)
}

func testClasses(t *testing.T, b queue.Broker) {
	var sent []queue.Delivery
	for i := range 9 {
		d := delivery(i)
		d.Class = []queue.Class{queue.ClassBulk, queue.ClassNormal, queue.ClassHigh}[i%3]
		sent = append(sent, d)
	}
	require.NoError(t, b.Send(t.Context(), sent))
	states, err := b.States(t.Context(), sent)
	require.NoError(t, err)
	for _, s := range states {
		require.Equal(t, queue.TaskQueued, s)
	}
	got := make(chan queue.Delivery, len(sent))
	serve(t, b, one(1), into(got))
	var all []queue.Delivery
	var classes []queue.Class
	for range sent {
		d := <-got
		all, classes = append(all, d), append(classes, d.Class)
	}
	require.ElementsMatch(t, sent, all)
	require.Equal(t, []queue.Class{"high", "high", "high", "", "", "", "bulk", "bulk", "bulk"}, classes)
}

func testWakes(t *testing.T, b queue.Broker) {
	got := make(chan queue.Delivery)
	serve(t, b, one(1), into(got))
	for i, c := range queue.Classes() {
		d := delivery(i)
		d.Class = c
		require.NoError(t, b.Send(t.Context(), []queue.Delivery{d}))
		require.Equal(t, d, <-got)
	}
}
