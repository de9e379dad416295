package coordinator

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// decide works out what a turn commits; nil when nothing happened to the run.
func (c *Coordinator) decide(ctx context.Context, t Turn, l *Loaded) (*Commit, error) {
	again, dropped, given := c.recover(l)
	events := append(l.Events, given...)
	if len(events) == 0 && len(again) == 0 && l.State.Phase != "" && len(l.State.Ready) == 0 {
		return nil, nil
	}
	plan, err := c.plans.get(ctx, l.Digest)
	var bad *badSpecError
	if errors.As(err, &bad) {
		return giveUp(l, bad.Error()), nil
	} else if err != nil {
		return nil, err
	}
	delta, err := c.advance(ctx, t, l, plan, events)
	var bug *panicError
	if errors.As(err, &bug) {
		c.log.Error("the engine failed on a run, which ends", "hop", "advance", "run", l.Run.Name, "error", bug, "stack", string(bug.stack))
		return giveUp(l, bug.Error()), nil
	} else if err != nil {
		return nil, err
	}
	commit := &Commit{
		State: &delta.State, Nodes: delta.Nodes, Send: again, Drop: dropped, Timers: delta.Timers, More: delta.More,
	}
	for _, k := range delta.Dispatch {
		commit.Send = append(commit.Send, Delivery{Run: l.Run.ID, Key: k, Number: 1, Pool: c.config.Pool})
	}
	if delta.CancelAll {
		commit.Cancel = &Cancel{Phase: delta.CancelPhase, Message: delta.CancelMessage}
	}
	return commit, nil
}

// recover decides what becomes of lost deliveries: sent anew, or given up as poison after
// too many, with an event that says so.
func (c *Coordinator) recover(l *Loaded) (again []Delivery, dropped []workflow.Key, given []workflow.Event) {
	for _, lost := range l.Lost {
		closing := l.State.Shutdown != "" || l.State.Expired
		if lost.Number < c.config.MaxDeliveries && !closing {
			next := lost.Delivery
			next.Number++
			again = append(again, next)
			c.metrics.lost.WithLabelValues("resent").Inc()
			c.log.Warn("a task was lost and is sent anew", "hop", "dispatch", "run", l.Run.Name,
				"node", lost.Key.Name(l.Run.Name), "delivery", next.Number, "worker", lost.Worker)
			continue
		}
		message := fmt.Sprintf("the task was lost %d times: its worker died or went away each time", lost.Number)
		if closing {
			message = "the task's worker died while the run was stopping"
		}
		dropped = append(dropped, lost.Key)
		given = append(given, workflow.Event{
			Kind: workflow.EventResult, Key: lost.Key,
			Result: &workflow.Result{Phase: spec.NodeError, Class: "poison", Message: message},
		})
		c.metrics.lost.WithLabelValues("poison").Inc()
	}
	return again, dropped, given
}

// advance asks the core, loading the nodes that it turns out to need.
func (c *Coordinator) advance(ctx context.Context, t Turn, l *Loaded, plan *workflow.Plan, events []workflow.Event) (*workflow.Delta, error) {
	view := &workflow.View{
		Run: l.Run, Plan: plan, State: l.State, Nodes: l.Nodes, Complete: l.Complete, Limits: c.config.Limits,
	}
	if view.Nodes == nil {
		view.Nodes = map[workflow.Key]*workflow.Node{}
	}
	for {
		delta, err := advance(view, events, l.Now)
		var missing *workflow.MissingError
		if !errors.As(err, &missing) {
			return delta, err
		}
		nodes, err := t.Nodes(ctx, missing.Keys)
		if err != nil {
			return nil, fmt.Errorf("loading %d nodes: %w", len(missing.Keys), err)
		}
		for _, k := range missing.Keys {
			view.Nodes[k] = nodes[k]
		}
	}
}

// panicError is a bug of the engine. It must end the run that meets it, not the process.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("internal error: %v", e.value) }

func advance(v *workflow.View, events []workflow.Event, now workflow.Millis) (d *workflow.Delta, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &panicError{value: r, stack: debug.Stack()}
		}
	}()
	return workflow.Advance(v, events, now.Time())
}

// giveUp ends a run that cannot be advanced.
func giveUp(l *Loaded, message string) *Commit {
	state := l.State
	state.Phase, state.Message, state.Finished, state.Ready = spec.WorkflowError, message, l.Now, nil
	if state.Started == 0 {
		state.Started = l.Now
	}
	return &Commit{State: &state}
}
