package queue_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/queue"
	"argosy/workflow"
	"argosy/workflow/spec"
)

func TestAnArchivedRunIsBroughtBack(t *testing.T) {
	each(t, func(w *world) {
		a := queue.NewArchive(w.conn)
		w.submit("run")
		loop := workflow.Key("/[1].wide")
		packed, extras := queue.ItemKeys("run", loop)
		records := make([]byte, 70_000*workflow.ItemSize)
		for i := 0; i < len(records); i += workflow.ItemSize {
			records[i] = 0x81
		}
		require.NoError(w.t, w.raw.Set(w.ctx, packed, records, 0).Err())
		require.NoError(w.t, w.raw.HSet(w.ctx, extras, "0", `{}`, "69999", `{"m":"last"}`).Err())
		require.NoError(w.t, w.raw.SAdd(w.ctx, "{r:run}:loops", packed, extras).Err())
		require.NoError(w.t, w.raw.HSet(w.ctx, "{r:run}:hosts", "here", 1).Err())
		w.finish("run", &workflow.Node{Key: leaf, Type: spec.NodeTypePod, Phase: spec.NodeFailed})
		before, err := w.runs.Load(w.ctx, "run", 1000)
		require.NoError(w.t, err)
		table := w.archive(a, "run")
		require.NoError(w.t, w.runs.Delete(w.ctx, "run"))
		open := func() *queue.ArchivedRun {
			r, err := queue.OpenArchived(w.ctx, "run", table)
			require.NoError(w.t, err)
			return r
		}

		// Another has the name for a while.
		other := newRun("other")
		other.Name = before.Run.Name
		require.NoError(w.t, w.runs.Submit(w.ctx, other, []byte(`{"entrypoint":"hello"}`)))
		require.ErrorIs(w.t, w.runs.Restore(w.ctx, open()), queue.ErrExists)
		_, err = w.runs.Head(w.ctx, "run")
		require.ErrorIs(w.t, err, queue.ErrNotFound)
		require.NoError(w.t, w.runs.Delete(w.ctx, "other"))

		// Of several one does it.
		var all sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			all.Go(func() { errs[i] = w.runs.Restore(w.ctx, open()) })
		}
		all.Wait()
		done := 0
		for _, err := range errs {
			if err == nil {
				done++
				continue
			}
			require.ErrorIs(w.t, err, queue.ErrExists)
		}
		require.Equal(w.t, 1, done)
		after, err := w.runs.Load(w.ctx, "run", 1000)
		require.NoError(w.t, err)
		require.Equal(w.t, workflow.ArchivingArchived, after.State.Archiving)
		after.State.Archiving = before.State.Archiving
		require.Equal(w.t, before, after)
		for _, key := range w.keys("{r:run}:*") {
			if key != "{r:run}:restoring" { // of who came too late
				require.Negative(w.t, w.raw.TTL(w.ctx, key).Val(), key)
			}
		}
		require.Equal(w.t, string(records), w.raw.Get(w.ctx, packed).Val())
		require.Equal(w.t, map[string]string{"0": `{}`, "69999": `{"m":"last"}`}, w.raw.HGetAll(w.ctx, extras).Val())
		require.ElementsMatch(w.t, []string{packed, extras}, w.raw.SMembers(w.ctx, "{r:run}:loops").Val())
		id, err := w.runs.RunID(w.ctx, "argo", before.Run.Name)
		require.NoError(w.t, err)
		require.Equal(w.t, "run", id)
		list, _, err := w.runs.List(w.ctx, "argo", queue.ListOptions{Of: queue.Anywhere})
		require.NoError(w.t, err)
		require.Len(w.t, list, 1)
		require.False(w.t, list[0].Archived)

		next, err := after.State.TakeUp(workflow.Again{})
		require.NoError(w.t, err)
		require.NoError(w.t, w.runs.TakeUp(w.ctx, "run", after.Version, &next, nil, after.Digest))
		l := w.begin(w.claim())
		require.Equal(w.t, "run", l.Run.ID)
		require.Empty(w.t, l.State.Archiving)
		require.ErrorIs(w.t, w.runs.Restore(w.ctx, open()), queue.ErrExists, "it is there")
		require.NoError(w.t, w.runs.Delete(w.ctx, "run"))
		require.NoError(w.t, w.raw.Del(w.ctx, "{r:run}:restoring").Err())
		require.Empty(w.t, w.keys("{r:run}:*"))
	})
}
