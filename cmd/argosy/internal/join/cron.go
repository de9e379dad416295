package join

import (
	"context"
	"errors"
	"fmt"

	"argosy/coordinator"
	"argosy/queue"
	"argosy/workflow"
	"argosy/workflow/cron"
	"argosy/workflow/spec"
)

// cronTurn is one claimed CronWorkflow, from Load to Settle.
type cronTurn struct {
	store           Turns
	ticket          *queue.Ticket
	namespace, name string
	loaded          *queue.CronState
}

func (t *cronTurn) Load(ctx context.Context) (*coordinator.LoadedCron, error) {
	l, err := t.store.Crons.Load(ctx, t.namespace, t.name)
	if err != nil {
		return nil, err
	}
	t.loaded = l
	return &coordinator.LoadedCron{Cron: l.Cron, State: l.State, Known: l.Known, Now: l.Now}, nil
}

func (t *cronTurn) Fates(ctx context.Context, runs []string) (map[string]cron.Fate, error) {
	return t.store.Crons.Fates(ctx, runs)
}

func (t *cronTurn) Commit(ctx context.Context, s *cron.State) error {
	err := t.store.Crons.Commit(ctx, t.loaded, s)
	if errors.Is(err, queue.ErrFenced) {
		return fmt.Errorf("%w: %w", coordinator.ErrFenced, err)
	}
	return err
}

func (t *cronTurn) Submit(ctx context.Context, c *spec.CronWorkflow, child *cron.Child) error {
	wf := cron.Workflow(c, child.Scheduled.Time())
	wf.Name = child.Name
	return t.store.Submit(ctx, child.ID, wf)
}

func (t *cronTurn) Terminate(ctx context.Context, run string) error {
	err := t.store.Runs.Signal(ctx, run, workflow.Event{Kind: workflow.EventSignal, Signal: workflow.SignalTerminate})
	return unless(err, queue.ErrNotFound, queue.ErrFinished)
}

func (t *cronTurn) Delete(ctx context.Context, run string) error {
	return t.store.Runs.Bar(ctx, run)
}

func (t *cronTurn) Extend(ctx context.Context) error {
	return extend(ctx, t.store.Turns, t.ticket)
}

func (t *cronTurn) Settle(ctx context.Context, next workflow.Millis) error {
	return t.store.Turns.Settle(ctx, t.ticket, queue.Settlement{Next: next, Later: true})
}

// unless is err, or nil if it is one of those that do no harm.
func unless(err error, harmless ...error) error {
	for _, h := range harmless {
		if errors.Is(err, h) {
			return nil
		}
	}
	return err
}
