package simulate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"argosy/queue"
	"argosy/workflow"
)

// job is one run that somebody wants: what is asked of it, and when.
type job struct {
	name     string
	spec     []byte
	args     workflow.Run // its Arguments
	leaf     leaf
	want     *outcome // of an undisturbed run
	submitAt time.Time
	stopAt   time.Time // zero: never
	deleteAt time.Time
	signal   string
	priority int32
	gates    bool // somebody has to look after nodes that wait
	retry    bool // it is taken up again once it has failed

	suspendAt time.Time // it is resumed a little later; zero: never

	// What its client was told, and when; zero: not yet.
	tries     int
	asked     time.Time // to delete it, last
	id        string
	submitted time.Time
	signalled time.Time
	deleted   time.Time
	suspended time.Time
	resumed   time.Time
	over      time.Time // the run was seen to have ended
	retried   time.Time
	lookAt    time.Time // when to look after it next
}

// lookEvery is the time between two looks at nodes that wait, and that a run stays suspended.
const lookEvery = 2 * time.Second

// forget takes back what a client was told from a time on: Redis lost it.
func (j *job) forget(since time.Time) {
	for _, at := range []*time.Time{&j.submitted, &j.signalled, &j.deleted, &j.suspended, &j.resumed, &j.over, &j.retried} {
		if !at.Before(since) {
			*at = time.Time{}
		}
	}
}

// next is when the client has to do something again; zero: never.
func (j *job) next() time.Time {
	switch {
	case !j.deleted.IsZero():
		return time.Time{}
	case j.submitted.IsZero():
		return j.submitAt
	}
	first := time.Time{}
	for _, at := range []time.Time{j.unless(j.deleteAt, j.deleted), j.unless(j.stopAt, j.signalled), j.suspends(), j.looks()} {
		if first.IsZero() || !at.IsZero() && at.Before(first) {
			first = at
		}
	}
	return first
}

func (j *job) unless(at, done time.Time) time.Time {
	if done.IsZero() {
		return at
	}
	return time.Time{}
}

// suspends is when the run is to be suspended, or resumed.
func (j *job) suspends() time.Time {
	if !j.suspended.IsZero() {
		return j.unless(j.suspended.Add(lookEvery), j.resumed)
	}
	return j.suspendAt
}

// looks is when to look after nodes that wait, and whether the run has ended.
func (j *job) looks() time.Time {
	if !j.gates && !j.retry || !j.over.IsZero() {
		return time.Time{}
	}
	return later(j.lookAt, j.submitted)
}

// serve is the life of a server, with the one client that has a job for it.
func (w *world) serve(j *job) func(t *thread, p *process) {
	return func(t *thread, p *process) {
		runs := queue.NewRuns(p.conn)
		for {
			next, losses := j.next(), w.losses
			if next.IsZero() || next.After(w.now) {
				p.park(t, next, func() bool { return w.losses != losses })
				continue
			}
			err := w.ask(p, runs, j)
			if w.losses != losses {
				j.forget(w.now) // of what it was told just now, the first half may be lost
			}
			if err != nil {
				w.trace(p, "is told: %v", err)
				p.sleep(t, time.Second)
			}
		}
	}
}

// ask has the server do what the client wants next.
func (w *world) ask(p *process, runs *queue.Runs, j *job) error {
	ctx := context.Background()
	switch {
	case j.submitted.IsZero():
		return w.submit(ctx, p, runs, j)
	case !j.deleteAt.IsZero() && !j.deleteAt.After(w.now):
		j.asked = w.now
		err := runs.Delete(ctx, j.id)
		if err == nil || errors.Is(err, queue.ErrNotFound) {
			j.deleted = w.now
			w.trace(p, "run %s is deleted", j.id)
			return nil
		}
		return err
	}
	if at := j.suspends(); !at.IsZero() && !at.After(w.now) {
		return w.pause(ctx, p, runs, j)
	}
	if at := j.looks(); !at.IsZero() && !at.After(w.now) {
		return w.lookAfter(ctx, p, runs, j)
	}
	err := runs.Signal(ctx, j.id, workflow.Event{Kind: workflow.EventSignal, Signal: j.signal})
	if err == nil || errors.Is(err, queue.ErrFinished) {
		j.signalled = w.now
		w.trace(p, "run %s is told to %s", j.id, j.signal)
		return nil
	}
	return err
}

// pause suspends the run, or resumes it.
func (w *world) pause(ctx context.Context, p *process, runs *queue.Runs, j *job) error {
	done, signal := &j.suspended, workflow.SignalSuspend
	if !j.suspended.IsZero() {
		done, signal = &j.resumed, workflow.SignalResume
	}
	err := runs.Signal(ctx, j.id, workflow.Event{Kind: workflow.EventSignal, Signal: signal})
	if err != nil && !errors.Is(err, queue.ErrFinished) {
		return err
	}
	*done = w.now
	w.trace(p, "run %s is told to %s", j.id, signal)
	return nil
}

// lookAfter decides on the nodes that wait for somebody.
func (w *world) lookAfter(ctx context.Context, p *process, runs *queue.Runs, j *job) error {
	j.lookAt = w.now.Add(lookEvery)
	s, err := runs.Load(ctx, j.id, 1_000_000)
	if err != nil {
		return err
	}
	if s.State.Finished != 0 {
		next, err := s.State.TakeUp(workflow.Again{})
		if err != nil || !j.retry || !j.retried.IsZero() {
			j.over = w.now
			return nil
		}
		j.want.timed = j.want.timed || s.State.Closing() // what a stop ended for nothing stays so
		if err := runs.TakeUp(ctx, j.id, s.Version, &next, nil, ""); err != nil {
			return err
		}
		j.retried = w.now
		w.trace(p, "run %s is taken up again", j.id)
		return nil
	}
	for _, k := range sorted(s.Nodes) {
		if n := s.Nodes[k]; !n.Suspended() || n.Outputs == nil {
			continue // it waits for its time
		}
		if err := runs.Signal(ctx, j.id, j.leaf.decide(k)); err != nil && !errors.Is(err, queue.ErrFinished) {
			return err
		}
	}
	return nil
}

// submit submits the run, or finds that an earlier try did.
func (w *world) submit(ctx context.Context, p *process, runs *queue.Runs, j *job) error {
	if j.tries == 0 || j.id == "" {
		j.tries++
		j.id = fmt.Sprintf("%s-%d", j.name, j.tries)
	}
	run := &workflow.Run{ID: j.id, Name: j.name, Namespace: "argo", Created: workflow.At(epoch), Arguments: j.args.Arguments}
	err := runs.Submit(ctx, run, j.spec)
	if errors.Is(err, queue.ErrExists) {
		// Perhaps by a try of before, whose answer got lost.
		id, err := runs.RunID(ctx, run.Namespace, run.Name)
		if err != nil {
			return err
		}
		if _, err := runs.Head(ctx, id); err != nil {
			return fmt.Errorf("looking for %s: %w", id, err)
		}
		j.id, j.submitted = id, w.now
		w.trace(p, "run %s was submitted before", id)
		return nil
	}
	if err != nil {
		return err
	}
	j.submitted = w.now
	w.trace(p, "run %s is submitted", j.id)
	return nil
}
