package simulate

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"argosy/queue"
	"argosy/queue/queuesim"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// watch sees every command that Redis applied, and holds it against the rules. It goes by
// what was asked and answered, and keeps books of its own.
type watch struct {
	w      *world
	runs   map[string]*runWatch
	placed map[string]bool // runs that have a place
	saved  map[string]bool // outputs that were memoized
	fired  time.Time       // when the schedule last was
}

// runWatch is what is known of a run.
type runWatch struct {
	id       string
	phase    spec.WorkflowPhase
	finished bool
	ended    time.Time // when it finished
	again    bool      // it was taken up again, and no turn has begun with that
	deleted  bool
	nodes    map[workflow.Key]nodeWatch
	accepted map[workflow.Key]spec.NodePhase // results that Redis took
	holder   map[workflow.Key]holder         // who claimed a delivery of a node last
	claims   map[workflow.Key]int
	queues   map[workflow.Key]string     // that deliveries of a node went to
	items    map[workflow.Key]itemsWatch // of chunked loops
	turn     turn                        // the last that began
	waits    time.Time                   // since when something is in its in-list; zero: nothing is
	moved    time.Time                   // when anything happened to it
	behind   time.Time                   // when it last waited for a worker behind others
	// waiting is what it could start and has no credit for, as of its last commit.
	waiting   int
	committed time.Time
	locks     []string // of its own, that it takes itself to have
	place     string
	tick      int64 // that the schedule fired it for, in seconds; 0: none
}

type holder struct {
	number, worker string
	until          time.Time // of the lease
}

func newWatch(w *world) *watch {
	return &watch{w: w, runs: map[string]*runWatch{}, saved: map[string]bool{}}
}

// clone is what is known, to come back to.
func (v *watch) clone() *watch {
	c := newWatch(v.w)
	for id, r := range v.runs {
		copied := *r
		copied.nodes, copied.accepted = maps.Clone(r.nodes), maps.Clone(r.accepted)
		copied.holder, copied.claims, copied.queues = maps.Clone(r.holder), maps.Clone(r.claims), maps.Clone(r.queues)
		copied.items = map[workflow.Key]itemsWatch{}
		for k, items := range r.items {
			copied.items[k] = maps.Clone(items)
		}
		c.runs[id] = &copied
	}
	return c
}

// restore goes back to what was known of the runs in some slots.
func (v *watch) restore(to *watch, which func(slot string) bool) {
	for id := range v.runs {
		if which("r:" + id) {
			delete(v.runs, id)
		}
	}
	for id, r := range to.runs {
		if which("r:" + id) {
			r.moved = v.w.now
			v.runs[id] = r
		}
	}
	v.placed = v.w.placesHeld()
}

func (v *watch) violated(rule, format string, args ...any) {
	v.w.violated(rule, fmt.Sprintf(format, args...))
}

// applied looks at a command.
func (v *watch) applied(p *process, c *queuesim.Command) {
	if c.Err != nil {
		if !strings.HasPrefix(c.Err.Error(), "NOSCRIPT") {
			v.violated("commands do not fail", "%s: %v", describe(c), c.Err)
		}
		return
	}
	switch {
	case c.Script == "lock":
		v.locked()
		return
	case c.Script == "take":
		if run, begun := took(c); begun != nil && v.runs[run] != nil {
			v.runs[run].begins(p, begun)
		}
		return
	case c.Script == "place":
		v.given(c.Args[0])
		return
	case c.Script == "memo":
		v.saves(c.Args)
		return
	case c.Script == "remove":
		v.deletes(c.Keys)
		return
	case c.Name == "set" && strings.HasSuffix(c.Args[0], "}:run"):
		if c.Answer != nil {
			v.begin(runOf(c.Args[0]))
		}
		return
	case c.Script == "once":
		v.fires(c)
		return
	case c.Script == "croncommit":
		v.counted(c)
		return
	case c.Script == "" || len(c.Keys) == 0:
		return
	}
	r := v.runs[runOf(c.Keys[0])]
	if r == nil {
		return
	}
	list, _ := c.Answer.([]any)
	switch c.Script {
	case "begin":
		r.begins(p, list)
	case "commit":
		if len(list) == 3 {
			v.commits(p, r, c)
		}
	case "hold":
		if len(list) > 0 {
			v.held(p, r, workflow.Key(c.Args[0]), c.Args[1])
		}
	case "renew":
		for i, a := range list {
			if k := workflow.Key(c.Args[2+2*i]); a == int64(1) || a == int64(2) {
				h := r.holder[k]
				h.until = leased(v.w.clock)
				r.holder[k] = h
			}
		}
	case "release":
		if c.Answer == int64(1) {
			delete(r.holder, workflow.Key(c.Args[0]))
		}
	case "report":
		if c.Answer == int64(1) {
			v.reports(r, c)
		}
	case "ready":
		if c.Answer == int64(1) {
			r.moved = v.w.now
			r.gets(v.w.now)
			v.fenced(r, c)
		}
	case "items":
		if c.Answer == int64(1) {
			v.reportsItems(r, c)
		}
	case "signal":
		if c.Answer == int64(1) {
			r.gets(v.w.now)
		}
	case "clear":
		if c.Answer == int64(1) && len(c.Args) > 3 {
			r.gets(v.w.now)
		}
	case "takeup":
		if version, _ := c.Answer.(int64); version > 0 {
			r.finished, r.again, r.moved = false, true, v.w.now
			r.loseLocks()
			r.gets(v.w.now)
		}
	case "reopen":
		if c.Answer == int64(1) {
			r.forgetItems(c.Keys[1])
		}
	}
}

// begin opens the books of a run.
func (v *watch) begin(id string) *runWatch {
	v.runs[id] = &runWatch{
		id: id, moved: v.w.now, nodes: map[workflow.Key]nodeWatch{}, accepted: map[workflow.Key]spec.NodePhase{},
		holder: map[workflow.Key]holder{}, claims: map[workflow.Key]int{}, queues: map[workflow.Key]string{},
		items: map[workflow.Key]itemsWatch{},
	}
	return v.runs[id]
}

// gets notes that something came in.
func (r *runWatch) gets(now time.Time) {
	if r.waits.IsZero() {
		r.waits = now
	}
}

func signals(events []any) bool {
	for _, e := range events {
		if text, _ := e.(string); strings.Contains(text, `"sig":"Stop"`) || strings.Contains(text, `"sig":"Terminate"`) {
			return true
		}
	}
	return false
}

func (v *watch) deletes(keys []string) {
	for _, k := range keys {
		if r := v.runs[runOf(k)]; r != nil && strings.HasSuffix(k, "}:run") {
			v.goes(r)
			r.deleted, r.waits = true, time.Time{}
		}
	}
}

// leased is when a lease ends that is granted now, by Redis's clock: it counts whole milliseconds.
func leased(now time.Time) time.Time {
	return now.Truncate(time.Millisecond).Add(queue.DefaultTaskLease)
}

// held looks at a claim that was granted.
func (v *watch) held(p *process, r *runWatch, k workflow.Key, number string) {
	r.moved = v.w.now
	if h := r.holder[k]; h.number == number && h.worker != p.id() && h.until.After(v.w.clock.Truncate(time.Millisecond)) {
		v.violated("one worker at a time", "delivery %s of %s went to %s while %s held it", number, nodeName(r.id, k), p.id(), h.worker)
	}
	r.holder[k] = holder{number: number, worker: p.id(), until: leased(v.w.clock)}
	r.claims[k]++
	switch n := r.nodes[k]; {
	case r.finished:
		v.violated("nothing runs after its run's end", "%s was claimed", nodeName(r.id, k))
	case !n.open() && !n.serves:
		v.violated("only what waits is run", "%s was claimed, which is %q", nodeName(r.id, k), n.phase)
	}
}

// fenced looks at whose report was accepted, and of what.
func (v *watch) fenced(r *runWatch, c *queuesim.Command) workflow.Key {
	k := workflow.Key(c.Args[0])
	if h := r.holder[k]; h.number != c.Args[1] || h.worker != c.Args[2] {
		v.violated("stale deliveries are fenced", "%s of %s was accepted for %s, which %s holds as delivery %s",
			"delivery "+c.Args[1], c.Args[2], nodeName(r.id, k), h.worker, h.number)
	}
	return k
}

// reports looks at a result that was accepted.
func (v *watch) reports(r *runWatch, c *queuesim.Command) {
	r.moved = v.w.now
	r.gets(v.w.now)
	k := v.fenced(r, c)
	if phase, twice := r.accepted[k]; twice {
		v.violated("one result for each node", "%s was reported again, after %s", nodeName(r.id, k), phase)
	}
	var e workflow.Event
	if err := json.Unmarshal([]byte(c.Args[3]), &e); err != nil || e.Result == nil {
		v.violated("events can be read", "%s: %v", c.Args[3], err)
		return
	}
	r.accepted[k] = e.Result.Phase
}

// commits looks at a turn that was committed.
func (v *watch) commits(p *process, r *runWatch, c *queuesim.Command) {
	r.moved = v.w.now
	var orders struct {
		Token int64    `json:"tok"`
		Send  []sent   `json:"send"`
		Gone  []string `json:"gone"`
		Wipe  []string `json:"wipe"`
	}
	var state workflow.State
	if err := json.Unmarshal([]byte(c.Args[0]), &orders); err != nil {
		v.violated("commits can be read", "%v", err)
	}
	if err := json.Unmarshal([]byte(c.Args[1]), &state); err != nil {
		v.violated("commits can be read", "%v", err)
	}
	if r.turn.by != p || r.turn.token != orders.Token {
		v.violated("only the last turn begun commits", "%s committed with token %d after %s began with %d",
			p.id(), orders.Token, r.turn.by.id(), r.turn.token)
	}
	if r.turn.signalled && state.Shutdown == "" && state.Finished == 0 {
		v.violated("signals are obeyed", "run %s was signalled and is not shutting down", r.id)
	}
	for _, k := range orders.Wipe {
		r.forgetItems(k)
	}
	for _, k := range orders.Gone {
		r.forget(workflow.Key(k))
	}
	v.sends(p, r, &state, orders.Send)
	for i := 2; i+1 < len(c.Args); i += 2 {
		v.node(r, &state, workflow.Key(c.Args[i]), c.Args[i+1])
	}
	r.again = state.Again != nil // it waits for the lock of its workflow
	r.phase, r.waiting, r.committed = state.Phase, state.Waiting(), v.w.now
	r.locks = holds(state.Lock, state.Lock != nil && !state.Lock.Held)
	r.place = state.Place
	v.started()
	v.daemons(r, &state)
	v.underWay()
	if v.counts(r, &state); state.Finished != 0 {
		v.finishes(r)
		if r.tick != 0 {
			v.scheduledEnds(r, &state)
		}
		return
	}
	v.flights(r)
}

// counts holds the counters against the nodes.
func (v *watch) counts(r *runWatch, s *workflow.State) {
	open, leaves := 0, 0
	for _, n := range r.nodes {
		if n.open() {
			open++
			leaves++
		}
		if n.serves {
			leaves++
		}
		if n.waits {
			leaves++
		}
		if n.chunk != nil {
			leaves += n.chunk.To - n.chunk.Done - 1
		}
	}
	if s.InFlight != open || s.Total-s.Done != leaves {
		v.violated("counters equal states", "run %s has %d open leaves in %d deliveries, InFlight %d, Total %d, Done %d",
			r.id, leaves, open, s.InFlight, s.Total, s.Done)
	}
}

// flights holds the deliveries in flight against the nodes.
func (v *watch) flights(r *runWatch) {
	prefix := "{r:" + r.id + "}:"
	flying := map[workflow.Key]bool{}
	for _, k := range v.w.server.Fields(prefix + "fly") {
		flying[workflow.Key(k)] = true
		switch n := r.nodes[workflow.Key(k)]; {
		case n.open() || n.serves:
		case n.daemon && strings.HasPrefix(v.w.server.Field(prefix+"fly", k), "cancel|"):
		default:
			v.violated("what is in flight is open", "%s is in flight and %q", nodeName(r.id, workflow.Key(k)), n.phase)
		}
	}
	in := v.w.server.List(prefix + "in")
	for _, text := range in {
		var e workflow.Event
		if err := json.Unmarshal([]byte(text), &e); err == nil && (e.Kind == workflow.EventResult || e.Kind == workflow.EventItems && e.Items.End) {
			flying[e.Key] = true
		}
	}
	if r.waits = (time.Time{}); len(in) > 0 {
		r.waits = v.w.now
	}
	for k, n := range r.nodes {
		if (n.open() || n.serves) && !flying[k] {
			v.violated("what is open is in flight", "%s is %s, and neither in flight nor reported", nodeName(r.id, k), n.phase)
		}
	}
}

// finishes looks at a run that ended.
func (v *watch) finishes(r *runWatch) {
	r.finished, r.ended, r.waits = true, v.w.now, time.Time{}
	v.itemsKept(r)
	for k := range r.accepted {
		if n := r.nodes[k]; !workflow.Fulfilled(n.phase) {
			v.violated("no accepted result is lost", "%s was reported as %s and is %s at its run's end", nodeName(r.id, k), r.accepted[k], n.phase)
		}
	}
	for _, list := range []string{"in", "out", "fly", "timers"} {
		if key := "{r:" + r.id + "}:" + list; v.w.server.Has(key) {
			v.violated("an ended run has nothing left", "%s is not empty", key)
		}
	}
}

// starts looks at a step that a worker begins to run.
func (v *watch) starts(p *process, d queue.Delivery) {
	// What is left of a loop, when Redis or a worker lost something, may be cut into other chunks,
	// whose items another chunk still runs.
	if losses, runs := p.running[d]; runs && losses == v.w.losses {
		v.violated("one worker runs a delivery once at a time", "%s runs %s twice", p.id(), name(d))
	}
	p.running[d] = v.w.losses
	if r := v.runs[d.Run]; r != nil {
		r.moved = v.w.now
		if !r.leases(p.id(), d.Key) {
			p.running[d] = -1
		}
	}
}

// leases says that the lease of a node, or of a chunk of the loop that it is an item of, is a worker's.
func (r *runWatch) leases(worker string, k workflow.Key) bool {
	for held, h := range r.holder {
		loop, _, chunk := strings.Cut(string(held), "#c")
		if h.worker == worker && h.until.After(r.moved) && (held == k || chunk && strings.HasPrefix(string(k), loop)) {
			return true
		}
	}
	return false
}
