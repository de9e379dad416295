package simulate

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"time"
)

// epoch is when every simulation begins.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// usual is the most that a step takes when nothing is slow.
const usual = 500 * time.Microsecond

// scheduler lets one thread go on at a time.
type scheduler struct {
	rng     *rand.Rand
	now     time.Time
	slowest time.Duration // that a step may take
	threads []*thread
	events  []event
	yielded chan struct{}
	steps   int
	panics  string // of a thread: a bug
}

// thread is a goroutine of a process. It runs between a receive from resume and a send to
// yielded.
type thread struct {
	proc   *process
	name   string
	resume chan struct{}
	done   bool
	breaks int // of connections, when it sent a pipeline
	// It goes on at the time until, if that is set, or when ready says so.
	until time.Time
	ready func() bool
}

// event is something that happens to the world at a time.
type event struct {
	at time.Time
	do func()
}

func newScheduler(rng *rand.Rand) *scheduler {
	return &scheduler{rng: rng, now: epoch, slowest: usual, yielded: make(chan struct{})}
}

// spawn starts a thread, which waits for its first turn.
func (s *scheduler) spawn(p *process, name string, body func(t *thread)) {
	t := &thread{proc: p, name: name, resume: make(chan struct{}), until: s.now}
	s.threads = append(s.threads, t)
	go func() {
		defer func() {
			if r := recover(); r != nil && s.panics == "" {
				s.panics = fmt.Sprintf("%s panicked: %v\n%s", p.id(), r, debug.Stack())
			}
			t.done = true
			s.yielded <- struct{}{}
		}()
		<-t.resume
		if !p.dead {
			body(t)
		}
	}()
}

// park hands over until the time has come or ready says so. A process that died meanwhile
// never comes back.
func (s *scheduler) park(t *thread, until time.Time, ready func() bool) {
	if t.proc.dead {
		runtime.Goexit()
	}
	t.until, t.ready = until, ready
	s.yielded <- struct{}{}
	<-t.resume
	if t.proc.dead {
		runtime.Goexit()
	}
}

// at has something happen at a time.
func (s *scheduler) at(when time.Time, do func()) {
	i, _ := slices.BinarySearchFunc(s.events, when, func(e event, w time.Time) int {
		if e.at.After(w) {
			return 1
		}
		return -1 // behind those of the same time
	})
	s.events = slices.Insert(s.events, i, event{when, do})
}

// step lets a thread go on, or the time; false when nothing will ever happen any more.
func (s *scheduler) step() bool {
	for {
		for len(s.events) > 0 && !s.events[0].at.After(s.now) {
			do := s.events[0].do
			s.events = s.events[1:]
			do()
		}
		if ready := s.runnable(); len(ready) > 0 {
			s.steps++
			s.now = s.now.Add(time.Duration(1 + s.rng.Int64N(int64(s.slowest))))
			s.run(ready[s.rng.IntN(len(ready))])
			return true
		}
		next := s.next()
		if next.IsZero() {
			return false
		}
		s.now = next
	}
}

// run lets a thread go on until it parks or ends.
func (s *scheduler) run(t *thread) {
	t.resume <- struct{}{}
	<-s.yielded
	if t.done {
		s.threads = slices.DeleteFunc(s.threads, func(o *thread) bool { return o == t })
	}
}

// runnable are the threads that could go on, in the order of their start.
func (s *scheduler) runnable() []*thread {
	var ready []*thread
	for _, t := range s.threads {
		if t.proc.stalled.After(s.now) {
			continue
		}
		if !t.until.IsZero() && !t.until.After(s.now) || t.ready != nil && t.ready() {
			ready = append(ready, t)
		}
	}
	return ready
}

// next is when something can happen if nothing can now.
func (s *scheduler) next() time.Time {
	var next time.Time
	sooner := func(at time.Time) {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if len(s.events) > 0 {
		sooner(s.events[0].at)
	}
	for _, t := range s.threads {
		switch stalled := t.proc.stalled; {
		case stalled.After(s.now):
			sooner(stalled)
		default:
			sooner(t.until)
		}
	}
	return next
}

// reap ends the threads of dead processes: what they had in memory is gone.
func (s *scheduler) reap() {
	for _, t := range slices.Clone(s.threads) {
		if t.proc.dead {
			s.run(t)
		}
	}
}
