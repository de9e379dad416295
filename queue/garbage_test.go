package queue_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/queue"
	"argosy/workflow"
)

func TestRunsWithArtifactsToDeleteAreLookedAt(t *testing.T) {
	each(t, func(w *world) {
		g := queue.NewGarbage(w.conn)
		submit := func(id, gc string) {
			text := `{"spec": {"entrypoint": "main", ` + gc + `"templates": [{"name": "main", "steps": []}]}}`
			require.NoError(w.t, w.runs.Submit(w.ctx, &workflow.Run{ID: id, Name: "run-" + id, Namespace: "default"}, []byte(text)))
		}
		take := func() map[string]bool {
			runs, err := g.Take(w.ctx, 10, time.Hour, 0)
			require.NoError(w.t, err)
			return runs
		}
		submit("none", "")
		submit("never", `"artifactGC": {"strategy": "Never"}, `)
		submit("ends", `"artifactGC": {"strategy": "OnWorkflowCompletion"}, `)
		submit("goes", `"artifactGC": {"strategy": "OnWorkflowDeletion"}, `)
		require.Equal(w.t, map[string]bool{"ends": false}, take())
		require.Empty(w.t, take(), "another has taken it")
		early, err := g.Take(w.ctx, 10, time.Hour, 2*time.Hour)
		require.NoError(w.t, err)
		require.Equal(w.t, map[string]bool{"ends": false}, early, "nobody may look again")
		require.NoError(w.t, g.Later(w.ctx, "ends", 0))
		require.Equal(w.t, map[string]bool{"ends": false}, take())
		require.NoError(w.t, g.Done(w.ctx, "ends"))

		for range 2 { // it may be asked for again
			require.NoError(w.t, w.runs.Delete(w.ctx, "goes"))
			_, err := w.runs.Head(w.ctx, "goes")
			require.NoError(w.t, err, "it went before its artifacts")
		}
		require.Equal(w.t, map[string]bool{"goes": true}, take())
		require.NoError(w.t, w.runs.Remove(w.ctx, "goes"))
		_, err = w.runs.Head(w.ctx, "goes")
		require.ErrorIs(w.t, err, queue.ErrNotFound)
		require.NoError(w.t, g.Later(w.ctx, "unrelated", 0))
		require.Equal(w.t, map[string]bool{"unrelated": false}, take(), "a run that was removed is looked at")

		for _, id := range []string{"none", "never", "ends"} {
			require.NoError(w.t, w.runs.Delete(w.ctx, id))
			_, err := w.runs.Head(w.ctx, id)
			require.ErrorIs(w.t, err, queue.ErrNotFound)
		}
	})
}
