package simulate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"argosy/queue"
	"argosy/queue/queuesim"
)

// process is one life of a process. It is the gate through which it reaches the world.
type process struct {
	w       *world
	role    string // and number: what it is again after a restart
	life    int
	dead    bool
	stalled time.Time
	skew    time.Duration // its clock's
	start   func(t *thread, p *process)
	current *thread // that runs, while one does
	conn    *queue.Conn
	taken   []int                  // messages that it has from the broker
	slots   int                    // of the pool, as far as it was told
	tight   bool                   // whether it was told that Redis is nearly full
	running map[queue.Delivery]int // the losses of Redis when it was started, -1 if its lease was over
}

var (
	errDown   = errors.New("connection refused")
	errBroken = errors.New("connection reset by peer")
	errLost   = errors.New("i/o timeout")
)

// boot starts a process, now or after its predecessor's end.
func (w *world) boot(role string, start func(t *thread, p *process)) {
	w.lives[role]++
	p := &process{w: w, role: role, life: w.lives[role], start: start, running: map[queue.Delivery]int{}}
	p.skew = time.Duration(w.rng.Int64N(int64(4*time.Second))) - 2*time.Second
	w.processes = append(w.processes, p)
	p.spawn("main", func(t *thread) {
		p.connect(t)
		start(t, p)
	})
}

// spawn starts a thread of the process.
func (p *process) spawn(name string, body func(t *thread)) {
	p.w.spawn(p, name, func(t *thread) {
		p.current = t
		body(t)
	})
}

// id names this life.
func (p *process) id() string { return fmt.Sprintf("%s.%d", p.role, p.life) }

// now is the process's own clock.
func (p *process) now() time.Time { return p.w.now.Add(p.skew) }

// connect connects to Redis, however long that takes.
func (p *process) connect(t *thread) {
	for {
		conn, err := queue.Connect(context.Background(), queuesim.URL, queue.Options{Log: p.w.log, Hook: p.w.server.Hook(p), BySlot: p.w.cluster})
		if err == nil {
			p.conn = conn
			return
		}
		p.sleep(t, 300*time.Millisecond)
	}
}

// park hands over.
func (p *process) park(t *thread, until time.Time, ready func() bool) {
	p.w.park(t, until, ready)
	p.current = t
}

func (p *process) sleep(t *thread, d time.Duration) { p.park(t, p.w.now.Add(d), nil) }

// Before is part of queuesim.Gate.
func (p *process) Before(c *queuesim.Command) error {
	if c.Name == "script" { // many at once, and harmless
		if p.dead {
			runtime.Goexit()
		}
		if p.w.down() {
			return errDown
		}
		return nil
	}
	what := func() string { return describe(c) }
	t := p.current
	if err := p.before(what); err != nil {
		return err
	}
	if c.First {
		t.breaks = p.w.breaks
	}
	if t.breaks != p.w.breaks { // the pipeline's connection is gone
		p.w.trace(p, "%s: %v", what(), errBroken)
		return errBroken
	}
	return nil
}

// before is where a process can be held up, fail or die on its way to Redis.
func (p *process) before(what func() string) error {
	t := p.current
	p.park(t, p.w.now, nil)
	if p.mayStall() {
		p.park(t, p.w.now, nil)
	}
	switch {
	case p.w.down():
		p.w.trace(p, "%s: %v", what(), errDown)
		return errDown
	case p.w.strikes(p.w.odds.kill):
		p.w.trace(p, "dies before %s", what())
		p.die()
	case p.w.strikes(p.w.odds.fail):
		p.w.trace(p, "%s: %v", what(), errBroken)
		return errBroken
	}
	return nil
}

// after is where it can die or miss the answer on its way back.
func (p *process) after(what func() string) error {
	if p.w.strikes(p.w.odds.kill) {
		p.w.trace(p, "dies after %s", what())
		p.die()
	}
	if p.w.strikes(p.w.odds.lose) {
		p.w.trace(p, "%s: the answer is lost", what())
		return errLost
	}
	if p.mayStall() {
		p.park(p.current, p.w.now, nil)
	}
	return nil
}

// mayStall stops the process for a while, by chance.
func (p *process) mayStall() bool {
	if !p.w.strikes(p.w.odds.stall) {
		return false
	}
	d := time.Duration(p.w.rng.Int64N(int64(3 * time.Second)))
	if p.w.rng.IntN(2) == 0 {
		d = 6*time.Second + 4*d // beyond its leases
	}
	p.stalled = p.w.now.Add(d)
	p.w.trace(p, "stalls for %.1fs", d.Seconds())
	return true
}

// Applied is part of queuesim.Gate.
func (p *process) Applied(c *queuesim.Command) {
	if p.w.tracing() && c.Name != "script" {
		p.w.trace(p, "%s", describe(c))
	}
	p.w.watch.applied(p, c)
}

// After is part of queuesim.Gate.
func (p *process) After(c *queuesim.Command) error {
	if c.Name == "script" {
		return nil
	}
	err := p.after(func() string { return describe(c) })
	if n, ok := c.Answer.(int64); ok && err == nil && c.Script == "tally" && c.Args[0] == "" {
		p.slots = int(n)
	}
	return err
}

// Wait is part of queuesim.Gate.
func (p *process) Wait(_ *queuesim.Command, something func() bool, timeout time.Duration) error {
	breaks, seen, there := p.w.breaks, -1, false
	p.park(p.current, p.w.now.Add(timeout), func() bool {
		if n := p.w.server.Writes(); n != seen {
			seen, there = n, something()
		}
		return there || p.w.breaks != breaks
	})
	if p.w.breaks != breaks {
		return errBroken
	}
	return nil
}

// die ends the process, by its own thread.
func (p *process) die() {
	p.kill()
	runtime.Goexit()
}

// kill ends the process. What it took from the broker comes back when asynq misses it.
func (p *process) kill() {
	p.dead = true
	w := p.w
	for _, id := range p.taken {
		w.at(w.now.Add(30*time.Second), func() { w.broker.Return(id) })
	}
	w.at(w.soon(8*time.Second), func() { w.boot(p.role, p.start) })
	w.dirty = true
}

// broker is the process's way to the broker.
type broker struct{ p *process }

// Send is part of queue.Broker. Each delivery is a command of its own.
func (b broker) Send(ctx context.Context, deliveries []queue.Delivery) error {
	p := b.p
	for _, d := range deliveries {
		what := func() string { return "send " + name(d) }
		if err := p.before(what); err != nil {
			return err
		}
		if err := p.w.broker.Send(ctx, []queue.Delivery{d}); err != nil {
			return err
		}
		p.w.trace(p, "send %s", name(d))
		p.w.disturb(d)
		if err := p.after(what); err != nil {
			return err
		}
	}
	return nil
}

// States is part of queue.Broker.
func (b broker) States(ctx context.Context, deliveries []queue.Delivery) ([]queue.TaskState, error) {
	p := b.p
	what := func() string { return fmt.Sprintf("states of %d deliveries", len(deliveries)) }
	if err := p.before(what); err != nil {
		return nil, err
	}
	states, err := p.w.broker.States(ctx, deliveries)
	if err != nil {
		return nil, err
	}
	p.w.trace(p, "states of %d deliveries: %v", len(deliveries), states)
	return states, p.after(what)
}

// Serve is part of queue.Broker: here, steps take and handle (see worker.go).
func (b broker) Serve(context.Context, queue.ServeConfig, queue.Handler) error {
	return errors.New("a simulation serves step by step")
}

// quiet is a logger for those who must have one.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
