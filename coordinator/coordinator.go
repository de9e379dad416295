package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"argosy/workflow"
)

// Config tunes a coordinator; zero values mean the defaults.
type Config struct {
	Parallel int    // turns at once: 32
	Pool     string // where steps are sent: "default"
	Plans    int    // compiled specs to keep: 256
	MaxLost  int    // workers that may die with a step before it is given up as poison: 5
	// MinCredit is what a run may have in flight in a pool that has few slots, or none yet, so
	// that what is queued there has workers started: 16.
	MinCredit int
	// Renew is how often the leases of turns are renewed that take long: 1 s.
	Renew time.Duration
	// Limits bound a turn; a run's credit may bound InFlight further, and Slots are the pool's.
	Limits workflow.Limits
	// Places bound how many runs may be under way at once, and are to be the store's.
	Places Places
	// Observers are told what turns changed.
	Observers []Observer
	// Archive says of a run that has ended whether it is to be archived; nil archives none.
	Archive func(run *workflow.Run, state *workflow.State) bool
}

// Places bound how many runs may be under way at once; 0 is no bound.
type Places struct {
	All  int
	Each int            // in a namespace
	Of   map[string]int // in these namespaces, in place of Each
}

// bound says that a namespace's runs need a place to begin.
func (p Places) bound(namespace string) bool {
	most, own := p.Of[namespace]
	if !own {
		most = p.Each
	}
	return p.All > 0 || most > 0
}

// Coordinator takes turns.
type Coordinator struct {
	store   Store
	config  Config
	plans   *plans
	metrics *Metrics
	log     *slog.Logger
	held    atomic.Bool // nothing new is started

	mu       sync.Mutex
	underWay map[Claimed]bool // whether Renew has seen it
}

// New makes a coordinator over a store.
func New(s Store, c Config, m *Metrics, log *slog.Logger) *Coordinator {
	if c.Parallel == 0 {
		c.Parallel = 32
	}
	if c.Pool == "" {
		c.Pool = "default"
	}
	if c.Plans == 0 {
		c.Plans = 256
	}
	if c.MaxLost == 0 {
		c.MaxLost = 5
	}
	if c.MinCredit == 0 {
		c.MinCredit = 16
	}
	if c.Renew == 0 {
		c.Renew = time.Second
	}
	return &Coordinator{
		store: s, config: c, plans: newPlans(s, c.Plans), metrics: m, log: log, underWay: map[Claimed]bool{},
	}
}

const (
	claimWait  = 2 * time.Second
	minBackoff = 50 * time.Millisecond
	maxBackoff = 2 * time.Second
)

// Run takes turns until take ends; turns under way are finished under work. It returns nil
// then, and does not give up while the store is away.
func (c *Coordinator) Run(take, work context.Context) error {
	var g errgroup.Group
	for range c.config.Parallel {
		g.Go(func() error {
			c.loop(take, work)
			return nil
		})
	}
	ended := make(chan struct{})
	var renewing sync.WaitGroup
	renewing.Go(func() { c.keep(work, ended) })
	defer renewing.Wait()
	defer close(ended)
	return g.Wait()
}

// keep renews leases until no turn is under way any more.
func (c *Coordinator) keep(ctx context.Context, ended <-chan struct{}) {
	tick := time.NewTicker(c.config.Renew)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
			c.Renew(ctx)
		}
	}
}

// Renew renews the leases of the turns that were under way at the last call already: else a
// turn that takes longer than its lease would be taken again and again, and never end. Run
// does so all the time.
func (c *Coordinator) Renew(ctx context.Context) {
	c.mu.Lock()
	var long []Claimed
	for t, seen := range c.underWay {
		if seen {
			long = append(long, t)
		}
		c.underWay[t] = true
	}
	c.mu.Unlock()
	for _, t := range long {
		switch err := t.Extend(ctx); {
		case errors.Is(err, ErrFenced): // its commit will say so
		case err != nil:
			c.log.Debug("leases of turns cannot be renewed", "hop", "advance", "turns", len(long), "error", err)
			return
		}
	}
}

// loop takes one turn after another, more slowly while they fail.
func (c *Coordinator) loop(take, work context.Context) {
	backoff := time.Duration(0)
	for take.Err() == nil {
		if err := c.Step(take, work); err == nil || take.Err() != nil {
			backoff = 0
			continue
		} else if backoff == 0 {
			// Once for a row of failures: the store may be away for a while.
			c.log.Warn("a turn failed; it will be taken again", "hop", "advance", "error", err)
		}
		backoff = min(max(2*backoff, minBackoff), maxBackoff)
		select {
		case <-take.Done():
		case <-time.After(backoff):
		}
	}
}

// Step claims one run and takes its turn, or returns when none came due for a while.
func (c *Coordinator) Step(take, work context.Context) error {
	t, err := c.store.Claim(take, claimWait)
	if err != nil {
		return fmt.Errorf("claiming a run: %w", err)
	}
	if t == nil {
		return nil
	}
	c.metrics.claims.Inc()
	started := time.Now()
	c.mu.Lock()
	c.underWay[t] = false
	c.mu.Unlock()
	var outcome string
	switch t := t.(type) {
	case Turn:
		outcome, err = c.turn(work, t)
	case CronTurn:
		outcome, err = c.cronTurn(work, t)
	}
	c.mu.Lock()
	delete(c.underWay, t)
	c.mu.Unlock()
	c.metrics.turns.WithLabelValues(outcome).Inc()
	c.metrics.duration.Observe(time.Since(started).Seconds())
	return err
}

// turn takes one turn and names its outcome.
func (c *Coordinator) turn(ctx context.Context, t Turn) (string, error) {
	l, err := t.Begin(ctx)
	switch {
	case errors.Is(err, ErrGone):
		return "gone", nil
	case err != nil:
		return "failed", fmt.Errorf("beginning a turn: %w", err)
	}
	commit, err := c.decide(ctx, t, l)
	if err != nil {
		return "failed", fmt.Errorf("advancing run %s: %w", l.Run.ID, err)
	}
	out, outcome := l.Out, "idle"
	if commit != nil {
		if commit.State.Finished != 0 && c.config.Archive != nil && c.config.Archive(l.Run, commit.State) {
			commit.State.Archiving = workflow.ArchivingPending
		}
		if len(commit.Saves) > 0 {
			err = t.Save(ctx, commit.Saves)
		}
		for _, k := range commit.Copy {
			if err == nil {
				err = t.Copy(ctx, l.Run.From.ID, k)
			}
		}
		for _, r := range commit.Reopen {
			if err == nil {
				err = t.Reopen(ctx, r)
			}
		}
		if err == nil {
			out, err = t.Commit(ctx, commit)
		}
		switch {
		case errors.Is(err, ErrFenced):
			return "fenced", nil
		case err != nil:
			return "failed", fmt.Errorf("committing a turn of run %s: %w", l.Run.ID, err)
		}
		outcome = "committed"
		c.tell(l, commit)
		c.observe(l, commit)
	}
	c.metrics.custom.seen(l.Run.ID, commit != nil && commit.State.Finished != 0)
	if len(out) > 0 {
		if err := t.Dispatch(ctx, out); err != nil {
			return "failed", fmt.Errorf("dispatching for run %s: %w", l.Run.ID, err)
		}
		for _, d := range out {
			c.metrics.dispatched.WithLabelValues(d.Pool, d.Class.String()).Inc()
		}
		c.log.Debug("dispatched", "hop", "dispatch", "run", l.Run.Name, "tasks", len(out))
	}
	switch err := t.Order(ctx); {
	case errors.Is(err, ErrFenced):
		return "fenced", nil
	case err != nil:
		return "failed", fmt.Errorf("doing what run %s ordered: %w", l.Run.ID, err)
	}
	if err := t.Settle(ctx, Settlement{Sent: len(out), Waiting: c.waiting(l, commit), Again: again(l, commit)}); err != nil {
		return "failed", fmt.Errorf("settling run %s: %w", l.Run.ID, err)
	}
	return outcome, nil
}

// tell counts and logs what a commit changed.
func (c *Coordinator) tell(l *Loaded, commit *Commit) {
	log := c.log.With("hop", "commit", "run", l.Run.Name, "namespace", l.Run.Namespace)
	if err := c.metrics.custom.take(l.Run.ID, commit.Metrics); err != nil {
		log.Warn("metrics of the run are left out", "error", err)
	}
	log.Debug("committed", "events", len(l.Events), "nodes", len(commit.Nodes), "send", len(commit.Send))
	if l.State.Phase == "" {
		log.Info("run started")
	}
	if s := commit.State; s.Finished != 0 {
		c.metrics.finished.WithLabelValues(string(s.Phase)).Inc()
		log.Info("run finished", "phase", s.Phase, "message", s.Message, "steps", s.Done)
	}
}
