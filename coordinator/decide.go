package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// decide works out what a turn commits; nil when nothing happened to the run.
func (c *Coordinator) decide(ctx context.Context, t Turn, l *Loaded) (*Commit, error) {
	if l.Nodes == nil {
		l.Nodes = map[workflow.Key]*workflow.Node{}
	}
	found, err := c.recover(ctx, t, l)
	if err != nil {
		return nil, err
	}
	events := append(l.Events, found.given...)
	if l.State.Locks > 0 && l.Now-l.State.Looked >= workflow.Millis(lookEvery(&l.State).Milliseconds()) {
		events = append(events, workflow.Event{Kind: workflow.EventLocks})
	}
	asked := len(events) > 0 || len(l.Lost) > 0 || l.State.Again != nil && !l.State.WaitsToBegin()
	if !asked && l.State.Phase != "" && len(l.State.Ready) == 0 {
		return nil, nil
	}
	limits := c.limits(ctx)
	limits.Places = c.config.Places.bound(l.Run.Namespace)
	if (limits.Hold || l.State.Suspended) && !asked {
		return nil, nil
	}
	plan, err := c.plans.get(ctx, l.Digest)
	var bad *badSpecError
	if errors.As(err, &bad) {
		given := giveUp(l, bad.Error())
		given.State.BadSpec = true
		return given, nil
	} else if err != nil {
		return nil, err
	}
	delta, err := c.advance(ctx, t, l, plan, events, limits)
	var bug *panicError
	if errors.As(err, &bug) {
		c.log.Error("the engine failed on a run, which ends", "hop", "advance", "run", l.Run.Name, "error", bug, "stack", string(bug.stack))
		given := giveUp(l, bug.Error())
		given.Expires = plan.Expires(given.State)
		return given, nil
	} else if err != nil {
		return nil, err
	}
	commit := &Commit{
		State: &delta.State, Nodes: delta.Nodes, Gone: delta.Gone, Send: found.sent(delta.End), Drop: found.dropped, Timers: delta.Timers, Orders: delta.Orders, Saves: delta.Saves, More: delta.More, Late: delta.Late, End: delta.End,
		Waiting: delta.Waiting(plan), Expires: plan.Expires(&delta.State), Metrics: delta.Metrics,
		Wipe: delta.Wipe, Forget: delta.Forget, Reopen: delta.Reopen, Copy: delta.Copy,
	}
	for _, n := range found.counted {
		changed := slices.ContainsFunc(delta.Nodes, func(d *workflow.Node) bool { return d.Key == n.Key })
		if !changed && !slices.Contains(delta.Gone, n.Key) {
			commit.Nodes = append(commit.Nodes, n)
		}
	}
	before := delta.State.InFlight - len(delta.Dispatch)
	for i, k := range delta.Dispatch {
		commit.Send = append(commit.Send, Delivery{
			Run: l.Run.ID, Key: k, Number: delta.State.FirstDelivery(), Pool: c.config.Pool, Class: class(plan.Spec.Priority, before+i),
		})
	}
	if delta.CancelAll {
		commit.Cancel = &Cancel{Phase: delta.CancelPhase, Message: delta.CancelMessage, SpareExit: delta.SpareExit}
	}
	return commit, nil
}

// recovery is what becomes of lost deliveries.
type recovery struct {
	again   []Delivery       // sent anew
	counted []*workflow.Node // nodes that lost another worker
	dropped []workflow.Key   // given up as poison
	given   []workflow.Event // what is said of those
}

// sent is what is sent anew after a turn that ended daemons.
func (r *recovery) sent(ended []workflow.Key) []Delivery {
	return slices.DeleteFunc(r.again, func(d Delivery) bool { return slices.Contains(ended, d.Key) })
}

// recover decides what becomes of lost deliveries. One that a worker died with counts
// against its node: a step that kills its workers must not go through the whole fleet.
func (c *Coordinator) recover(ctx context.Context, t Turn, l *Loaded) (*recovery, error) {
	r := &recovery{}
	if len(l.Lost) == 0 {
		return r, nil
	}
	if err := load(ctx, t, l, l.Lost); err != nil {
		return nil, fmt.Errorf("loading lost nodes: %w", err)
	}
	// Also what this turn's events end: a step that is sent now would run on unheard.
	state := l.State
	for i := range l.Events {
		state.Take(&l.Events[i])
	}
	for _, lost := range l.Lost {
		closing := state.Ends(lost.Key)
		n := l.Nodes[lost.Key]
		if n == nil || n.Fulfilled() {
			r.dropped = append(r.dropped, lost.Key)
			continue
		}
		if lost.Worker != "" {
			counted := *n
			counted.Lost++
			if n = &counted; n.Chunk != nil {
				// Only the item that they died with is given up, by the next worker.
				chunk := *n.Chunk
				chunk.Poison = n.Lost >= c.config.MaxLost
				n.Chunk = &chunk
			}
			l.Nodes[lost.Key] = n
			r.counted = append(r.counted, n)
		}
		if (n.Chunk != nil || n.Lost < c.config.MaxLost) && !closing {
			next := lost.Delivery
			next.Number++
			r.again = append(r.again, next)
			c.metrics.lost.WithLabelValues("resent").Inc()
			c.log.Log(ctx, resendLevel(lost), "a task was lost and is sent anew", "hop", "dispatch", "run", l.Run.Name,
				"node", lost.Key.Name(l.Run.Name), "delivery", next.Number, "worker", lost.Worker)
			continue
		}
		if n.Chunk != nil && l.Unread {
			continue // what it reported before comes first; then it is found lost again
		}
		result := &workflow.Result{Phase: spec.NodeError, Class: "poison", Message: fmt.Sprintf("%d workers died while they ran this step", n.Lost)}
		if closing {
			result.Class, result.Message = "lost", "the step's worker went away while the run was ending"
		}
		r.dropped = append(r.dropped, lost.Key)
		r.given = append(r.given, workflow.Event{Kind: workflow.EventResult, Key: lost.Key, Result: result})
		c.metrics.lost.WithLabelValues(result.Class).Inc()
	}
	return r, nil
}

// resendLevel: that a worker died is worth a look, that one handed its work back is not.
func resendLevel(l Lost) slog.Level {
	if l.Worker == "" {
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// load adds the nodes of lost deliveries to what the turn has loaded.
func load(ctx context.Context, t Turn, l *Loaded, lost []Lost) error {
	var keys []workflow.Key
	for _, d := range lost {
		if _, ok := l.Nodes[d.Key]; !ok && !l.Complete {
			keys = append(keys, d.Key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	nodes, err := t.Nodes(ctx, keys)
	if err != nil {
		return err
	}
	for _, k := range keys {
		l.Nodes[k] = nodes[k]
	}
	return nil
}

// advance asks the core, loading the nodes that it turns out to need.
func (c *Coordinator) advance(ctx context.Context, t Turn, l *Loaded, plan *workflow.Plan, events []workflow.Event, limits workflow.Limits) (*workflow.Delta, error) {
	view := &workflow.View{
		Run: l.Run, Plan: plan, State: l.State, Nodes: l.Nodes, Complete: l.Complete, Limits: limits,
		Outputs: map[workflow.Key]map[int][]byte{}, ConfigMaps: map[string]*workflow.ConfigMap{}, SyncLimits: map[string]*workflow.SyncLimit{},
	}
	for {
		delta, err := advance(view, events, l.Now)
		var missing *workflow.MissingError
		if !errors.As(err, &missing) {
			l.Nodes = view.Nodes
			return delta, err
		}
		if missing.From {
			if view.From, err = t.From(ctx, l.Run.From.ID); err != nil {
				return nil, fmt.Errorf("loading the run that this one takes over: %w", err)
			}
			continue
		}
		if missing.All {
			if view.Nodes, err = t.Whole(ctx); err != nil {
				return nil, fmt.Errorf("loading all nodes: %w", err)
			}
			view.Complete = true
			continue
		}
		if name := missing.ConfigMap; name != "" {
			namespace, local, other := strings.Cut(name, "/")
			if !other {
				namespace, local = l.Run.Namespace, name
			}
			if view.ConfigMaps[name], err = c.store.ConfigMap(ctx, namespace, local); err != nil {
				return nil, fmt.Errorf("reading config map %s: %w", name, err)
			}
			continue
		}
		if name := missing.SyncLimit; name != "" {
			namespace, key, _ := strings.Cut(name, "/")
			if view.SyncLimits[name], err = c.store.SyncLimit(ctx, namespace, key); err != nil {
				return nil, fmt.Errorf("reading the limit of %s: %w", name, err)
			}
			continue
		}
		if missing.Loop != "" {
			if view.Outputs[missing.Loop], err = t.Outputs(ctx, missing.Loop); err != nil {
				return nil, fmt.Errorf("loading a loop's outputs: %w", err)
			}
			continue
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
