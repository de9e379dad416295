package queue_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/queue"
)

func TestOwnedRunsAreKnownUntilTheirOwnerHasGone(t *testing.T) {
	each(t, func(w *world) {
		o, began := queue.NewOwned(w.conn), time.UnixMilli(1e12)
		for i := range 1200 { // more than one look has
			require.NoError(w.t, o.Add(w.ctx, queue.OwnedRun{ID: fmt.Sprint(i), Owner: fmt.Sprint(i % 2), Namespace: "ns", Name: "n"}, began))
		}
		sweep := func(after time.Duration, gone string, fails error) (seen int, err error) {
			all := map[string]bool{}
			err = o.Sweep(w.ctx, began.Add(after), func(_ context.Context, r queue.OwnedRun) (bool, error) {
				all[r.ID] = true
				require.Equal(w.t, "ns/n", r.Namespace+"/"+r.Name)
				return r.Owner == gone, fails
			})
			return len(all), err
		}
		for _, c := range []struct {
			after time.Duration
			gone  string
			fails error
			seen  int
		}{
			{time.Second, "0", nil, 1200}, // they may not have come to be
			{time.Hour, "0", errors.New("away"), 1200},
			{time.Hour, "0", nil, 1200},
			{time.Hour, "1", nil, 600},
			{time.Hour, "1", nil, 0},
		} {
			seen, err := sweep(c.after, c.gone, c.fails)
			require.Equal(w.t, c.seen, seen)
			require.ErrorIs(w.t, err, c.fails)
		}
	})
}
