package simulate

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"argosy/queue"
	"argosy/workflow"
	"argosy/workflow/spec"
)

const (
	limits   = "limits" // the config map with the limits of semaphores
	limit    = 2        // of each
	database = "shared" // the key of a limit in the database
	// most templates that a workflow may have
	mostTemplates = 100
)

// lockUp puts locks on templates of a workflow, and maybe on itself. Those of a template are
// taken after those of its callers, in every run: else runs could wait for each other.
func lockUp(rng *rand.Rand, wf *spec.Workflow) {
	for i := range wf.Spec.Templates {
		class := wf.Spec.Templates[i].Name // scopes have numbers, which grow with each call
		if !strings.HasPrefix(class, "scope-") {
			class = "leaf"
		}
		if rng.IntN(3) == 0 {
			wf.Spec.Templates[i].Synchronization = locksOf(rng, class)
		}
	}
	if rng.IntN(4) == 0 {
		wf.Spec.Synchronization = locksOf(rng, "run")
	}
}

func locksOf(rng *rand.Rand, class string) *spec.Synchronization {
	s := &spec.Synchronization{}
	for i := range 2 {
		if rng.IntN(2) == 0 {
			s.Mutexes = append(s.Mutexes, &spec.Mutex{Name: fmt.Sprintf("%s-%d", class, i), Database: rng.IntN(2) == 0})
		}
	}
	if rng.IntN(2) == 0 || len(s.Mutexes) == 0 {
		s.Semaphores = append(s.Semaphores, &spec.SemaphoreRef{
			ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: limits}, Key: class},
		})
	}
	if class == "leaf" && rng.IntN(3) == 0 {
		s.Semaphores = append(s.Semaphores, &spec.SemaphoreRef{Database: &spec.SyncDatabaseRef{Key: database}})
	}
	return s
}

// configMap holds the limits.
func configMap() *workflow.ConfigMap {
	m := &workflow.ConfigMap{Data: map[string]string{}, Version: 1}
	for k, n := range limitsOf(limit) {
		m.Data[k] = fmt.Sprint(n)
	}
	return m
}

func limitsOf(n int) map[string]int {
	of := map[string]int{"leaf": n, "run": n}
	for i := range mostTemplates {
		of[fmt.Sprintf("scope-%d", i)] = n
	}
	return of
}

// storeLimits stores the config map of limits.
func (w *world) storeLimits(n, version int) {
	m := corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: limits}, Data: map[string]string{}}
	for k, n := range limitsOf(n) {
		m.Data[k] = fmt.Sprint(n)
	}
	data, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	w.server.SetField("objects:{ConfigMap/argo}", limits, fmt.Sprintf("%d|%s", version, data))
}

// relimit is the life of a server that is told of other limits, while runs may wait for them.
func (w *world) relimit(t *thread, p *process) {
	locks := queue.NewLocks(p.conn)
	for {
		if w.now.Before(w.relimitAt) {
			p.park(t, w.relimitAt, nil)
			continue
		}
		losses := w.losses
		w.storeLimits(w.limitThen, 2)
		if err := locks.SetLimits(context.Background(), "argo/ConfigMap/"+limits+"/", limitsOf(w.limitThen), 2); err != nil {
			p.sleep(t, time.Second)
			continue
		}
		p.park(t, time.Time{}, func() bool { return w.losses != losses })
	}
}

// keepLimits stores the limits before anything else happens, and may have them change.
func (w *world) keepLimits(seed uint64) {
	w.storeLimits(limit, 1)
	if rng := rand.New(rand.NewPCG(seed, 4)); rng.IntN(2) == 0 {
		w.relimitAt, w.limitThen = epoch.Add(time.Duration(rng.Int64N(int64(20*time.Second)))), 1+rng.IntN(4)
	}
	w.server.SetField("objects:{SyncLimit/argo}", database, fmt.Sprintf(`1|{"limit":%d}`, limit))
}

// grants answers what is asked for, when nobody else wants it.
func grants(o *workflow.Orders) (events []workflow.Event) {
	if o == nil {
		return nil
	}
	for _, op := range o.Ops {
		if op.Do == workflow.LockAsk {
			events = append(events, workflow.Event{Kind: workflow.EventLock, Key: op.Key, Lock: &workflow.LockAnswer{Granted: true}})
		}
	}
	return events
}

const lockKeys = "{locks}:"

// locked holds the locks against their limits: by the locks' books, and by what runs have
// started that takes them to have these.
func (v *watch) locked() {
	for _, k := range v.w.server.Keys() {
		if lock, ok := strings.CutPrefix(k, lockKeys+"h:"); ok {
			if holders := v.w.server.Fields(k); len(holders) > v.w.mostOf(lock) {
				v.violated("no lock is over-held", "%s has the holders %v", lock, holders)
			}
		}
	}
}

// started holds what runs take themselves to have against the limits.
func (v *watch) started() {
	n := map[string]int{}
	for _, id := range sorted(v.runs) {
		r := v.runs[id]
		if r.finished || r.deleted {
			continue
		}
		for _, k := range sorted(r.nodes) {
			for _, lock := range r.nodes[k].locks {
				n[lock]++
			}
		}
		for _, lock := range r.locks {
			n[lock]++
		}
	}
	for _, lock := range sorted(n) {
		if n[lock] > v.w.mostOf(lock) {
			v.violated("no more goes on than has the lock", "%d with %s", n[lock], lock)
		}
	}
}

func (w *world) mostOf(lock string) int {
	if strings.Contains(lock, "/Mutex/") || strings.HasSuffix(lock, "!") {
		return 1
	}
	if strings.Contains(lock, "/ConfigMap/") {
		return max(limit, w.limitThen)
	}
	return limit
}

// holds lists the locks that a node, or a run, takes itself to have.
func holds(l *workflow.LockState, waits bool) (locks []string) {
	if l == nil || waits {
		return nil
	}
	for i := range l.Locks {
		locks = append(locks, l.Locks[i].ID())
	}
	return locks
}

// keep notes what a node has of locks.
func (v *watch) keep(r *runWatch, k workflow.Key, n *workflow.Node) {
	w := r.nodes[k]
	if n.Held == "lock" || n.Held == "room" || n.Held == "memo" {
		w.waits = n.Type == spec.NodeTypePod || n.Type == spec.NodeTypeSuspend
	}
	w.locks = holds(n.Lock, n.Held == "lock")
	r.nodes[k] = w
}

// loseLocks notes that a run that had ended goes on: what it had it has given back.
func (r *runWatch) loseLocks() {
	r.locks, r.place = nil, ""
	for k, n := range r.nodes {
		n.locks = nil
		r.nodes[k] = n
	}
}

// taken looks for what was granted and is not taken.
func (v *watch) taken(well time.Time) {
	unsure := maps.Clone(v.w.server.Scores(placeKeys + "unsure"))
	if unsure == nil {
		unsure = map[string]float64{}
	}
	maps.Copy(unsure, v.w.server.Scores(lockKeys+"unsure"))
	for member, at := range unsure {
		if waited := v.w.now.Sub(later(time.UnixMilli(int64(at)), well)); waited > 2*recovered {
			v.violated("what is granted is taken", "%s was granted %.1fs ago", member, waited.Seconds())
		}
	}
}

// lockLeft says that a key of the locks should be gone when all is over.
func lockLeft(key string) bool {
	if placeLeft(key) {
		return true
	}
	what, ok := strings.CutPrefix(key, lockKeys)
	return ok && what != "limits" && what != "seq"
}
