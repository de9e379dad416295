package main

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow/spec"
)

// claimsOf is an executor that keeps a claim for each of some runs.
type claimsOf map[string]bool

func (c claimsOf) SweepVolumes(ctx context.Context, phase func(ctx context.Context, run string) (spec.WorkflowPhase, bool, error)) error {
	for run := range c {
		if _, gone, err := phase(ctx, run); err != nil || gone {
			delete(c, run)
		}
	}
	return nil
}

func TestWhatIsKeptForRunsGoesWithTheProcessThatTheyEndWith(t *testing.T) {
	t.Parallel()
	for alone, kept := range map[bool]int{true: 0, false: 2} {
		claims := claimsOf{"failed": true, "interrupted": true}
		s := &sweepers{alone: alone, log: slog.New(slog.DiscardHandler)}
		take, stop := context.WithCancel(t.Context())
		stop()
		require.NoError(t, s.volumes(claims).run(take, t.Context()))
		require.Len(t, claims, kept)
	}
}
