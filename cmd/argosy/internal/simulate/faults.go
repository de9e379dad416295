package simulate

import (
	"hash/fnv"
	"strings"
	"time"

	"argosy/queue"
	"argosy/queue/queuesim"
)

// odds say how likely faults are: one in so many opportunities; 0 is never.
type odds struct {
	kill, fail, lose, stall int // at each command: die, no connection, no answer, stop for a while
	leave                   int // of workers: be told to stop
	crash                   int // at each step: any process dies
	down                    int // at each step: Redis does not answer for a while
	cut                     int // at each step: Redis loses what was written last
	tight                   int // at each step: Redis's memory is nearly used up for a while
	drop, double, delay     int // of each message at the broker
}

// deal deals a seed its faults. Each kind is left out by some seeds, so that the others can
// show what they do alone.
func (w *world) deal() {
	one := func(of ...int) int {
		if w.rng.IntN(3) == 0 {
			return 0
		}
		return of[w.rng.IntN(len(of))]
	}
	w.odds = odds{
		kill: one(40, 100, 300), fail: one(20, 60, 200), lose: one(20, 60, 200), stall: one(60, 200, 500),
		leave: one(1, 3), crash: one(100, 400), down: one(300, 1000), cut: one(100, 300, 800),
		drop: one(3, 10), double: one(2, 5), delay: one(2, 5),
	}
	if w.rng.IntN(5) == 0 { // rarely, since little else happens meanwhile
		w.odds.tight = 300
	}
	if w.rng.IntN(4) == 0 {
		w.slowest = 60 * usual
	}
}

// strikes says that a fault happens, and counts it.
func (w *world) strikes(odds int) bool {
	if odds == 0 || w.calm || w.rng.IntN(odds) != 0 {
		return false
	}
	w.faults++
	return true
}

// soon is a time within d.
func (w *world) soon(d time.Duration) time.Time {
	if w.calm {
		return w.now
	}
	return w.now.Add(time.Duration(w.rng.Int64N(int64(d))))
}

// chaos may have something happen to all.
func (w *world) chaos() {
	if w.strikes(w.odds.crash) && len(w.processes) > 0 {
		p := w.processes[w.rng.IntN(len(w.processes))]
		w.trace(p, "is killed")
		p.kill()
	}
	if w.strikes(w.odds.down) {
		w.outage(time.Duration(w.rng.Int64N(int64(6 * time.Second))))
	}
	if w.strikes(w.odds.tight) {
		w.tightUntil = w.soon(10 * time.Second)
		w.trace(nil, "Redis is nearly full for %.1fs", w.tightUntil.Sub(w.now).Seconds())
	}
	if w.cutting == nil && w.strikes(w.odds.cut) {
		w.mark()
	}
}

// down says that Redis does not answer.
func (w *world) down() bool { return w.downUntil.After(w.now) }

// outage cuts all connections, for a time.
func (w *world) outage(d time.Duration) {
	w.breaks++
	w.downUntil = w.now.Add(d)
	w.trace(nil, "Redis is away for %.1fs", d.Seconds())
}

// saved is the world as Redis has it on disk.
type saved struct {
	at       time.Time
	redis    *queuesim.Snapshot
	messages []queuesim.Message
	watch    *watch
}

// mark takes note of what will be left after a crash that comes within two seconds.
func (w *world) mark() {
	w.trace(nil, "what Redis is told from now on it will lose")
	w.cutting = &saved{at: w.now, redis: w.server.Save(), messages: w.broker.Messages(), watch: w.watch.clone()}
	w.at(w.soon(2*time.Second), w.cut)
}

// cut is that crash: Redis comes back with what it had on disk.
func (w *world) cut() {
	s := w.cutting
	w.cutting = nil
	if w.calm {
		return
	}
	which := w.hit()
	w.server.Restore(s.redis, func(key string) bool { return which(slot(key)) })
	w.server.Forget()
	if which(pool) {
		w.broker.Restore(s.messages)
		for _, m := range s.messages {
			if m.Taken { // asynq misses whoever had it
				w.at(w.now.Add(30*time.Second), func() { w.broker.Return(m.ID) })
			}
		}
	}
	w.watch.restore(s.watch, which)
	w.losses++
	for _, j := range w.jobs {
		j.forget(s.at)
	}
	w.schedule.forget(s.at)
	w.trace(nil, "Redis lost its last %.3fs", w.now.Sub(s.at).Seconds())
	w.outage(time.Duration(w.rng.Int64N(int64(2 * time.Second))))
}

// hit chooses the slots that a crash hits: all of one server.
func (w *world) hit() func(slot string) bool {
	return func(string) bool { return true }
}

// slot is the part of a key that decides where a cluster has it.
func slot(key string) string {
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			return tag
		}
	}
	return key
}

// disturb does something to a message that was sent.
func (w *world) disturb(d queue.Delivery) {
	for _, m := range w.broker.Messages() {
		if m.Delivery != d {
			continue
		}
		switch {
		case w.strikes(w.odds.drop):
			w.trace(nil, "the broker loses %s", name(d))
			w.broker.Lose(m.ID)
		case w.strikes(w.odds.double):
			w.trace(nil, "the broker doubles %s", name(d))
			w.broker.Copy(m.ID)
		case w.strikes(w.odds.delay):
			w.hide(m, time.Duration(w.rng.Int64N(int64(10*time.Second))))
		}
	}
}

// hide delays a message.
func (w *world) hide(m queuesim.Message, d time.Duration) {
	w.trace(nil, "the broker delays %s by %.1fs", name(m.Delivery), d.Seconds())
	w.hidden[m.ID] = w.now.Add(d)
	w.at(w.hidden[m.ID], func() {}) // somebody may take it then
}

// soothe ends all faults.
func (w *world) soothe() {
	w.trace(nil, "faults cease")
	w.calm, w.calmAt = true, w.now
	w.downUntil, w.tightUntil, w.slowest = time.Time{}, time.Time{}, usual
	clear(w.hidden)
	for _, p := range w.processes {
		p.stalled = time.Time{}
	}
}

func hash(parts ...string) uint64 {
	h := fnv.New64a()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return h.Sum64()
}
