package warm

import (
	"encoding/json"
	"time"

	"argosy/worker"
	"argosy/worker/handover"
)

// take gives a step to an idle pod. The lock is held.
func (d *pod) take(s *step) {
	if d.resting != nil {
		d.resting.Stop()
	}
	d.state, d.step = busy, s
	d.items++
	s.item.Number = d.items
	s.pod, s.done.Pod, s.done.Started = d, d.name, time.Now()
	go func() {
		defer close(s.taken)
		if d.wire.SendJSON(handover.SayRun, s.item) != nil {
			d.wire.Close() // serve sees to the rest
		}
	}()
}

// finish ends a step. The lock is held.
func (s *step) finish(o *handover.Outcome, fault *worker.Fault) {
	s.done.Outcome, s.done.Finished, s.fault = o, time.Now(), fault
	close(s.ended)
}

// write adds to the step's log.
func (s *step) write(text []byte) {
	s.logging.Lock()
	defer s.logging.Unlock()
	if s.log != nil {
		_, _ = s.log.Write(text) // trouble with logs is said elsewhere
	}
}

// endLog has nothing more written to it, though a pod that was cut off may have said more.
func (s *step) endLog() {
	s.logging.Lock()
	defer s.logging.Unlock()
	s.log = nil
}

// leave tells a pod to go, if it is there. The lock is held.
func (d *pod) leave() {
	if d.wire == nil || d.state == broken {
		return
	}
	d.state = leaving
	wire, remove := d.wire, d.remove
	go func() { _ = wire.Send(handover.SayLeave, nil) }() // if it does not hear that, it is removed
	time.AfterFunc(leaveTime, remove)
}

// serve talks with a pod that has come, until its connection ends.
func (ps *Pools) serve(d *pod, w *handover.Wire) {
	ps.mu.Lock()
	d.wire = w
	ps.mu.Unlock()
	for {
		kind, payload, err := w.Receive()
		if err != nil {
			ps.cut(d)
			return
		}
		switch kind {
		case handover.SayReady:
			ps.ready(d)
		case handover.SayOutput:
			if s := ps.stepOf(d); s != nil {
				s.write(payload)
			}
		case handover.SayEnded:
			ps.ended(d, payload)
		}
	}
}

func (ps *Pools) stepOf(d *pod) *step {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return d.step
}

// ready is for a pod that is fresh.
func (ps *Pools) ready(d *pod) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if d.state != starting && d.state != busy || d.step != nil {
		return
	}
	if d.items >= d.pool.Limits.MaxItems || ps.closed {
		d.leave()
		return
	}
	if d.state == starting {
		d.pool.coming = time.Since(d.began)
	}
	d.state = idle
	ps.schedule(d.pool)
	if d.state != idle {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(d.pool.Limits.Idle, func() {
		ps.mu.Lock()
		defer ps.mu.Unlock()
		if d.state == idle && d.resting == timer {
			d.leave()
		}
	})
	d.resting = timer
}

// ended is for a pod that says how its step ended.
func (ps *Pools) ended(d *pod, payload []byte) {
	o := &handover.Outcome{}
	bad := json.Unmarshal(payload, o)
	ps.mu.Lock()
	defer ps.mu.Unlock()
	s := d.step
	if s == nil {
		return
	}
	d.step = nil
	if bad != nil {
		s.finish(nil, worker.Faultf(worker.ClassExecutor, "decoding what the step's warm pod says: %w", bad))
		return
	}
	s.finish(o, nil)
	p, took := d.pool, s.done.Finished.Sub(s.done.Started)
	if p.each == 0 {
		p.each = took
	}
	p.each += (took - p.each) / 8
}

// cut is for a pod whose connection has ended: soon it is seen to be gone, or it is removed.
func (ps *Pools) cut(d *pod) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if d.state == leaving {
		return
	}
	d.state = broken
	time.AfterFunc(settleTime, d.remove)
}
