package coordinator

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"argosy/workflow"
	"argosy/workflow/cron"
	"argosy/workflow/spec"
)

// CronTurn is a claimed CronWorkflow:
//
//	Load -> do what was decided -> look at its runs -> decide -> Commit -+-> Settle
//	  ^                                                                  |
//	  +------------------- there is something to be done ----------------+
type CronTurn interface {
	Claimed
	Load(ctx context.Context) (*LoadedCron, error)
	// Fates finds what became of runs.
	Fates(ctx context.Context, runs []string) (map[string]cron.Fate, error)
	// Commit writes a decision, nil that nothing is left; ErrFenced when something else
	// happened to the CronWorkflow.
	Commit(ctx context.Context, s *cron.State) error
	// Submit starts a run, unless it was started before. *RefusedError: it never can be;
	// ErrNoRoom: not now.
	Submit(ctx context.Context, c *spec.CronWorkflow, child *cron.Child) error
	// Terminate does nothing to a run that is not there any more, or has ended.
	Terminate(ctx context.Context, run string) error
	// Delete deletes a run, if it is there, and keeps it from being submitted.
	Delete(ctx context.Context, run string) error
	// Settle ends the turn; the next one is at next, 0 for never, or when something happens.
	Settle(ctx context.Context, next workflow.Millis) error
}

// LoadedCron is what a CronTurn starts from.
type LoadedCron struct {
	Cron  *spec.CronWorkflow // nil if it was deleted
	State cron.State
	Known bool // there is a state
	Now   workflow.Millis
}

// RefusedError says why a workflow will not be accepted.
type RefusedError struct{ Reason error }

func (e *RefusedError) Error() string { return e.Reason.Error() }
func (e *RefusedError) Unwrap() error { return e.Reason }

// ErrNoRoom says that no workflows are accepted for now.
var ErrNoRoom = errors.New("no room")

// roomAfter is when a run is submitted again that there was no room for.
const roomAfter = 5 * time.Second

// cronTurn takes the turn of a CronWorkflow and names its outcome.
func (c *Coordinator) cronTurn(ctx context.Context, t CronTurn) (string, error) {
	var began *cron.Child // for a decision that does not count
	for {
		l, err := t.Load(ctx)
		if err != nil {
			return "failed", fmt.Errorf("loading a cron workflow: %w", err)
		}
		if began != nil && !l.State.Knows(began.ID) {
			if err := t.Delete(ctx, began.ID); err != nil {
				return "failed", fmt.Errorf("deleting a run that was not to begin: %w", err)
			}
		}
		if l.Cron == nil && !l.Known {
			return "gone", t.Settle(ctx, 0)
		}
		found, err := c.perform(ctx, t, l)
		if errors.Is(err, ErrNoRoom) {
			c.log.Warn("a scheduled run waits for room", "hop", "submit", "run", l.State.Out.Submit.Name, "error", err)
			return "held", t.Settle(ctx, l.Now+workflow.Millis(roomAfter.Milliseconds()))
		}
		if err != nil {
			return "failed", fmt.Errorf("doing what a cron workflow wants: %w", err)
		}
		d, err := decideCron(l, *found)
		if err != nil {
			return "failed", err
		}
		state := &d.State
		if d.Over {
			state = nil
		}
		switch err := t.Commit(ctx, state); {
		case errors.Is(err, ErrFenced): // it was changed meanwhile, or Redis lost something: decide anew
			if began = nil; l.State.Out != nil {
				began = l.State.Out.Submit
			}
			continue
		case err != nil:
			return "failed", fmt.Errorf("committing a cron workflow: %w", err)
		}
		if d.Over {
			return "committed", t.Settle(ctx, 0)
		}
		if d.State.Out == nil {
			return "committed", t.Settle(ctx, d.Next)
		}
	}
}

// decideCron takes a panic for an error: a bug must not end the process, and the next one that
// takes the turn.
func decideCron(l *LoadedCron, found cron.Found) (d cron.Decision, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &panicError{value: r, stack: debug.Stack()}
		}
	}()
	return cron.Decide(l.Cron, l.State, found, l.Now), nil
}

// perform does what a CronWorkflow's last decision wants, and looks at its runs.
func (c *Coordinator) perform(ctx context.Context, t CronTurn, l *LoadedCron) (*cron.Found, error) {
	found := &cron.Found{}
	if out := l.State.Out; out != nil {
		for _, run := range out.Terminate {
			if err := t.Terminate(ctx, run); err != nil {
				return nil, err
			}
		}
		for _, run := range out.Delete {
			if err := t.Delete(ctx, run); err != nil {
				return nil, err
			}
		}
		if out.Submit != nil && l.Cron != nil {
			err := t.Submit(ctx, l.Cron, out.Submit)
			var refused *RefusedError
			if err != nil && !errors.As(err, &refused) {
				return nil, err
			}
			log := c.log.With("hop", "submit", "cron", l.Cron.Name, "namespace", l.Cron.Namespace, "run", out.Submit.Name)
			if err != nil {
				found.Refused = refused.Error()
				c.metrics.crons.WithLabelValues("refused").Inc()
				log.Error("a scheduled run was refused", "error", err)
			} else {
				c.metrics.crons.WithLabelValues("submitted").Inc()
				log.Info("submitted as scheduled")
			}
		}
	}
	var runs []string
	for _, child := range l.State.Active {
		runs = append(runs, child.ID)
	}
	var err error
	if found.Fates, err = t.Fates(ctx, runs); err != nil {
		return nil, fmt.Errorf("looking at runs: %w", err)
	}
	return found, nil
}
