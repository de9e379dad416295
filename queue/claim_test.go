package queue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/queue"
)

func TestOneCallerTakesRunsForAllThatWait(t *testing.T) {
	each(t, func(w *world) {
		const n = 100
		var want []string
		for i := range n {
			want = append(want, fmt.Sprint("run-", i))
			w.submit(want[i])
		}
		type claim struct {
			ticket *queue.Ticket
			err    error
		}
		claims := make(chan claim)
		for range n {
			go func() {
				ticket, err := w.turns.Claim(w.ctx, time.Minute)
				claims <- claim{ticket, err}
			}()
		}
		var got []string
		for range n {
			c := <-claims
			require.NoError(w.t, c.err)
			require.NotNil(w.t, c.ticket)
			got = append(got, c.ticket.Run)
		}
		require.ElementsMatch(w.t, want, got)
		w.idle()
	})
}

func TestRunsTakenForCallersWhoHaveGoneAreGivenBack(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		turns := w.newTurns()
		ticket, err := turns.Claim(w.ctx, time.Minute)
		require.NoError(w.t, err)
		turns.Leave(ticket)
		require.NoError(w.t, turns.Close())
		require.Equal(w.t, "1", w.claim().Run)
	})
}
