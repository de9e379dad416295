package simulate

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"time"

	"argosy/coordinator"
	"argosy/queue"
)

const placeKeys = "{places}:"

// places are how many runs may be under way at once, and from a time on another number.
type places struct {
	needed   bool
	all      bool // of all namespaces, or of the only one that there is
	most     int
	then     int // 0: no bound
	changeAt time.Time
}

// deal throws the dice for places.
func (p *places) deal(seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 3))
	if p.needed = rng.IntN(4) == 0; !p.needed {
		return
	}
	p.all, p.most = rng.IntN(2) == 0, 1+rng.IntN(2)
	if rng.IntN(2) == 0 {
		p.then, p.changeAt = rng.IntN(3), epoch.Add(time.Duration(rng.Int64N(int64(20*time.Second))))
	} else {
		p.then = p.most
	}
}

func (p *places) limits(n int) queue.PlaceLimits {
	if p.all {
		return queue.PlaceLimits{All: n, Of: map[string]int{}}
	}
	return queue.PlaceLimits{Each: 7, Of: map[string]int{"argo": n}}
}

// config has runs ask for places as long as there may be a limit.
func (p *places) config() coordinator.Places {
	if !p.needed {
		return coordinator.Places{}
	}
	return coordinator.Places(p.limits(p.most))
}

// keepPlaces stores the limits before anything else happens.
func (w *world) keepPlaces() {
	data, err := json.Marshal(w.places.limits(w.places.most))
	if err != nil {
		panic(err)
	}
	w.server.SetText(placeKeys+"limits", string(data))
}

// tellPlaces is what a coordinator does beside its turns.
func (w *world) tellPlaces(p *process, locks *queue.Locks) func(t *thread) {
	return func(t *thread) {
		for {
			n := w.places.most
			if !w.now.Before(w.places.changeAt) {
				n = w.places.then
			}
			_ = locks.SetPlaces(context.Background(), w.places.limits(n)) // the next time comes
			p.sleep(t, 3*time.Second)
		}
	}
}

// placesHeld are the runs that have a place, by the books of places.
func (w *world) placesHeld() map[string]bool {
	held := map[string]bool{}
	for _, run := range w.server.Members(placeKeys + "held") {
		held[run] = true
	}
	return held
}

// given looks at who was given a place beyond the limit of the moment: none but those who had
// one before they were forgotten.
func (v *watch) given(what string) {
	if !v.w.places.needed {
		return
	}
	held := v.w.placesHeld()
	var l queue.PlaceLimits
	if err := json.Unmarshal([]byte(v.w.server.Text(placeKeys+"limits")), &l); err != nil {
		v.violated("limits can be read", "%v", err)
	}
	most := l.All
	if most == 0 {
		most = l.Of["argo"]
	}
	for _, run := range sorted(held) {
		if !v.placed[run] && most > 0 && len(held) > most && what != "hold" && what != "keep" {
			v.violated("no more runs have a place than may", "run %s was given one of %d, and is one of %d", run, most, len(held))
		}
	}
	v.placed = held
}

// underWay holds the runs that have begun against the limit.
func (v *watch) underWay() {
	n, most := 0, max(v.w.places.most, v.w.places.then)
	for _, r := range v.runs {
		if !r.finished && !r.deleted && r.place == "held" {
			n++
		}
	}
	if v.w.places.then > 0 && n > most {
		v.violated("no more runs are under way than may be", "%d of %d", n, most)
	}
}

// queues says that the run waits for its place behind another that is under way.
func (v *watch) queues(r *runWatch) bool {
	for _, other := range v.runs {
		if r.place == "wait" && other.place == "held" && !other.finished && !other.deleted {
			return true
		}
	}
	return false
}

// placeLeft says that a key of the places should be gone when all is over.
func placeLeft(key string) bool {
	what, ok := strings.CutPrefix(key, placeKeys)
	return ok && what != "limits"
}
