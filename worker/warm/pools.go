package warm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"argosy/worker"
	"argosy/worker/handover"
	"argosy/workflow/spec"
)

const (
	// firstPods is how many pods are started at once before any has come.
	firstPods = 2
	// settleTime is how long a pod may be seen alive whose connection has ended, until it is removed.
	settleTime = 5 * time.Second
	// leaveTime is how long a pod may take to end that was told to leave.
	leaveTime = 30 * time.Second
	// againAfter is how long no pod is started after one that did not come.
	againAfter = 10 * time.Second
	// lookAgain is how soon it is looked again whether steps that wait need more pods.
	lookAgain = time.Second
	// endTime is how long a step may take to end beyond its grace.
	endTime = 15 * time.Second
)

// Kind is what the pods of a pool have in common.
type Kind struct {
	Key    string
	Limits spec.Warm
	// Launch starts a pod of a name, returns when that is gone, and says why, if it was not told
	// to go. It has Pod.Serve called when the pod asks for steps. When ctx ends it removes the pod.
	Launch func(ctx context.Context, p Pod) *worker.Fault
}

// Pod is a pod to be started.
type Pod struct {
	Name  string // is unique and begins with a letter
	Serve func(*handover.Wire)
}

// Done is how a step ended.
type Done struct {
	Outcome           *handover.Outcome
	Pod               string
	Started, Finished time.Time
}

// ErrNotStarted says that no pod had taken a step when its time to wait was over.
var ErrNotStarted = errors.New("no pod has taken the step")

// Pools are all pools of a worker.
type Pools struct {
	log *slog.Logger

	mu      sync.Mutex
	pools   map[string]*pool
	closed  bool
	running sync.WaitGroup // pods
}

// NewPools makes pools without pods.
func NewPools(log *slog.Logger) *Pools { return &Pools{log: log, pools: map[string]*pool{}} }

type pool struct {
	Kind
	waiting []*step
	pods    []*pod
	paused  bool          // a pod did not come: no new one for now
	looks   bool          // it will be looked again whether more pods are needed
	coming  time.Duration // what the last pod took to come
	each    time.Duration // what steps take, of late
}

type step struct {
	item *handover.Item

	logging sync.Mutex
	log     io.Writer // nil once Run has returned

	taken chan struct{} // closed when a pod was told of it
	ended chan struct{} // closed when it has ended
	pod   *pod
	done  Done
	fault *worker.Fault
}

type state int

const (
	starting state = iota
	idle
	busy
	leaving // it was told to go
	broken  // its connection has ended
)

type pod struct {
	name    string
	pool    *pool
	state   state
	began   time.Time // when it was started
	wire    *handover.Wire
	step    *step
	items   int         // that it has taken
	resting *time.Timer // until it is told to go
	remove  context.CancelFunc
}

// Run has a pod of the kind run a step. The error is a *worker.Fault, ErrNotStarted after
// patience (if that is not zero), or wraps the cause of the context's end. When it returns
// nothing of the step runs any more.
func (ps *Pools) Run(ctx context.Context, k Kind, item *handover.Item, log io.Writer, patience time.Duration) (Done, error) {
	s := &step{item: item, log: log, taken: make(chan struct{}), ended: make(chan struct{})}
	if err := ps.enqueue(k, s); err != nil {
		return Done{}, err
	}
	defer s.endLog()
	var late <-chan time.Time
	if patience > 0 {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		late = timer.C
	}
	for taken := s.taken; ; {
		select {
		case <-s.ended:
			if s.fault != nil {
				return s.done, s.fault
			}
			return s.done, nil
		case <-taken:
			taken, late = nil, nil
		case <-late:
			if ps.withdraw(s) {
				return Done{}, ErrNotStarted
			}
			late = nil
		case <-ctx.Done():
			if ps.withdraw(s) {
				return Done{}, fmt.Errorf("ending the step: %w", context.Cause(ctx))
			}
			ps.end(s)
			return s.done, fmt.Errorf("ending the step: %w", context.Cause(ctx))
		}
	}
}

func (ps *Pools) enqueue(k Kind, s *step) error {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.closed {
		return fmt.Errorf("starting the step: %w", worker.ErrShutdown)
	}
	p := ps.pools[k.Key]
	if p == nil {
		p = &pool{Kind: k}
		ps.pools[k.Key] = p
	}
	p.waiting = append(p.waiting, s)
	ps.schedule(p)
	return nil
}

// withdraw takes back a step that no pod has taken.
func (ps *Pools) withdraw(s *step) bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.pools {
		if i := slices.Index(p.waiting, s); i >= 0 {
			p.waiting = slices.Delete(p.waiting, i, i+1)
			ps.tidy(p)
			return true
		}
	}
	return false
}

// end ends a step that is not waiting any more: politely, and if that takes too long with its pod.
func (ps *Pools) end(s *step) {
	select {
	case <-s.ended:
		return
	case <-s.taken:
	}
	if err := s.pod.wire.SendJSON(handover.SayCancel, s.item.Number); err != nil {
		s.pod.wire.Close()
	}
	timer := time.NewTimer(time.Duration(s.item.Grace)*time.Millisecond + endTime)
	defer timer.Stop()
	select {
	case <-s.ended:
		return
	case <-timer.C:
	}
	s.pod.remove()
	<-s.ended
}

// schedule gives waiting steps to idle pods, and starts pods for the others. The lock is held.
func (ps *Pools) schedule(p *pool) {
	for _, pod := range p.pods {
		if len(p.waiting) == 0 {
			break
		}
		if pod.state == idle {
			pod.take(p.waiting[0])
			p.waiting = p.waiting[1:]
		}
	}
	coming, there := 0, 0
	for _, pod := range p.pods {
		switch pod.state {
		case starting:
			coming++
		case idle, busy:
			there++
		}
	}
	for ; coming < len(p.waiting) && coming < max(firstPods, there) && len(p.pods) < p.Limits.MaxPods && !p.paused && !ps.closed && p.pays(there); coming++ {
		ps.start(p)
	}
	if len(p.waiting) > coming && len(p.pods) < p.Limits.MaxPods && !p.looks {
		p.looks = true
		time.AfterFunc(lookAgain, func() {
			ps.mu.Lock()
			defer ps.mu.Unlock()
			p.looks = false
			ps.schedule(p)
		})
	}
	ps.tidy(p)
}

// pays says that the pods that are there would take longer for what waits than another one takes to
// come. The lock is held.
func (p *pool) pays(there int) bool {
	if there == 0 {
		return true
	}
	each := p.each
	for _, d := range p.pods {
		if d.step != nil {
			each = max(each, time.Since(d.step.done.Started))
		}
	}
	return each*time.Duration(len(p.waiting))/time.Duration(there) > p.coming
}

// tidy forgets a pool that has neither steps nor pods. The lock is held.
func (ps *Pools) tidy(p *pool) {
	if len(p.waiting) == 0 && len(p.pods) == 0 && ps.pools[p.Key] == p {
		delete(ps.pools, p.Key)
	}
}

// start starts a pod. The lock is held.
func (ps *Pools) start(p *pool) {
	ctx, cancel := context.WithCancel(context.Background())
	pod := &pod{name: "w" + strings.ToLower(rand.Text()[:12]), pool: p, began: time.Now(), remove: cancel}
	p.pods = append(p.pods, pod)
	ps.log.Debug("a warm pod is started", "hop", "execute", "pool", p.Key, "pod", pod.name, "pods", len(p.pods), "waiting", len(p.waiting))
	ps.running.Go(func() {
		defer cancel()
		fault := p.Launch(ctx, Pod{Name: pod.name, Serve: func(w *handover.Wire) { ps.serve(pod, w) }})
		ps.gone(pod, fault)
	})
}

// gone takes note of the end of a pod.
func (ps *Pools) gone(d *pod, fault *worker.Fault) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p := d.pool
	p.pods = slices.DeleteFunc(p.pods, func(other *pod) bool { return other == d })
	if d.resting != nil {
		d.resting.Stop()
	}
	if d.wire != nil {
		d.wire.Close()
	}
	if s := d.step; s != nil {
		if fault == nil {
			fault = worker.Faultf(worker.ClassLost, "the connection to the step's warm pod ended")
		}
		d.step = nil
		s.finish(nil, fault)
	} else if d.state == starting && !ps.closed {
		ps.neverCame(p, fault)
	}
	ps.log.Debug("a warm pod is gone", "hop", "execute", "pool", p.Key, "pod", d.name, "steps", d.items, "pods", len(p.pods))
	ps.schedule(p)
}

// neverCame is for a pod that ended before it asked for steps. If no other has come, the steps that
// wait end as they would if each had a pod of its own: one with a pod that was lost, all where no
// pod of the kind can start. The lock is held.
func (ps *Pools) neverCame(p *pool, fault *worker.Fault) {
	if fault == nil {
		fault = worker.Faultf(worker.ClassExecutor, "the step's warm pod ended before it took a step")
	}
	ps.log.Warn("a warm pod did not come", "hop", "execute", "pool", p.Key, "err", fault)
	if !slices.ContainsFunc(p.pods, func(d *pod) bool { return d.state == idle || d.state == busy }) {
		end := len(p.waiting)
		if fault.Class == worker.ClassLost || fault.Class == worker.ClassEvicted {
			end = min(end, 1)
		}
		for _, s := range p.waiting[:end] {
			s.finish(nil, fault)
		}
		p.waiting = p.waiting[end:]
		return
	}
	p.paused = true
	time.AfterFunc(againAfter, func() {
		ps.mu.Lock()
		defer ps.mu.Unlock()
		p.paused = false
		ps.schedule(p)
	})
}

// Close ends all pods, and waits for that until ctx ends.
func (ps *Pools) Close(ctx context.Context) error {
	ps.mu.Lock()
	ps.closed = true
	for _, p := range ps.pools {
		for _, d := range p.pods {
			d.leave()
			d.remove()
		}
	}
	ps.mu.Unlock()
	gone := make(chan struct{})
	go func() {
		ps.running.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("ending warm pods: %w", context.Cause(ctx))
	}
}
