package queue_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"argosy/queue"
)

func TestATurnIsExtended(t *testing.T) {
	const until = 60_000 // ms after the claim, as its lease has it
	for name, tt := range map[string]struct {
		answer  string       // "lost": of the first extension
		score   func() int64 // that the run is due by meanwhile, in ms after the claim; nil: as it is
		want    int64
		settled bool
	}{
		"once more":                 {want: until + 50_000, settled: true},
		"its answer was lost":       {answer: "lost", score: func() int64 { return until + 40_000 }, want: until + 40_000, settled: true},
		"it did not come through":   {answer: "lost", want: until + 40_000, settled: true},
		"another has taken it":      {score: func() int64 { return until + 70_000 }},
		"it was taken, and is done": {score: func() int64 { return 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(w *world) {
				now := time.Now()
				turns := queue.NewTurns(w.conn, w.broker, queue.TurnOptions{Lease: time.Minute, Now: func() time.Time { return now }})
				t.Cleanup(func() { turns.Close() })
				w.submit("1")
				ticket, err := turns.Claim(w.ctx, time.Minute)
				require.NoError(t, err)
				due := w.keys("due:*")[0]
				first := int64(w.raw.ZScore(w.ctx, due, "1").Val()) - until
				now = now.Add(40 * time.Second)
				ctx, lose := context.WithCancel(w.ctx)
				if tt.answer == "lost" {
					lose()
					require.Error(t, turns.Extend(ctx, ticket))
				} else {
					require.NoError(t, turns.Extend(ctx, ticket))
					lose()
				}
				if tt.score != nil {
					require.NoError(t, w.raw.ZAdd(w.ctx, due, redis.Z{Score: float64(first + tt.score()), Member: "1"}).Err())
				}
				now = now.Add(10 * time.Second)
				err = turns.Extend(w.ctx, ticket)
				if tt.want == 0 {
					require.ErrorIs(t, err, queue.ErrFenced)
				} else {
					require.NoError(t, err)
					require.Equal(t, first+tt.want, int64(w.raw.ZScore(w.ctx, due, "1").Val()))
				}
				require.NoError(t, turns.Settle(w.ctx, ticket, queue.Settlement{}))
				require.Equal(t, tt.settled, errors.Is(w.raw.ZScore(w.ctx, due, "1").Err(), redis.Nil))
			})
		})
	}
}
