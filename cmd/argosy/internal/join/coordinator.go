package join

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"argosy/coordinator"
	"argosy/queue"
	"argosy/workflow"
	"argosy/workflow/cron"
	"argosy/workflow/spec"
)

// Turns lets a coordinator take its turns in the queue.
type Turns struct {
	*queue.Turns
	*queue.Pools
	Room
	Objects *queue.Objects
	Runs    *queue.Runs
	Crons   *queue.Crons
	Submit  Submit
	// Keep is how many runs are kept of those that ended in a phase; a phase that is not in it
	// has no bound.
	Keep    map[spec.WorkflowPhase]int
	Locking *queue.Locks
	Memos   *queue.Memos
	Archive *queue.Archive // nil: no run is archived
	// Origins opens runs that others take over, and that are in the archive only: queue.ErrNotFound.
	// It may be nil.
	Origins func(ctx context.Context, run string) (*queue.ArchivedRun, error)
}

// Submit starts what a CronWorkflow wants, once for an id:
// *coordinator.RefusedError, coordinator.ErrNoRoom.
type Submit func(ctx context.Context, id string, wf *spec.Workflow) error

// Room says that Redis has little room left.
type Room interface {
	Tight(ctx context.Context) (bool, error)
}

// Memory is the Room of a real Redis.
type Memory struct{ *queue.Room }

// Tight is part of Room.
func (m Memory) Tight(ctx context.Context) (bool, error) {
	f, err := m.Fill(ctx)
	return f.Tight(), err
}

// ConfigMap is part of coordinator.Store.
func (s Turns) ConfigMap(ctx context.Context, namespace, name string) (*workflow.ConfigMap, error) {
	o, err := s.Objects.Get(ctx, spec.KindConfigMap, namespace, name)
	if errors.Is(err, queue.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := workflow.DecodeConfigMap(o.JSON)
	if err != nil {
		return nil, err
	}
	m.Version = o.Version
	return m, nil
}

// SyncLimit is part of coordinator.Store.
func (s Turns) SyncLimit(ctx context.Context, namespace, key string) (*workflow.SyncLimit, error) {
	o, err := s.Objects.Get(ctx, workflow.KindSyncLimit, namespace, key)
	if errors.Is(err, queue.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return workflow.DecodeSyncLimit(o.JSON, o.Version)
}

// Claim is part of coordinator.Store.
func (s Turns) Claim(ctx context.Context, wait time.Duration) (coordinator.Claimed, error) {
	ticket, err := s.Turns.Claim(ctx, wait)
	if ticket == nil || err != nil {
		return nil, err
	}
	if namespace, name, ok := ticket.Cron(); ok {
		return &cronTurn{store: s, ticket: ticket, namespace: namespace, name: name}, nil
	}
	return &turn{turns: s.Turns, locking: s.Locking, memos: s.Memos, runs: s.Runs, keep: s.Keep, archive: s.Archive, origins: s.Origins, ticket: ticket}, nil
}

// turn is one claimed run, from Begin to Settle.
type turn struct {
	turns   *queue.Turns
	runs    *queue.Runs
	keep    map[spec.WorkflowPhase]int
	archive *queue.Archive
	origins func(ctx context.Context, run string) (*queue.ArchivedRun, error)
	origin  *queue.ArchivedRun // that was opened
	ticket  *queue.Ticket
	loaded  *queue.Loaded
	next    workflow.Millis // what to settle with
	ended   bool
	state   *workflow.State // as it was committed
	cron    string          // the CronWorkflow to tell that the run has ended
	version int64           // of the run, as this turn left it
	locking *queue.Locks
	memos   *queue.Memos
	locks   []*workflow.Orders      // not done yet, as far as is known
	told    []workflow.Event        // what came of them for the run itself
	ordered int                     // calls about locks and its place
	drop    bool                    // the run has ended, and had locks
	sent    map[queue.Delivery]bool // with the commit
}

func (t *turn) Begin(ctx context.Context) (*coordinator.Loaded, error) {
	l, err := t.turns.Begin(ctx, t.ticket)
	if errors.Is(err, queue.ErrExpired) {
		err = t.expire(ctx)
	}
	if errors.Is(err, queue.ErrFinished) {
		if err := t.leave(ctx); err != nil {
			return nil, err
		}
	}
	if errors.Is(err, queue.ErrNotFound) || errors.Is(err, queue.ErrFinished) {
		return nil, fmt.Errorf("%w: %w", coordinator.ErrGone, err)
	}
	if err != nil {
		return nil, err
	}
	t.loaded, t.next, t.locks, t.version = l, l.Next, l.Orders, l.Version
	lost := make([]coordinator.Lost, len(l.Lost))
	for i, d := range l.Lost {
		lost[i] = coordinator.Lost{Delivery: fromQueue(d.Delivery), Worker: d.Worker}
	}
	return &coordinator.Loaded{
		Run: l.Run, Digest: l.Digest, State: l.State, Now: l.Now, Events: l.Events, Unread: l.Unread,
		Nodes: l.Nodes, Complete: l.Complete, Lost: lost, Out: allFromQueue(l.Out),
	}, nil
}

// leave ends the turn of a run that has ended. Whoever ended it may have died before it did what
// follows from that.
func (t *turn) leave(ctx context.Context) error {
	if len(t.keep) > 0 || t.archive != nil {
		head, err := t.runs.Head(ctx, t.ticket.Run)
		if err == nil {
			err = t.want(ctx, &head.State)
		}
		if err == nil {
			err = t.retain(ctx, &head.State)
		}
		if err := unless(err, queue.ErrNotFound); err != nil {
			return err
		}
	}
	return t.turns.LeaveEnded(ctx, t.ticket)
}

// expiredAgain is when a run whose time has come is looked at again, if it is still there: its
// artifacts go before it.
const expiredAgain = 30 * time.Second

// expire deletes a run whose time has come.
func (t *turn) expire(ctx context.Context) error {
	now, err := t.runs.Expire(ctx, t.ticket.Run)
	if err != nil {
		return err
	}
	s := queue.Settlement{Next: 1} // it was taken up again
	if now > 0 {
		s = queue.Settlement{Next: now + workflow.Millis(expiredAgain.Milliseconds()), Later: true}
	}
	if err := t.turns.Settle(ctx, t.ticket, s); err != nil {
		return err
	}
	return fmt.Errorf("it was deleted by its ttlStrategy: %w", queue.ErrNotFound)
}

func (t *turn) Nodes(ctx context.Context, keys []workflow.Key) (map[workflow.Key]*workflow.Node, error) {
	return t.turns.Nodes(ctx, t.ticket.Run, keys)
}

func (t *turn) Whole(ctx context.Context) (map[workflow.Key]*workflow.Node, error) {
	return t.turns.Whole(ctx, t.ticket.Run)
}

func (t *turn) Outputs(ctx context.Context, loop workflow.Key) (map[int][]byte, error) {
	if from := t.loaded.Run.From; from != nil && t.loaded.State.Phase == "" {
		if t.origin != nil {
			return t.origin.Outputs(ctx, loop)
		}
		return t.turns.Outputs(ctx, from.ID, loop) // they are taken over with this turn's commit
	}
	return t.turns.Outputs(ctx, t.ticket.Run, loop)
}

func (t *turn) Commit(ctx context.Context, c *coordinator.Commit) ([]coordinator.Delivery, error) {
	done, err := t.turns.Commit(ctx, t.loaded, &queue.Commit{
		State: c.State, Nodes: c.Nodes, Gone: c.Gone, Send: toQueue(c.Send), Drop: c.Drop,
		Timers: c.Timers, Cancel: (*queue.Cancel)(c.Cancel), Late: c.Late, End: c.End, Orders: c.Orders, More: c.More, Expires: c.Expires, Wipe: c.Wipe, Forget: c.Forget,
	})
	if errors.Is(err, queue.ErrFenced) {
		return nil, fmt.Errorf("%w: %w", coordinator.ErrFenced, err)
	}
	if err != nil {
		return nil, err
	}
	t.sent, t.version = done.Sent, done.Version
	t.next, t.locks, t.drop = done.Next, done.Orders, c.State.Finished != 0 && c.State.Locked
	t.state = c.State
	t.ended = c.State.Finished != 0
	if name := t.loaded.Run.Labels[cron.LabelCronWorkflow]; name != "" && t.ended {
		t.cron = queue.CronID(t.loaded.Run.Namespace, name)
	}
	return allFromQueue(done.Out), nil
}

func (t *turn) From(ctx context.Context, run string) (map[workflow.Key]*workflow.Node, error) {
	nodes, err := t.turns.Whole(ctx, run)
	if err != nil || len(nodes) > 0 || t.origins == nil {
		return nodes, err
	}
	t.origin, err = t.origins(ctx, run)
	if errors.Is(err, queue.ErrNotFound) {
		return nodes, nil
	}
	if err != nil {
		return nil, err
	}
	return t.origin.Whole(ctx)
}

func (t *turn) Copy(ctx context.Context, from string, c workflow.Copy) error {
	err := t.turns.Copy(ctx, t.loaded, from, t.origin, c)
	if errors.Is(err, queue.ErrFenced) {
		return fmt.Errorf("%w: %w", coordinator.ErrFenced, err)
	}
	return err
}

func (t *turn) Reopen(ctx context.Context, r workflow.Reopen) error {
	err := t.turns.Reopen(ctx, t.loaded, r)
	if errors.Is(err, queue.ErrFenced) {
		return fmt.Errorf("%w: %w", coordinator.ErrFenced, err)
	}
	return err
}

func (t *turn) Dispatch(ctx context.Context, d []coordinator.Delivery) error {
	return t.turns.Dispatch(ctx, slices.DeleteFunc(toQueue(d), func(d queue.Delivery) bool { return t.sent[d] }))
}

func (t *turn) Order(ctx context.Context) error {
	if t.drop {
		return t.locking.Drop(ctx, t.ticket.Run)
	}
	ordering := queue.Ordering{Token: t.loaded.Token, Version: t.version}
	defer func() { t.ordered = ordering.Done }()
	for _, o := range workflow.Standing(t.locks) {
		err := t.locking.Do(ctx, t.loaded.Run, &ordering, o)
		if errors.Is(err, queue.ErrFenced) {
			return fmt.Errorf("%w: %w", coordinator.ErrFenced, err)
		}
		if err != nil {
			return err
		}
		told, err := t.memos.Load(ctx, t.loaded.Run, o.Memos)
		if err != nil {
			return err
		}
		t.told = append(t.told, told...)
	}
	return nil
}

func (t *turn) Save(ctx context.Context, saves []workflow.MemoSave) error {
	return t.memos.Save(ctx, t.loaded.Run.Namespace, saves)
}

func (t *turn) Extend(ctx context.Context) error { return extend(ctx, t.turns, t.ticket) }

func extend(ctx context.Context, turns *queue.Turns, ticket *queue.Ticket) error {
	err := turns.Extend(ctx, ticket)
	if errors.Is(err, queue.ErrFenced) {
		return fmt.Errorf("%w: %w", coordinator.ErrFenced, err)
	}
	return err
}

// want has a run archived that is to be, before anything deletes it.
func (t *turn) want(ctx context.Context, s *workflow.State) error {
	if t.archive == nil || s.Archiving != workflow.ArchivingPending {
		return nil
	}
	return t.archive.Want(ctx, t.ticket.Run)
}

// retain deletes runs that are too many beside one that has ended.
func (t *turn) retain(ctx context.Context, s *workflow.State) error {
	keep, bounded := t.keep[s.Phase]
	if !bounded {
		return nil
	}
	return t.runs.Retain(ctx, t.ticket.Run, s.Phase, s.Finished, keep)
}

func (t *turn) Settle(ctx context.Context, s coordinator.Settlement) error {
	if s.Again > 0 {
		if at := t.loaded.Now + workflow.Millis(s.Again.Milliseconds()); t.next == 0 || t.next > at {
			t.next = at
		}
	}
	if t.ended {
		if err := t.want(ctx, t.state); err != nil {
			return err
		}
		if err := t.retain(ctx, t.state); err != nil {
			return err
		}
		if e := t.state.Estimate(t.loaded.Run); e != nil {
			if err := t.runs.KeepEstimate(ctx, t.loaded.Run, e); err != nil {
				return err
			}
		}
	}
	return t.turns.Settle(ctx, t.ticket, queue.Settlement{
		Next: t.next, Token: t.loaded.Token, Sent: s.Sent + len(t.locks), Ordered: t.ordered, Told: t.told, Later: t.ended, Rests: t.next == 0 && !t.ended, Cron: t.cron, Waiting: (*queue.Waiting)(s.Waiting),
	})
}

// The classes of both sides are in the same order.

func toQueue(in []coordinator.Delivery) []queue.Delivery {
	out := make([]queue.Delivery, len(in))
	for i, d := range in {
		out[i] = queue.Delivery{Run: d.Run, Key: d.Key, Number: d.Number, Pool: d.Pool, Class: queue.Classes()[d.Class-coordinator.ClassHigh]}
	}
	return out
}

func fromQueue(d queue.Delivery) coordinator.Delivery {
	class := coordinator.ClassHigh + coordinator.Class(slices.Index(queue.Classes(), d.Class))
	return coordinator.Delivery{Run: d.Run, Key: d.Key, Number: d.Number, Pool: d.Pool, Class: class}
}

func allFromQueue(in []queue.Delivery) []coordinator.Delivery {
	out := make([]coordinator.Delivery, len(in))
	for i, d := range in {
		out[i] = fromQueue(d)
	}
	return out
}
