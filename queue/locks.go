package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"argosy/workflow"
)

// Locks are what runs exclude each other with. They are in a slot of their own, so that what a
// run commits and what becomes of its locks are two steps:
//
//	run's slot:    commit "k wants them"        in: "granted"   commit "k goes on"
//	                  |                          ^                 |
//	locks' slot:      +--> ask: wait .. granted -+                 +--> hold .. free, after
//	                               (unsure)                                    commit "k ended"
//
// Everything to do is in the run's out list until it is done, and doing it twice changes
// nothing. A turn that comes late is refused by its token; what one asked for that nobody wants
// any more is given back by the run when it is told, or by Sweep when there is no such run.
type Locks struct{ conn *Conn }

// NewLocks makes a view on all locks.
func NewLocks(c *Conn) *Locks { return &Locks{conn: c} }

// lockCall is what lock.lua is told.
type lockCall struct {
	All    bool        `json:"all,omitempty"`
	Drop   bool        `json:"drop,omitempty"`
	Ops    []lockOp    `json:"ops,omitempty"`
	Limits []lockLimit `json:"limits,omitempty"`

	Below   string         `json:"below,omitempty"`
	Values  map[string]int `json:"values"`
	Version int64          `json:"v,omitempty"`
}

type lockOp struct {
	Do    string       `json:"o"`
	Key   workflow.Key `json:"k"`
	Name  string       `json:"h,omitempty"`
	Locks []lockLimit  `json:"l,omitempty"`
}

type lockLimit struct {
	ID      string `json:"i"`
	Limit   int    `json:"n"`
	Version int64  `json:"v"`
}

// noLimit is the version of a lock that has one holder.
const noLimit = -1

// Ordering is a turn that has things done about locks and its run's place.
type Ordering struct {
	Token   int64 // of the turn
	Version int64 // of the run's state that it committed
	Done    int   // the calls so far, for Settlement.Ordered
}

// Do does what a turn of a run has committed about locks, and tells those who are granted some.
// ErrFenced: a later turn has gone on, or Redis lost the commit, which had this version.
func (l *Locks) Do(ctx context.Context, run *workflow.Run, turn *Ordering, o *workflow.Orders) error {
	// The higher priority first, then the older run.
	sort := fmt.Sprintf("%08x%012x", uint32(1<<31-1-int64(o.Priority)), uint64(run.Created))
	if err := l.doPlace(ctx, run, turn, o, sort); err != nil {
		return fmt.Errorf("doing what run %s has to about its place: %w", run.ID, err)
	}
	if len(o.Ops) == 0 && !o.All {
		return nil
	}
	c := lockCall{All: o.All}
	for _, op := range o.Ops {
		to := lockOp{Do: op.Do, Key: keyOfLife(op.Key, o.Life), Name: run.Namespace + "/" + run.Name}
		if op.Key != workflow.RunLock {
			to.Name += "/" + op.Key.ID(run.Name)
		}
		for i := range op.Locks {
			ref := &op.Locks[i]
			limit := lockLimit{ID: ref.ID(), Limit: ref.Limit, Version: ref.Version}
			if ref.Mutex {
				limit.Version = noLimit
			}
			to.Locks = append(to.Locks, limit)
		}
		c.Ops = append(c.Ops, to)
	}
	turn.Done++
	if err := l.call(ctx, run.ID, *turn, sort, c); err != nil {
		return fmt.Errorf("doing what run %s has to about locks: %w", run.ID, err)
	}
	return nil
}

// Drop gives back all that a run has or wants, if it has ended or is gone, and these keys of
// which no more may be known. A run that is taken up again meanwhile keeps what it takes then.
func (l *Locks) Drop(ctx context.Context, run string, keys ...workflow.Key) error {
	cmds, err := l.conn.together(ctx, command("hmget", metaKey(run), "fin", "tok"), command("exists", runKey(run)))
	if err != nil {
		return fmt.Errorf("giving back the locks of run %s: %w", run, err)
	}
	meta, token := asList(cmds[0].Val()), int64(0)
	if asInt(cmds[1].Val()) == 1 {
		if len(meta) != 2 || meta[0] == nil {
			return nil // it goes on
		}
		if token, err = strconv.ParseInt(asString(meta[1]), 10, 64); err != nil {
			return fmt.Errorf("giving back the locks of run %s: its token: %w", run, err)
		}
	}
	c := lockCall{Drop: true}
	for _, k := range keys {
		c.Ops = append(c.Ops, lockOp{Do: workflow.LockFree, Key: k})
	}
	turn := Ordering{Token: token}
	err = l.call(ctx, run, turn, "", c)
	if err == nil {
		err = l.place(ctx, "drop", run, turn, "", "", "", nil)
	}
	if err != nil && !errors.Is(err, ErrFenced) {
		return fmt.Errorf("giving back the locks of run %s: %w", run, err)
	}
	return nil
}

// SetLimit says how many may have a lock, by the version of an object. Those who can have it
// now are granted it; nobody loses it.
func (l *Locks) SetLimit(ctx context.Context, lock string, limit int, version int64) error {
	if err := l.call(ctx, "", Ordering{}, "", lockCall{Limits: []lockLimit{{ID: lock, Limit: limit, Version: version}}}); err != nil {
		return fmt.Errorf("setting the limit of %s: %w", lock, err)
	}
	return nil
}

// SetLimits is SetLimit for all locks that are known and whose names begin so: what is not
// among the limits has none any more.
func (l *Locks) SetLimits(ctx context.Context, below string, limits map[string]int, version int64) error {
	if limits == nil {
		limits = map[string]int{}
	}
	if err := l.call(ctx, "", Ordering{}, "", lockCall{Below: below, Values: limits, Version: version}); err != nil {
		return fmt.Errorf("setting the limits of %s: %w", below, err)
	}
	return nil
}

func (l *Locks) call(ctx context.Context, run string, turn Ordering, sort string, c lockCall) error {
	data, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encoding: %w", err)
	}
	keys := []string{locksPrefix}
	if run != "" && !l.conn.cluster {
		keys = append(keys, metaKey(run), runKey(run))
	}
	v, err := l.conn.run(ctx, l.conn.scripts.lock, keys, run, turn.Token, sort, data, turn.Version, turn.Done)
	if err != nil {
		return err
	}
	answers, ok := v.([]any)
	if !ok {
		return ErrFenced
	}
	told := make([]told, 0, len(answers))
	for _, a := range answers {
		told = append(told, answerOf(asList(a)))
	}
	return l.tell(ctx, told)
}

// keyOfLife tells what a node asked for from what it did before its run was taken up again.
func keyOfLife(k workflow.Key, life int) workflow.Key {
	if life == 0 {
		return k
	}
	return k + workflow.Key("\x01"+strconv.Itoa(life))
}

func lifeOfKey(key string) (workflow.Key, int) {
	k, text, _ := strings.Cut(key, "\x01")
	life, _ := strconv.Atoi(text) // of none: 0
	return workflow.Key(k), life
}

// told is an event for a run.
type told struct {
	run   string
	event workflow.Event
}

// answerOf reads an answer of lock.lua.
func answerOf(a []any) told {
	key, life := lifeOfKey(asString(a[1]))
	answer := &workflow.LockAnswer{Granted: len(a) == 2, Life: life}
	if !answer.Granted {
		answer.Name = strings.TrimSuffix(asString(a[2]), "!")
		answer.Free, answer.Limit = int(asInt(a[3])), int(asInt(a[4]))
		answer.Holders = map[string][]string{}
		for i := 5; i+1 < len(a); i += 2 {
			for _, h := range asList(a[i+1]) {
				answer.Holders[asString(a[i])] = append(answer.Holders[asString(a[i])], asString(h))
			}
		}
	}
	return told{asString(a[0]), workflow.Event{Kind: workflow.EventLock, Key: key, Lock: answer}}
}

// tell tells runs, and gives back the locks of those that are no more.
func (l *Locks) tell(ctx context.Context, all []told) error {
	if len(all) == 0 {
		return nil
	}
	var steps []step
	for _, t := range all {
		data, err := json.Marshal(t.event)
		if err != nil {
			return fmt.Errorf("encoding an event: %w", err)
		}
		keys, args := []string{runKey(t.run), inKey(t.run), metaKey(t.run)}, []any{data}
		if lock := t.event.Lock; lock != nil && lock.Granted && !l.conn.cluster {
			books, field := locksPrefix+"r:"+t.run, string(keyOfLife(t.event.Key, lock.Life))
			if t.event.Key == workflow.RunPlace {
				books, field = placesPrefix+"runs", t.run
			}
			keys, args = append(keys, books), append(args, field)
		}
		steps = append(steps, call(l.conn.scripts.signal, keys, args...))
	}
	signals := len(steps)
	for _, t := range all {
		steps = append(steps, l.conn.ring(t.run))
	}
	cmds, err := l.conn.inOrder(ctx, steps...)
	if err != nil {
		return err
	}
	dead := map[string][]workflow.Key{}
	for i, cmd := range cmds[:signals] {
		if asInt(cmd.Val()) <= 0 {
			k := all[i].event.Key
			if lock := all[i].event.Lock; lock != nil {
				k = keyOfLife(k, lock.Life)
			}
			dead[all[i].run] = append(dead[all[i].run], k)
		}
	}
	for _, t := range all { // in their order
		if keys, ok := dead[t.run]; ok {
			delete(dead, t.run)
			if err := l.Drop(ctx, t.run, keys...); err != nil {
				return err
			}
		}
	}
	return nil
}

// What a run was granted it takes within a turn, and a run that has or wants locks makes sure
// of them by itself every 30 s: see workflow.State.Looked.
const (
	unsureAfter = 4 * time.Second
	unseenAfter = 45 * time.Second
	// SweepLocksEvery is how often Sweep should be called, by any number of processes.
	SweepLocksEvery = 3 * time.Second
	sweepLocks      = 100
)

// Sweep tells runs again of what they were granted and have not taken, and has those go over
// their locks that have said nothing for long. What belongs to no run is given back.
func (l *Locks) Sweep(ctx context.Context) error {
	for _, prefix := range []string{locksPrefix, placesPrefix} {
		if err := l.sweep(ctx, prefix); err != nil {
			return err
		}
	}
	return nil
}

func (l *Locks) sweep(ctx context.Context, prefix string) error {
	v, err := l.conn.run(ctx, l.conn.scripts.unsure, []string{prefix + "unsure", prefix + "seen"},
		unsureAfter.Milliseconds(), unseenAfter.Milliseconds(), sweepLocks)
	found := asList(v)
	if err == nil && len(found) != 2 {
		err = fmt.Errorf("unexpected answer %v", v)
	}
	if err != nil {
		return fmt.Errorf("looking for locks that nobody knows of: %w", err)
	}
	var all []told
	for _, member := range asList(found[0]) {
		run, key, _ := strings.Cut(asString(member), "|")
		all = append(all, answerOf([]any{run, key}))
	}
	for _, run := range asList(found[1]) {
		all = append(all, told{asString(run), workflow.Event{Kind: workflow.EventLocks}})
	}
	if err := l.tell(ctx, all); err != nil {
		return fmt.Errorf("telling %d runs of their locks: %w", len(all), err)
	}
	return nil
}

// KeepSwept sweeps until ctx ends.
func (l *Locks) KeepSwept(ctx context.Context) {
	tick := time.NewTicker(SweepLocksEvery)
	defer tick.Stop()
	for {
		if err := l.Sweep(ctx); err != nil && ctx.Err() == nil {
			l.conn.log.Debug("locks are not swept", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
