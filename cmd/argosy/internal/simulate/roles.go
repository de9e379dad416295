package simulate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"argosy/cmd/argosy/internal/join"
	"argosy/coordinator"
	"argosy/queue"
	"argosy/queue/queuesim"
	"argosy/worker"
	"argosy/workflow"
	"argosy/workflow/spec"
)

const pool = "default"

// coordinate is the life of a coordinator.
func (w *world) coordinate(t *thread, p *process) {
	options := w.turns
	options.Now, options.Pause = p.now, p.pause
	turns := queue.NewTurns(p.conn, broker{p}, options)
	store := join.Turns{Turns: turns, Pools: queue.NewPools(p.conn, p.now), Objects: queue.NewObjects(p.conn), Locking: queue.NewLocks(p.conn), Memos: queue.NewMemos(p.conn), Room: room{p}}
	w.schedules(p, &store)
	w.archives(p, &store)
	c := coordinator.New(store, w.config, w.metrics, w.log)
	p.spawn("renewer", func(t *thread) {
		for {
			p.sleep(t, time.Second)
			c.Renew(context.Background())
		}
	})
	locks := queue.NewLocks(p.conn)
	if w.places.needed {
		p.spawn("keeper of places", w.tellPlaces(p, locks))
	}
	if w.locks || w.places.needed {
		p.spawn("sweeper of locks", func(t *thread) {
			for {
				_ = locks.Sweep(context.Background()) // the next time comes
				p.sleep(t, queue.SweepLocksEvery)
			}
		})
	}
	backoff := time.Duration(0)
	for {
		if err := c.Step(context.Background(), context.Background()); err == nil {
			backoff = 0
			continue
		}
		backoff = min(max(2*backoff, 50*time.Millisecond), 2*time.Second)
		p.sleep(t, backoff)
	}
}

// work is the life of a worker.
func (w *world) work(t *thread, p *process) {
	tasks := queue.NewTasks(p.conn, p.id(), 0)
	open := w.slots // and daemons, which have none
	q := &join.Work{Broker: broker{p}, Tasks: tasks, Pool: pool}
	wk, err := worker.New(worker.Config{
		Name: p.id(), Lease: tasks.Lease(), Now: p.now,
		Pause: func(ctx context.Context, about time.Duration) {
			p.pause(ctx, about/2+time.Duration(w.rng.Int64N(int64(about))))
		},
		Beside: func(run func(), until <-chan struct{}) {
			over := false
			open++
			p.spawn("beside", func(*thread) {
				defer func() { over, open = true, open-1 }()
				run()
			})
			p.park(p.current, time.Time{}, func() bool { return over || closed(until) })
		},
	}, q, tasks, worker.Decorate(worker.ExecutorFunc(p.execute), worker.Decoration{}, w.log), w.log)
	if err != nil {
		panic(err)
	}
	ctx, shutDown := context.WithCancelCause(context.Background())
	defer shutDown(nil)
	for i := range w.slots {
		p.spawn(fmt.Sprintf("slot-%d", i+1), func(t *thread) {
			for ctx.Err() == nil {
				if m, ok := p.take(ctx, t); ok {
					wk.Handle(ctx, worker.Delivery{Run: m.Delivery.Run, Key: m.Delivery.Key, N: m.Delivery.Number})
					p.acknowledge(m)
				}
			}
			open--
		})
	}
	leave := time.Time{}
	if w.odds.leave > 0 && w.rng.IntN(w.odds.leave) == 0 {
		leave = w.soon(20 * time.Second)
	}
	pools := queue.NewPools(p.conn, p.now)
	attended := time.Time{}
	for open > 0 {
		if ctx.Err() == nil && w.now.Sub(attended) >= 3*time.Second {
			_ = pools.Attend(ctx, pool, p.id(), w.slots) // what is not told counts as silence
			attended = w.now
		}
		p.sleep(t, time.Second)
		if !leave.IsZero() && !leave.After(w.now) && ctx.Err() == nil && !w.calm {
			w.faults++
			w.trace(p, "is told to stop")
			shutDown(worker.ErrShutdown)
			_ = pools.Attend(context.Background(), pool, p.id(), 0)
		}
		wk.Renew(context.Background())
	}
	w.trace(p, "has stopped")
	p.dead = true
	w.at(w.soon(8*time.Second), func() { w.boot(p.role, p.start) })
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// pause waits.
func (p *process) pause(ctx context.Context, d time.Duration) {
	p.park(p.current, p.w.now.Add(d), func() bool { return ctx.Err() != nil })
}

// take takes a message of any that the broker would give, and waits for one.
func (p *process) take(ctx context.Context, t *thread) (queuesim.Message, bool) {
	w := p.w
	p.park(t, time.Time{}, func() bool { return ctx.Err() != nil || !w.down() && len(w.offered()) > 0 })
	if p.mayStall() {
		p.park(t, p.w.now, nil)
	}
	if w.strikes(w.odds.kill) {
		w.trace(p, "dies before it takes a task")
		p.die()
	}
	offered := w.offered()
	if ctx.Err() != nil || w.down() || len(offered) == 0 {
		return queuesim.Message{}, false
	}
	m, ok := w.broker.Take(w.pick(offered).ID)
	if !ok {
		return m, false
	}
	w.trace(p, "takes task %s", name(m.Delivery))
	p.taken = append(p.taken, m.ID)
	if w.strikes(w.odds.kill) {
		w.trace(p, "dies with the task it took")
		p.die()
	}
	return m, true
}

// acknowledge tells the broker that a message was handled.
func (p *process) acknowledge(m queuesim.Message) {
	for {
		err := p.before(func() string { return "acknowledge " + name(m.Delivery) })
		if err == nil {
			break
		}
		p.sleep(p.current, time.Second) // asynq's syncer
	}
	p.w.broker.Acknowledge(m.ID)
	p.taken = slices.DeleteFunc(p.taken, func(id int) bool { return id == m.ID })
	p.w.trace(p, "acknowledges task %s", name(m.Delivery))
	_ = p.after(func() string { return "acknowledging " + name(m.Delivery) }) // nobody waits for the answer
}

// offered are the messages that the broker may hand out now.
func (w *world) offered() []queuesim.Message {
	var offered []queuesim.Message
	for _, m := range w.broker.Messages() {
		if !m.Taken && !w.hidden[m.ID].After(w.now) {
			offered = append(offered, m)
		}
	}
	return offered
}

// pick takes one of the messages that are offered: mostly of the highest class, but a lower
// one's turn comes too, and nothing may depend on the order.
func (w *world) pick(offered []queuesim.Message) queuesim.Message {
	if w.rng.IntN(4) > 0 {
		for _, c := range queue.Classes() {
			of := slices.DeleteFunc(slices.Clone(offered), func(m queuesim.Message) bool { return m.Delivery.Class != c })
			if len(of) > 0 {
				offered = of
				break
			}
		}
	}
	return offered[w.rng.IntN(len(offered))]
}

// execute is a worker.Executor: the step takes its time and ends as its key says.
func (p *process) execute(ctx context.Context, s *worker.Step) (workflow.Result, error) {
	w := p.w
	d := queue.Delivery{Run: s.Run.ID, Key: s.Key, Number: s.Delivery, Pool: pool}
	w.watch.starts(p, d)
	w.executing++
	defer func() {
		w.executing--
		delete(p.running, d)
	}()
	w.trace(p, "runs %s", name(d))
	takes := w.job(s.Run.ID).leaf.duration(s.Key)
	p.park(p.current, w.now.Add(takes), func() bool { return ctx.Err() != nil })
	if ctx.Err() != nil {
		w.trace(p, "ends %s: %v", name(d), context.Cause(ctx))
		return workflow.Result{}, fmt.Errorf("ending the step: %w", context.Cause(ctx))
	}
	r := w.job(s.Run.ID).leaf.result(s.Key, s.Template)
	if s.Ready != nil && r.Phase == spec.NodeSucceeded {
		w.trace(p, "%s is ready", name(d))
		s.Ready(ctx, workflow.Ready{Address: address})
		p.park(p.current, w.now.Add(w.job(s.Run.ID).leaf.dies(s.Key)), func() bool { return ctx.Err() != nil })
		if ctx.Err() != nil {
			w.trace(p, "ends %s: %v", name(d), context.Cause(ctx))
			return workflow.Result{}, fmt.Errorf("ending the step: %w", context.Cause(ctx))
		}
	}
	w.trace(p, "ran %s: %s", name(d), r.Phase)
	if r.Phase != "Error" {
		return *r, nil
	}
	return workflow.Result{}, &worker.Fault{Class: r.Class, Err: errors.New(r.Message)}
}
