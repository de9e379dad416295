package simulate

import (
	"slices"
	"time"

	"argosy/queue/queuesim"
)

// How long things may take once nothing fails any more.
const (
	// stuck: a queue that was long is looked at after 30 s; the locks and the place of a run of which
	// nothing was heard for 45 s by a sweeper that comes every 3 s, and others wait for them; a lease
	// or a step takes its time.
	stuck = 50 * time.Second
	// starved is for a run whose task waits behind others' that go first.
	starved = 3 * stuck
	// prompt: whoever listens hears of an event at once, or looks for itself.
	prompt = 400 * time.Millisecond
	// recovered: the lease of a coordinator that died passes, and somebody looks.
	recovered = 8 * time.Second
)

// patience looks for runs that do not go on.
func (v *watch) patience() {
	w := v.w
	well := w.calmAt
	if w.faults > 0 {
		well = well.Add(recovered)
	}
	v.taken(well)
	v.ticks(well)
	runs := v.scheduled()
	for _, j := range w.jobs {
		runs = append(runs, v.runs[j.id])
	}
	for _, r := range runs {
		if r == nil || r.finished || r.deleted {
			continue
		}
		if v.queues(r) {
			r.moved = w.now // it is another's turn to go on
		}
		since := later(r.moved, w.calmAt)
		if v.behind(r) && w.now.Sub(since) < starved {
			r.behind = w.now
		}
		if quiet := w.now.Sub(later(since, r.behind)); quiet > stuck {
			v.violated("no run is wedged", "nothing happened to run %s for %.1fs", r.id, quiet.Seconds())
		}
		if v.waits(r, well); r.waits.IsZero() {
			continue
		}
		if waited := w.now.Sub(later(r.waits, well)); waited > prompt {
			v.violated("events are taken up promptly", "run %s has had an event for %.1fs", r.id, waited.Seconds())
		}
	}
}

// behind says that the broker has a task of the run, and workers are busy with others.
func (v *watch) behind(r *runWatch) bool {
	return v.w.executing > 0 && slices.ContainsFunc(v.w.offered(), func(m queuesim.Message) bool { return m.Delivery.Run == r.id })
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
