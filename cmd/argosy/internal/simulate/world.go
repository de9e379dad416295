package simulate

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"argosy/coordinator"
	"argosy/queue"
	"argosy/queue/queuesim"
	"argosy/workflow"
)

// world is the execution of one seed.
type world struct {
	*scheduler
	server  *queuesim.Server
	clock   time.Time // of the server: of the step before
	broker  *queuesim.Broker
	metrics *coordinator.Metrics
	log     *slog.Logger
	out     io.Writer // of the trace; nil is none

	// What the seed chose.
	odds    odds
	cluster bool
	turns   queue.TurnOptions
	config  coordinator.Config
	slots   int
	locks   bool // workflows have some
	places  places
	// schedule is nil in worlds without one.
	schedule *schedule
	archive  archive
	// relimitAt is when the limit of semaphores becomes another; zero: never.
	relimitAt time.Time
	limitThen int
	jobs      []*job
	until     time.Time // when faults cease

	processes []*process // that live
	lives     map[string]int
	dirty     bool // somebody died
	executing int
	watch     *watch
	faults    int
	calm      bool
	calmAt    time.Time
	doneAt    time.Time // when all jobs were, after that
	downUntil time.Time
	// tightUntil is when Redis has memory for new work again.
	tightUntil time.Time
	breaks     int // times that all connections broke
	losses     int // times that Redis lost something
	cutting    *saved
	hidden     map[int]time.Time // messages that the broker delays
	broken     *Violation
}

// Violation is a rule that was broken.
type Violation struct {
	Rule   string
	Detail string
}

func (v *Violation) Error() string { return v.Rule + ": " + v.Detail }

func (w *world) violated(rule, detail string) {
	if w.broken == nil {
		w.broken = &Violation{Rule: rule, Detail: detail}
		w.trace(nil, "VIOLATION %v", w.broken)
	}
}

// newWorld throws the dice for what the seed is about.
func newWorld(seed uint64, server *queuesim.Server, metrics *coordinator.Metrics, out io.Writer) (_ *world, err error) {
	rng := rand.New(rand.NewPCG(seed, 1))
	w := &world{
		scheduler: newScheduler(rng), server: server, broker: queuesim.NewBroker(), metrics: metrics, log: quiet(), out: out,
		lives: map[string]int{}, hidden: map[int]time.Time{},
	}
	w.watch = newWatch(w)
	w.deal()
	choose := func(of ...int) int { return of[rng.IntN(len(of))] }
	w.turns = queue.TurnOptions{WholeNodes: choose(3, 256, 256), Events: choose(2, 1000, 1000)}
	w.config = coordinator.Config{
		Pool: pool, MinCredit: choose(1, 2, 5, 16), Limits: workflow.Limits{Launch: choose(2, 500, 500), InFlight: choose(0, 0, 0, 3), ChunkFrom: choose(1, 2, 0), Chunks: choose(1, 2, 0)},
	}
	w.slots = 1 + rng.IntN(4)
	if w.locks = rand.New(rand.NewPCG(seed, 2)).IntN(3) == 0; w.locks {
		w.keepLimits(seed)
	}
	if w.places.deal(seed); w.places.needed {
		w.keepPlaces()
	}
	w.config.Places = w.places.config()
	if w.archive = dealArchive(seed); w.archive != nil {
		w.config.Archive = func(*workflow.Run, *workflow.State) bool { return true }
	}
	for i := range 1 + rng.IntN(3) {
		j, err := w.newJob(seed, i)
		if err != nil {
			return nil, err
		}
		w.jobs = append(w.jobs, j)
	}
	if w.until = epoch; rng.IntN(5) > 0 {
		w.until = w.soon(30 * time.Second)
	}
	if w.locks && !w.relimitAt.IsZero() {
		w.boot("server-0", w.relimit)
	}
	for i := range 1 + rng.IntN(3) {
		w.boot(fmt.Sprintf("coordinator-%d", i+1), w.coordinate)
	}
	for i := range 1 + rng.IntN(3) {
		w.boot(fmt.Sprintf("worker-%d", i+1), w.work)
	}
	for i, j := range w.jobs {
		w.boot(fmt.Sprintf("server-%d", i+1), w.serve(j))
	}
	if w.schedule, err = dealSchedule(seed); w.schedule != nil {
		w.boot("server-cron", w.keepSchedule)
	}
	return w, err
}

// newJob makes a run to want.
func (w *world) newJob(seed uint64, i int) (*job, error) {
	rng := rand.New(rand.NewPCG(seed, uint64(100+i)))
	j := &job{name: fmt.Sprintf("run%d", i+1)}
	failFast := rng.IntN(6) == 0
	j.leaf = leaf{salt: fmt.Sprint(seed, i), fails: []int{0, 5, 20, 40}[rng.IntN(4)], errors: !failFast}
	wf := generate(rng, failFast)
	if w.locks {
		lockUp(rand.New(rand.NewPCG(seed, uint64(200+i))), wf)
	}
	memoized := memoize(rand.New(rand.NewPCG(seed, uint64(300+i))), wf)
	if p := wf.Spec.Priority; p != nil {
		j.priority = *p
	}
	var err error
	if j.spec, err = encode(wf); err != nil {
		return nil, err
	}
	if j.want, err = undisturbed(j); err != nil {
		return nil, fmt.Errorf("seed %d, %s, undisturbed: %w", seed, j.name, err)
	}
	j.want.loose, j.want.timed = failFast, memoized || wf.Spec.Template(leafWork).Timeout != ""
	if wf.Spec.Template(leafServe) != nil && rand.New(rand.NewPCG(seed, uint64(300+i))).IntN(3) == 0 {
		j.leaf.mortal, j.want.timed = true, true
	}
	j.gates = wf.Spec.Template(leafGate) != nil
	j.submitAt = w.soon(5 * time.Second)
	if rng.IntN(6) == 0 {
		j.stopAt, j.signal = w.soon(20*time.Second), []string{workflow.SignalStop, workflow.SignalTerminate}[rng.IntN(2)]
	}
	if rng.IntN(10) == 0 {
		j.deleteAt = w.soon(25 * time.Second)
	}
	j.retry = rng.IntN(4) == 0
	if rng.IntN(8) == 0 {
		j.suspendAt = w.soon(15 * time.Second)
	}
	return j, nil
}

// job is what a run was made for.
func (w *world) job(run string) *job {
	for _, j := range w.jobs {
		if len(run) > len(j.name) && run[:len(j.name)] == j.name {
			return j
		}
	}
	if w.schedule != nil {
		return w.schedule.job
	}
	panic("a run of nobody: " + run)
}

// Beyond these bounds a seed goes round in circles.
const (
	most    = 50_000           // steps
	longest = 20 * time.Minute // after the last fault
)

// run lets the world go on to its end.
func (w *world) run() {
	defer w.end()
	for w.broken == nil {
		w.clock = w.now
		w.server.SetTime(w.clock)
		if !w.step() {
			w.violated("somebody always has something to do", "all wait for nothing")
			return
		}
		if w.dirty {
			w.bury()
		}
		switch {
		case w.panics != "":
			w.violated("nothing panics", w.panics)
		case w.steps > most || w.calm && w.now.Sub(w.calmAt) > longest:
			w.violated("things come to an end", fmt.Sprintf("not after %d steps", w.steps))
		case !w.calm && (w.now.After(w.until) || w.complete()):
			w.soothe()
		case !w.calm:
			w.chaos()
			w.bury()
		case w.idle():
			w.judge()
			return
		default:
			w.watch.patience()
		}
	}
}

// bury takes the dead from the living.
func (w *world) bury() {
	w.dirty = false
	w.reap()
	w.processes = slices.DeleteFunc(w.processes, func(p *process) bool { return p.dead })
}

// complete says that every job is done.
func (w *world) complete() bool {
	for _, j := range w.jobs {
		if r := w.watch.runs[j.id]; !j.next().IsZero() || j.submitted.IsZero() || j.deleted.IsZero() && (r == nil || !r.finished) {
			return false
		}
	}
	return w.schedule.over(w)
}

// settles is how long what is left over may take to go away, once all is done.
const settles = 60 * time.Second

// idle says that nothing is left to be done, or too much time has passed for that.
func (w *world) idle() bool {
	if !w.complete() {
		return false
	}
	if w.doneAt.IsZero() {
		w.doneAt = w.now
	}
	if w.now.Sub(w.doneAt) > settles {
		return true
	}
	if w.executing > 0 || len(w.broker.Messages()) > 0 || w.demanded() || w.archiving() {
		return false
	}
	for _, k := range w.server.Keys() {
		if strings.HasPrefix(k, "due:") || strings.HasPrefix(k, "taken:") || lockLeft(k) {
			return false
		}
	}
	return true
}

// end takes the processes down.
func (w *world) end() {
	for _, p := range w.processes {
		p.dead = true
	}
	w.bury()
}
