package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/spf13/pflag"

	"argosy/coordinator"
	"argosy/queue"
)

// placeFlags bound how many workflows may be under way at once.
type placeFlags struct {
	all, each int
	of        map[string]int
}

func (f *placeFlags) register(flags *pflag.FlagSet) {
	flags.IntVar(&f.all, "parallelism", 0, "how many workflows may be under way at once, all others Pending; 0 is no bound; to be the same for all coordinators: what was said last counts")
	flags.IntVar(&f.each, "namespace-parallelism", 0, "the same for those of each namespace")
	flags.StringToIntVar(&f.of, "namespace-parallelism-of", nil, "the same for some namespaces, in place of --namespace-parallelism: team-a=20,team-b=5")
}

func (f *placeFlags) check() error {
	if f.all < 0 || f.each < 0 {
		return usagef("--parallelism and --namespace-parallelism: expected a number that is not negative")
	}
	for namespace, n := range f.of {
		if n < 0 {
			return usagef("--namespace-parallelism-of: %s=%d: expected a number that is not negative", namespace, n)
		}
	}
	return nil
}

func (f *placeFlags) limits() coordinator.Places {
	return coordinator.Places{All: f.all, Each: f.each, Of: f.of}
}

// keep tells Redis again and again: it may lose what it was told last.
func (f *placeFlags) keep(ctx context.Context, locks *queue.Locks, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(placesEvery):
		}
		if f.set(ctx, locks, log) != nil {
			return
		}
	}
}

const placesEvery = 30 * time.Second

// set tells Redis of the limits, and does not give up while it is away. An error is that ctx has
// ended.
func (f *placeFlags) set(ctx context.Context, locks *queue.Locks, log *slog.Logger) error {
	for {
		err := locks.SetPlaces(ctx, queue.PlaceLimits{All: f.all, Each: f.each, Of: f.of})
		if err == nil {
			return nil
		}
		log.Warn("how many workflows may be under way cannot be said yet", "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}
