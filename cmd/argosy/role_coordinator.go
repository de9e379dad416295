package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"argosy/cmd/argosy/internal/join"
	"argosy/coordinator"
	"argosy/queue"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// coordinatorFlags tune a coordinator.
type coordinatorFlags struct {
	pool     string
	parallel int
	inFlight int
	keep     map[string]int
	places   placeFlags
	memoGC   time.Duration
	memoAge  time.Duration
	events   eventFlags
	archive  archiveFlags
}

func (a *app) coordinator() *cobra.Command {
	var common roleFlags
	var f coordinatorFlags
	var defaults defaultsFlag
	cmd := &cobra.Command{
		Use:   "coordinator",
		Short: "Advance workflows and send their steps to the queue",
		Long: `Advance workflows and send their steps to the queue.

Any number of coordinators may run at once; none has a state that another needs.`,
		Args:    cobra.NoArgs,
		Example: examples("argosy coordinator --redis-url redis://redis:6379/0"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := queue.CheckPool(f.pool); err != nil {
				return usagef("--pool: %w", err)
			}
			if err := f.check(); err != nil {
				return err
			}
			r, err := common.open(cmd.Context(), a, "coordinator")
			if err != nil {
				return err
			}
			defer r.close()
			if err := queue.RegisterMetrics(r.registry, queue.NewDemand(r.conn)); err != nil {
				return err
			}
			if err := r.watchRoom(cmd.Context()); err != nil {
				return err
			}
			archiving, err := f.archive.parts(r)
			if err != nil {
				return err
			}
			// What schedules want comes in as if a server had got it.
			s, err := (&serverFlags{defaultsFlag: defaults}).service(r)
			if err != nil {
				return err
			}
			groups, err := f.parts(r, s)
			if err != nil {
				return err
			}
			return runParts(cmd.Context(), append([][]part{r.monitor(), archiving}, groups...)...)
		},
	}
	common.register(cmd.Flags(), ":9090")
	common.registerRoom(cmd.Flags())
	f.archive.store = &storeFlags{}
	f.archive.store.register(cmd.Flags())
	defaults.register(cmd.Flags())
	cmd.Flags().StringVar(&f.pool, "pool", defaultPool, "pool of workers to send steps to")
	f.register(cmd.Flags())
	var cluster clusterFlags
	cluster.register(cmd.Flags())
	f.events.cluster = &cluster
	return cmd
}

const defaultPool = "default"

func (f *coordinatorFlags) register(flags *pflag.FlagSet) {
	flags.IntVar(&f.parallel, "turns", 32, "turns to take at once")
	flags.StringToIntVar(&f.keep, "keep", nil, "how many of the runs that ended are kept, by phase, the oldest going first: Succeeded=100,Failed=20,Error=20; of a phase that is not named all")
	f.places.register(flags)
	f.events.register(flags)
	f.archive.register(flags)
	flags.DurationVar(&f.memoGC, "cache-gc-period", 0, "how often memoized outputs are removed that nobody wanted for long; 0 is never")
	flags.DurationVar(&f.memoAge, "cache-gc-after-not-hit", 30*time.Second, "how long that is")
	flags.IntVar(&f.inFlight, "max-in-flight", 0, "most steps that one run may have on the queue; 0 leaves it to the pool: two for each of its slots, and 16 at least")
}

// check finds what is wrong with the flags.
func (f *coordinatorFlags) check() error {
	for phase, n := range f.keep {
		if !spec.WorkflowPhase(phase).Completed() || n < 0 {
			return usagef("--keep: %s=%d: expected one of Succeeded, Failed and Error, and a number", phase, n)
		}
	}
	if f.memoGC < 0 || f.memoAge <= 0 {
		return usagef("--cache-gc-period and --cache-gc-after-not-hit: expected positive durations")
	}
	if err := f.archive.check(); err != nil {
		return err
	}
	return f.places.check()
}

func (f *coordinatorFlags) retention() map[spec.WorkflowPhase]int {
	keep := map[spec.WorkflowPhase]int{}
	for phase, n := range f.keep {
		keep[spec.WorkflowPhase(phase)] = n
	}
	return keep
}

// parts prepares a coordinator, in groups as runParts wants them: who is told of turns outlives them.
func (f *coordinatorFlags) parts(r *role, s service) ([][]part, error) {
	observers, tellers, err := f.events.events(r)
	if err != nil {
		return nil, err
	}
	observers = append(observers, r.observers()...)
	return [][]part{tellers, {{"coordinator", func(take, work context.Context) error {
		broker := queue.NewAsynq(r.conn)
		defer broker.Close()
		turns := queue.NewTurns(r.conn, broker, queue.TurnOptions{})
		defer turns.Close()
		locks := queue.NewLocks(r.conn)
		if err := f.places.set(take, locks, r.log); err != nil {
			return nil // it is told to stop
		}
		c := coordinator.New(join.Turns{
			Turns: turns, Pools: queue.NewPools(r.conn, nil), Objects: queue.NewObjects(r.conn), Locking: locks, Memos: queue.NewMemos(r.conn), Room: join.Memory{Room: r.room},
			Runs: queue.NewRuns(r.conn), Crons: queue.NewCrons(r.conn), Submit: s.scheduled, Keep: f.retention(), Archive: f.archive.queue(r), Origins: f.archive.origins(r),
		}, coordinator.Config{
			Parallel: f.parallel, Pool: f.pool, Limits: workflow.Limits{InFlight: f.inFlight}, Places: f.places.limits(), Observers: observers, Archive: f.archive.wanted(),
		}, coordinator.NewMetrics(r.registry), r.log)
		return c.Run(take, work)
	}}, {"sweeper of specs", func(take, _ context.Context) error {
		queue.NewRuns(r.conn).KeepSwept(take)
		return nil
	}}, {"sweeper of locks", func(take, _ context.Context) error {
		queue.NewLocks(r.conn).KeepSwept(take)
		return nil
	}}, {"keeper of places", func(take, _ context.Context) error {
		f.places.keep(take, queue.NewLocks(r.conn), r.log)
		return nil
	}}, {"collector of memos", func(take, _ context.Context) error {
		if f.memoGC > 0 {
			queue.NewMemos(r.conn).KeepForgetting(take, f.memoGC, f.memoAge)
		}
		<-take.Done()
		return nil
	}}}}, nil
}
