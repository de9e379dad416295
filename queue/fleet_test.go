package queue_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/queue"
	"argosy/queue/queuetest"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// fleet is a coordinator's and a worker's loop over one connection. Their runs have one step,
// which succeeds. They try again whatever fails, without a pause of their own.
type fleet struct {
	t      testing.TB
	conn   *queue.Conn
	count  *queue.Counter
	broker *queue.Asynq
	runs   *queue.Runs
	turns  *queue.Turns
	tasks  *queue.Tasks
	ctx    context.Context
}

// lease is that of turns and of tasks here.
const lease = 500 * time.Millisecond

func newFleet(t testing.TB, url string) *fleet {
	t.Helper()
	count := queue.NewCounter()
	conn := queuetest.ConnectWith(t, url, queue.Options{Counter: count})
	broker := queue.NewAsynq(conn)
	t.Cleanup(func() { broker.Close() })
	turns := queue.NewTurns(conn, broker, queue.TurnOptions{Lease: lease, Check: 200 * time.Millisecond})
	t.Cleanup(func() { turns.Close() })
	return &fleet{
		t: t, conn: conn, count: count, broker: broker, turns: turns,
		runs: queue.NewRuns(conn), tasks: queue.NewTasks(conn, "worker-1", lease), ctx: t.Context(),
	}
}

// start has the loops run until the test ends.
func (f *fleet) start() {
	ctx, cancel := context.WithCancel(f.ctx)
	var loops sync.WaitGroup
	loops.Go(func() {
		for ctx.Err() == nil {
			_ = f.turn(ctx)
		}
	})
	loops.Go(func() {
		if err := f.broker.Serve(ctx, queue.ServeConfig{Pool: pool, Slots: 2, Work: ctx}, f.work); err != nil {
			f.t.Error(err)
		}
	})
	f.t.Cleanup(func() {
		cancel()
		loops.Wait()
	})
}

// turn waits for a run and takes its turn.
func (f *fleet) turn(ctx context.Context) error {
	ticket, err := f.turns.Claim(ctx, time.Second)
	if ticket == nil || err != nil {
		return err
	}
	l, err := f.turns.Begin(ctx, ticket)
	if err != nil {
		return err
	}
	c := &queue.Commit{State: &workflow.State{Phase: spec.WorkflowRunning, Total: 1}}
	switch {
	case len(l.Events) > 0:
		c.State = &workflow.State{Phase: spec.WorkflowSucceeded, Finished: l.Now}
	case l.State.Total == 0:
		c.Nodes = []*workflow.Node{{Key: leaf, Type: spec.NodeTypePod, Phase: spec.NodePending}}
		c.Send = []queue.Delivery{{Run: ticket.Run, Key: leaf, Number: 1, Pool: pool}}
	}
	for _, lost := range l.Lost {
		c.Send = append(c.Send, lost.Again())
	}
	done, err := f.turns.Commit(ctx, l, c)
	if err != nil {
		return err
	}
	if err := f.turns.Dispatch(ctx, done.Unsent()); err != nil {
		return err
	}
	return f.turns.Settle(ctx, ticket, queue.Settlement{Next: done.Next, Token: l.Token, Sent: len(done.Out)})
}

// work is the worker's handler.
func (f *fleet) work(ctx context.Context, d queue.Delivery) {
	f.insist(ctx, func() error {
		var refused *queue.Refused
		if _, err := f.tasks.Claim(ctx, d); err == nil || !errors.As(err, &refused) {
			return err
		}
		return nil
	})
	f.insist(ctx, func() error {
		if err := f.tasks.Report(ctx, d, succeeded()); !errors.Is(err, queue.ErrFenced) {
			return err
		}
		return nil
	})
}

// insist tries until there is no error.
func (f *fleet) insist(ctx context.Context, try func() error) {
	for try() != nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (f *fleet) submit(id string) error {
	return f.runs.Submit(f.ctx, newRun(id), []byte(`{}`))
}

// finish waits until runs have succeeded.
func (f *fleet) finish(ids ...string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.ctx, 15*time.Second)
	defer cancel()
	for _, id := range ids {
		var last error
		f.insist(ctx, func() error {
			head, err := f.runs.Head(ctx, id)
			if err == nil && head.State.Phase != spec.WorkflowSucceeded {
				err = fmt.Errorf("it is at version %d, %+v", head.Version, head.State)
			}
			if ctx.Err() == nil {
				last = err
			}
			return err
		})
		require.NoError(f.t, ctx.Err(), "run %s does not finish: %v", id, last)
	}
}
