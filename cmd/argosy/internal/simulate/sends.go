package simulate

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"argosy/workflow"
)

// sent is a delivery in a commit's orders.
type sent struct {
	number int
	queue  string
	key    workflow.Key
}

// UnmarshalJSON is part of json.Unmarshaler.
func (s *sent) UnmarshalJSON(data []byte) error {
	parts := []any{&s.number, &s.queue, &s.key}
	if err := json.Unmarshal(data, &parts); err != nil {
		return fmt.Errorf("reading what is sent: %w", err)
	}
	return nil
}

// sends looks at what a commit sends: within the run's credit, by the slots that the
// coordinator was told of, and in the class of its priority and of what is in flight.
func (v *watch) sends(p *process, r *runWatch, state *workflow.State, all []sent) {
	first := 0
	for _, s := range all {
		if s.number%workflow.LifeDeliveries == 1 {
			first++
		}
	}
	if most := v.w.config.Credit(p.slots); first > 0 && state.InFlight > most {
		v.violated("nothing is dispatched beyond its credit", "run %s has %d in flight, and a credit of %d", r.id, state.InFlight, most)
	}
	if p.tight && first > 0 {
		v.violated("nothing is started while Redis is nearly full", "run %s sends %d", r.id, first)
	}
	before := state.InFlight - first
	for _, s := range all {
		want := r.queues[s.key]
		if s.number%workflow.LifeDeliveries == 1 {
			want = v.w.job(r.id).queue(before)
			before++
		}
		if s.queue != want {
			v.violated("deliveries keep to their class", "delivery %d of %s goes to %s and not to %s", s.number, nodeName(r.id, s.key), s.queue, want)
		}
		r.queues[s.key] = want
	}
}

// queue is where the run's next delivery belongs with so many in flight.
func (j *job) queue(inFlight int) string {
	switch {
	case j.priority > 0:
		return pool + ".high"
	case j.priority < 0 || inFlight >= 4:
		return pool + ".bulk"
	}
	return pool
}

const (
	// told is how long it may take until the pool knows what a run has waiting.
	told = 8 * time.Second
	// forgotten is how long it may believe that something waits that does not any more.
	forgotten = 48 * time.Second
)

// waits holds what the pool was told against what the run has waiting. Too much is told for a
// while by a turn whose coordinator died, or that Redis lost, before it could be taken back.
func (v *watch) waits(r *runWatch, well time.Time) {
	patience := told
	if r.waiting == 0 {
		patience = forgotten
	}
	if v.w.now.Sub(later(r.committed, well)) < patience {
		return
	}
	if said, _ := v.w.said(r.id); said < r.waiting || r.waiting == 0 && said > 0 {
		v.violated("what waits is demand", "run %s has %d waiting, and the pool was told of %d", r.id, r.waiting, said)
	}
}

// said is what the pool was told of a run, if that still counts.
func (w *world) said(run string) (n int, counts bool) {
	number, until, _ := strings.Cut(w.server.Field("wait:{"+pool+"}", run), "|")
	if ms, _ := strconv.ParseInt(until, 10, 64); !time.UnixMilli(ms).After(w.now) {
		return 0, false
	}
	n, _ = strconv.Atoi(number)
	return n, true
}

// demanded says that the pool is still told that something waits.
func (w *world) demanded() bool {
	for _, run := range w.server.Fields("wait:{" + pool + "}") {
		if _, counts := w.said(run); counts {
			return true
		}
	}
	return false
}

// room is what a coordinator is told of Redis's memory.
type room struct{ p *process }

// Tight is part of join.Room.
func (r room) Tight(context.Context) (bool, error) {
	r.p.tight = r.p.w.tightUntil.After(r.p.w.now)
	return r.p.tight, nil
}
