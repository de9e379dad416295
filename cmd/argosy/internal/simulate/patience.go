package simulate

import "time"

// How long things may take once nothing fails any more.
const (
	// stuck: a queue that was long is looked at after 30 s; the locks and the place of a run of which
	// nothing was heard for 45 s by a sweeper that comes every 3 s, and others wait for them; a lease
	// or a step takes its time.
	stuck = 50 * time.Second
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
	for _, j := range w.jobs {
		r := v.runs[j.id]
		if r == nil || r.finished || r.deleted {
			continue
		}
		if v.queues(r) {
			r.moved = w.now // it is another's turn to go on
		}
		if quiet := w.now.Sub(later(r.moved, w.calmAt)); quiet > stuck {
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

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
