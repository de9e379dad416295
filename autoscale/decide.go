// Package autoscale sizes the workers of a pool: observe, decide, act.
//
//	Observer --Observation--> Decide(Policy, History) --Decision--> Scaler
//	    |                         (pure)                              |
//	    +-- error or stale ------> hold <------------------ error ----+
//
// Deciding is a pure function of named values, so that a simulator runs the
// code that ships. What cannot be observed is not zero: the loop then holds the
// workers as they are, and so it does when it cannot act.
//
// It depends on no other package of ours; whoever runs it brings an Observer.
package autoscale

import (
	"fmt"
	"time"
)

// Observation is what a pool had to do at one moment. At is the clock of
// whoever counted (the database's), and the only clock that decisions use.
type Observation struct {
	Pool      string
	Ready     int           // tasks that wait for a worker
	Running   int           // tasks that a worker holds
	Waiting   int           // tasks to come as soon as there is room for them
	OldestAge time.Duration // of the oldest task that waits
	Replicas  int           // workers asked for at present
	At        time.Time
}

// Policy is what the owner of a pool wants.
type Policy struct {
	Min, Max int // replicas; Min may be zero
	Slots    int // tasks that one worker runs at once
	// Idle is how long demand must have stayed lower before workers go.
	Idle time.Duration
	// MaxGap is how long observations may be missing before what was known of
	// the past no longer counts.
	MaxGap time.Duration
}

// Validate says what is wrong with a policy.
func (p Policy) Validate() error {
	switch {
	case p.Min < 0 || p.Max < 1 || p.Max < p.Min:
		return fmt.Errorf("a pool of %d to %d workers cannot be", p.Min, p.Max)
	case p.Slots < 1:
		return fmt.Errorf("a worker of %d slots cannot be", p.Slots)
	case p.Idle < 0 || p.MaxGap <= 0:
		return fmt.Errorf("idle %s and gap %s: times cannot be negative, and a gap must be allowed", p.Idle, p.MaxGap)
	}
	return nil
}

// Reason names what a decision follows.
type Reason string

const (
	Demand   Reason = "demand"   // ready, running and waiting tasks
	Running  Reason = "running"  // workers are not taken from running tasks
	Cooldown Reason = "cooldown" // demand was higher a short time ago
	Minimum  Reason = "minimum"
	Maximum  Reason = "maximum"
	Stale    Reason = "stale" // the observation is no newer than the last
)

// Decision is what should be, and why.
type Decision struct {
	Want   int
	Hold   bool // leave all as it is
	Reason Reason
	// The candidates that Want was chosen from.
	ForDemand, ForRunning, Recent int
	At                            time.Time
}

// String explains the decision in a line.
func (d Decision) String() string {
	if d.Hold {
		return fmt.Sprintf("hold (%s)", d.Reason)
	}
	return fmt.Sprintf("%d workers (%s; demand %d, running %d, recent %d)", d.Want, d.Reason, d.ForDemand, d.ForRunning, d.Recent)
}

// Decide is pure. Workers are added at once, as many as there is work for; they
// go when no demand of the last Idle called for them, and never those that the
// running tasks need. Max bounds what is added, not what is kept: a lowered Max
// waits for the work to end.
func Decide(p Policy, h History, o Observation) Decision {
	d := Decision{
		Want: o.Replicas, At: o.At,
		ForDemand:  workers(max(o.Ready, 0)+max(o.Running, 0)+max(o.Waiting, 0), p.Slots),
		ForRunning: workers(max(o.Running, 0), p.Slots),
	}
	if !h.last.IsZero() && !o.At.After(h.last) {
		d.Hold, d.Reason = true, Stale
		return d
	}
	d.Want, d.Reason = d.ForDemand, Demand
	recent, whole := h.recent(p, o.At)
	d.Recent = recent
	if !whole {
		// Nobody watched for as long as Idle: what is there may be needed.
		recent = max(recent, o.Replicas)
	}
	if kept := min(recent, o.Replicas); kept > d.Want {
		d.Want, d.Reason = kept, Cooldown
	}
	if d.Want < p.Min {
		d.Want, d.Reason = p.Min, Minimum
	}
	if d.Want > p.Max {
		d.Want, d.Reason = p.Max, Maximum
	}
	if floor := min(d.ForRunning, o.Replicas); d.Want < floor {
		d.Want, d.Reason = floor, Running
	}
	return d
}

func workers(tasks, slots int) int { return (tasks + slots - 1) / max(slots, 1) }

// History is what earlier decisions leave for later ones: since when the pool
// is watched without a gap, and what it needed meanwhile. It is a value; Add
// returns the next one.
type History struct {
	since, last time.Time
	peaks       []peak // demand of the last Idle, each higher than all after it
}

type peak struct {
	at      time.Time
	workers int
}

// Add remembers a decision.
func (h History) Add(p Policy, d Decision) History {
	if d.Hold {
		return h
	}
	next := History{since: h.since, last: d.At}
	if h.gap(p, d.At) {
		next.since = d.At
		h.peaks = nil
	}
	for _, k := range h.peaks {
		if d.At.Sub(k.at) < p.Idle && k.workers > d.ForDemand {
			next.peaks = append(next.peaks, k)
		}
	}
	next.peaks = append(next.peaks, peak{at: d.At, workers: d.ForDemand})
	return next
}

func (h History) gap(p Policy, now time.Time) bool {
	return h.last.IsZero() || now.Sub(h.last) > p.MaxGap
}

// recent is the highest demand of the last Idle, and whether all of that time
// was watched.
func (h History) recent(p Policy, now time.Time) (workers int, whole bool) {
	if h.gap(p, now) {
		return 0, p.Idle == 0
	}
	for _, k := range h.peaks {
		if now.Sub(k.at) < p.Idle {
			workers = max(workers, k.workers)
		}
	}
	return workers, now.Sub(h.since) >= p.Idle
}
