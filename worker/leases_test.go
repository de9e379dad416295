package worker

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAWorkerAsksTheQueueWhetherAStepStillCounts(t *testing.T) {
	t.Parallel()
	q, d := newFakeQueue(), Delivery{Run: "run", Key: "a", N: 2}
	l := newLeases(q, "w", time.Second, slog.New(slog.DiscardHandler))
	require.NoError(t, l.counts(t.Context(), d))
	for lease, want := range map[Lease]error{LeaseHeld: nil, LeaseCancelled: nil, LeaseServes: nil, LeaseLost: ErrSuperseded, LeaseOver: ErrSuperseded} {
		q.lease[d] = lease
		require.ErrorIs(t, l.counts(t.Context(), d), want, "%d", lease)
	}
	q.down = true
	require.ErrorIs(t, l.counts(t.Context(), d), errDown)
}
