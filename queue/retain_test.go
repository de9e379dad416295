package queue_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/queue"
	"argosy/workflow"
	"argosy/workflow/spec"
)

func TestTheNewestRunsOfAPhaseAreKept(t *testing.T) {
	each(t, func(w *world) {
		end := func(id string, phase spec.WorkflowPhase, at workflow.Millis, keep int) {
			w.submit(id)
			ticket := w.claim()
			l := w.begin(ticket)
			w.commit(l, &queue.Commit{State: &workflow.State{Phase: phase, Finished: at}})
			require.NoError(w.t, w.turns.Settle(w.ctx, ticket, queue.Settlement{}))
			require.NoError(w.t, w.runs.Retain(w.ctx, id, phase, at, keep))
			require.NoError(w.t, w.runs.Retain(w.ctx, id, phase, at, keep), "it is repeated")
		}
		left := func(want ...string) {
			for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
				_, err := w.runs.Head(w.ctx, id)
				if found := err == nil; found {
					require.Contains(w.t, want, id)
				} else {
					require.NotContains(w.t, want, id)
				}
			}
		}
		end("a", spec.WorkflowSucceeded, 1, 2)
		end("b", spec.WorkflowSucceeded, 2, 2)
		end("c", spec.WorkflowFailed, 1, 1)
		left("a", "b", "c")
		end("d", spec.WorkflowSucceeded, 3, 2)
		left("b", "c", "d")

		// What was deleted otherwise is not one of those that are kept.
		require.NoError(w.t, w.runs.Delete(w.ctx, "d"))
		end("e", spec.WorkflowSucceeded, 4, 2)
		left("b", "c", "e")
		end("f", spec.WorkflowFailed, 5, 0)
		left("b", "e")
		w.idle()
	})
}
