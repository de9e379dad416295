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

	// What its client was told, and when; zero: not yet.
	tries     int
	id        string
	submitted time.Time
	signalled time.Time
	deleted   time.Time
}

// forget takes back what a client was told from a time on: Redis lost it.
func (j *job) forget(since time.Time) {
	for _, at := range []*time.Time{&j.submitted, &j.signalled, &j.deleted} {
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
	case !j.deleteAt.IsZero() && (j.stopAt.IsZero() || !j.signalled.IsZero() || j.deleteAt.Before(j.stopAt)):
		return j.deleteAt
	case !j.stopAt.IsZero() && j.signalled.IsZero():
		return j.stopAt
	}
	return time.Time{}
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
		err := runs.Delete(ctx, j.id)
		if err == nil || errors.Is(err, queue.ErrNotFound) {
			j.deleted = w.now
			w.trace(p, "run %s is deleted", j.id)
			return nil
		}
		return err
	}
	err := runs.Signal(ctx, j.id, workflow.Event{Kind: workflow.EventSignal, Signal: j.signal})
	if err == nil || errors.Is(err, queue.ErrFinished) {
		j.signalled = w.now
		w.trace(p, "run %s is told to %s", j.id, j.signal)
		return nil
	}
	return err
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
