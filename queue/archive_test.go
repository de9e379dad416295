package queue_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/queue"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// memoryTable is an archive's file in memory.
type memoryTable map[string][]byte

func (m memoryTable) Get(_ context.Context, keys ...string) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, k := range keys {
		if v, ok := m[k]; ok {
			out[k] = v
		}
	}
	return out, nil
}

func (m memoryTable) Below(_ context.Context, prefix string, each func(string, []byte) error) error {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if strings.HasPrefix(k, prefix) {
			if err := each(k, m[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

// endPending ends a run that is to be archived, with some nodes.
func (w *world) endPending(id string, nodes ...*workflow.Node) {
	w.t.Helper()
	w.submit(id)
	w.finish(id, nodes...)
}

func (w *world) finish(id string, nodes ...*workflow.Node) {
	w.t.Helper()
	ticket := w.claim()
	require.Equal(w.t, id, ticket.Run)
	l := w.begin(ticket)
	w.commit(l, &queue.Commit{Nodes: nodes, State: &workflow.State{Phase: spec.WorkflowFailed, Finished: 2_000_000, Archiving: workflow.ArchivingPending}})
	require.NoError(w.t, w.turns.Settle(w.ctx, ticket, queue.Settlement{}))
}

func (w *world) dump(a *queue.Archive, id string) (*queue.Dumped, memoryTable) {
	w.t.Helper()
	table := memoryTable{}
	d, err := a.Dump(w.ctx, id, func(key string, value []byte) error { table[key] = value; return nil })
	require.NoError(w.t, err)
	return d, table
}

// archive does what an archiver does.
func (w *world) archive(a *queue.Archive, id string) memoryTable {
	w.t.Helper()
	d, table := w.dump(a, id)
	require.NoError(w.t, a.Keep(w.ctx, d.Snapshot, map[string]string{"of": id, "team": "ships"}))
	require.NoError(w.t, a.Archived(w.ctx, d))
	require.NoError(w.t, a.Dismiss(w.ctx, id))
	return table
}

func (w *world) taken(a *queue.Archive) []string {
	w.t.Helper()
	runs, err := a.Take(w.ctx, 10, time.Hour)
	require.NoError(w.t, err)
	slices.Sort(runs)
	return runs
}

func TestARunIsDeletedAfterItIsArchived(t *testing.T) {
	each(t, func(w *world) {
		a := queue.NewArchive(w.conn)
		for _, id := range []string{"early", "late", "never"} {
			w.endPending(id)
		}
		require.NoError(w.t, a.Want(w.ctx, "never"))
		for range 2 { // it may be asked for again
			require.NoError(w.t, w.runs.Delete(w.ctx, "early"))
			require.NoError(w.t, w.runs.Remove(w.ctx, "early"))
		}
		require.Equal(w.t, []string{"early", "never"}, w.taken(a), "a deletion alone has it archived")
		require.Empty(w.t, w.taken(a), "another has taken them")
		s, err := w.runs.Head(w.ctx, "early")
		require.NoError(w.t, err)
		require.Equal(w.t, workflow.ArchivingPending, s.State.Archiving)
		require.Error(w.t, w.runs.TakeUp(w.ctx, "early", s.Version, &workflow.State{Phase: spec.WorkflowRunning}, nil, s.Digest), "it is about to go")

		for _, id := range []string{"early", "late"} {
			w.archive(a, id)
		}
		_, err = w.runs.Head(w.ctx, "early")
		require.ErrorIs(w.t, err, queue.ErrNotFound)
		s, err = w.runs.Head(w.ctx, "late")
		require.NoError(w.t, err)
		require.Equal(w.t, workflow.ArchivingArchived, s.State.Archiving)
		require.NoError(w.t, w.runs.Delete(w.ctx, "late"))
		require.NoError(w.t, w.runs.Discard(w.ctx, "never"), "with force")
		for _, id := range []string{"late", "never"} {
			_, err = w.runs.Head(w.ctx, id)
			require.ErrorIs(w.t, err, queue.ErrNotFound)
		}
		require.False(w.t, w.raw.Exists(w.ctx, "{archive}:due").Val() == 1, "nobody has to archive anything")
	})
}

func TestWhatHappensWhileARunIsArchivedIsNotLost(t *testing.T) {
	each(t, func(w *world) {
		a := queue.NewArchive(w.conn)
		w.endPending("again")
		d, _ := w.dump(a, "again")
		s, err := w.runs.Head(w.ctx, "again")
		require.NoError(w.t, err)
		next, err := s.State.TakeUp(workflow.Again{})
		require.NoError(w.t, err)
		require.NoError(w.t, w.runs.TakeUp(w.ctx, "again", s.Version, &next, nil, s.Digest))
		require.ErrorIs(w.t, a.Archived(w.ctx, d), queue.ErrConflict)
		w.finish("again")
		require.NoError(w.t, a.Dismiss(w.ctx, "again"))
		require.Equal(w.t, []string{"again"}, w.taken(a), "it has ended another time")

		// Whoever notes that a run is archived may die before it removes it.
		d, _ = w.dump(a, "again")
		require.NoError(w.t, w.runs.Delete(w.ctx, "again"))
		require.NoError(w.t, a.Archived(w.ctx, d))
		require.NoError(w.t, a.Archived(w.ctx, d), "an answer was lost")
		d, table := w.dump(a, "again")
		require.Equal(w.t, workflow.ArchivingArchived, d.State.Archiving)
		require.Empty(w.t, table)
		require.NoError(w.t, a.Dismiss(w.ctx, "again"))
		_, err = w.runs.Head(w.ctx, "again")
		require.ErrorIs(w.t, err, queue.ErrNotFound)
		require.NoError(w.t, a.Want(w.ctx, "again"))
		_, err = a.Dump(w.ctx, "again", nil)
		require.ErrorIs(w.t, err, queue.ErrNotFound)
		require.NoError(w.t, a.Dismiss(w.ctx, "again"))
		require.Empty(w.t, w.taken(a))
	})
}

func TestArtifactsOfARunThatIsArchivedGoBeforeIt(t *testing.T) {
	each(t, func(w *world) {
		a := queue.NewArchive(w.conn)
		text := `{"spec": {"entrypoint": "main", "artifactGC": {"strategy": "OnWorkflowDeletion"}, "templates": [{"name": "main", "steps": []}]}}`
		for _, id := range []string{"one", "two"} {
			require.NoError(w.t, w.runs.Submit(w.ctx, newRun(id), []byte(text)))
			w.finish(id)
			require.NoError(w.t, w.runs.Delete(w.ctx, id))
			_, err := w.runs.Head(w.ctx, id)
			require.NoError(w.t, err)
		}
		gone := func(id string) bool {
			_, err := w.runs.Head(w.ctx, id)
			return err != nil
		}
		w.archive(a, "one")
		require.False(w.t, gone("one"), "it went before its artifacts")
		require.NoError(w.t, w.runs.Remove(w.ctx, "one")) // by who has deleted them
		require.True(w.t, gone("one"))

		require.NoError(w.t, w.runs.Remove(w.ctx, "two"))
		require.False(w.t, gone("two"), "it went before it was archived")
		w.archive(a, "two")
		require.True(w.t, gone("two"))
	})
}

func TestAnArchivedRunIsReadAsItWas(t *testing.T) {
	each(t, func(w *world) {
		a := queue.NewArchive(w.conn)
		w.submit("run")
		var nodes []*workflow.Node
		for i := range 50 {
			nodes = append(nodes, &workflow.Node{Key: workflow.Key(fmt.Sprintf("/[0].loop(%d:x)", i)), Type: spec.NodeTypePod, Phase: spec.NodeSucceeded})
		}
		loop := workflow.Key("/[1].wide")
		packed, extras := queue.ItemKeys("run", loop)
		records := make([]byte, 150_000*workflow.ItemSize)
		for i := 0; i < len(records); i += workflow.ItemSize {
			records[i], records[i+4] = 1, byte(i/workflow.ItemSize)
		}
		records[140_000*workflow.ItemSize] |= 0x80
		require.NoError(w.t, w.raw.Set(w.ctx, packed, records, 0).Err())
		require.NoError(w.t, w.raw.HSet(w.ctx, extras, "140000", `{"m":"it said so"}`).Err())
		require.NoError(w.t, w.raw.SAdd(w.ctx, "{r:run}:loops", packed, extras).Err())
		require.NoError(w.t, w.raw.HSet(w.ctx, "{r:run}:hosts", "here", 1, "there", 2).Err())
		w.finish("run", nodes...)
		want, err := w.runs.Load(w.ctx, "run", 1000)
		require.NoError(w.t, err)

		table := w.archive(a, "run")
		for key, value := range table {
			require.LessOrEqual(w.t, len(value), 1<<20, key)
		}
		r, err := queue.OpenArchived(w.ctx, "run", table)
		require.NoError(w.t, err)
		require.Equal(w.t, want.Run, r.Run)
		require.Equal(w.t, want.Digest, r.Digest)
		require.Equal(w.t, workflow.ArchivingPersisted, r.State.Archiving)
		require.JSONEq(w.t, `{"entrypoint":"hello"}`, string(r.Spec))
		require.True(w.t, r.Few(50))
		require.False(w.t, r.Few(49))
		whole, err := r.Whole(w.ctx)
		require.NoError(w.t, err)
		require.Equal(w.t, want.Nodes, whole)
		some, err := r.Nodes(w.ctx, []workflow.Key{nodes[7].Key, "/none"})
		require.NoError(w.t, err)
		require.Equal(w.t, map[workflow.Key]*workflow.Node{nodes[7].Key: whole[nodes[7].Key], "/none": nil}, some)
		for _, at := range [][2]int{{0, 10}, {65_530, 65_540}, {0, 150_000}, {139_990, 140_010}, {149_990, 150_020}, {70_000, 70_000}} {
			live, err := w.runs.Items(w.ctx, "run", loop, at[0], at[1], nil)
			require.NoError(w.t, err)
			if at[0] == at[1] {
				live.Records = live.Records[:0]
			}
			kept, err := r.Items(w.ctx, loop, at[0], at[1], nil)
			require.NoError(w.t, err)
			require.Equal(w.t, live.Extras, kept.Extras)
			require.Equal(w.t, live.Hosts, kept.Hosts)
			require.True(w.t, slices.Equal(live.Records, kept.Records), "items %v", at)
		}
	})
}

func TestRowsOfArchivedRunsAreListedWithOthersEachOnce(t *testing.T) {
	each(t, func(w *world) {
		a := queue.NewArchive(w.conn)
		for i, id := range []string{"a", "b", "c", "d"} {
			run := newRun(id)
			run.Created += workflow.Millis(i / 2)
			if id == "d" {
				run.Name = "hello-a" // when that is gone
				require.NoError(w.t, w.runs.Delete(w.ctx, "a"))
			}
			require.NoError(w.t, w.runs.Submit(w.ctx, run, []byte(`{"entrypoint":"hello"}`)))
			w.finish(id)
			w.archive(a, id)
		}
		require.NoError(w.t, w.runs.Delete(w.ctx, "c"))
		list := func(of queue.ListOf, limit int) (ids []string) {
			for next := ""; ; {
				page, following, err := w.runs.List(w.ctx, "", queue.ListOptions{Limit: limit, Continue: next, Of: of})
				require.NoError(w.t, err)
				for _, s := range page {
					ids = append(ids, s.Run.ID)
					require.Equal(w.t, of == queue.Archived || s.Run.ID == "a" || s.Run.ID == "c", s.Archived, s.Run.ID)
				}
				if next = following; next == "" {
					return ids
				}
			}
		}
		for _, limit := range []int{1, 2, 3, 10} {
			require.Equal(w.t, []string{"d", "b"}, list(queue.Live, limit))
			require.Equal(w.t, []string{"d", "c", "b", "a"}, list(queue.Archived, limit))
			require.Equal(w.t, []string{"d", "c", "b", "a"}, list(queue.Anywhere, limit))
		}
		named, err := a.Named(w.ctx, "argo", "hello-a")
		require.NoError(w.t, err)
		require.Equal(w.t, []string{"d", "a"}, []string{named[0].Run.ID, named[1].Run.ID})
		labels, err := a.Labels(w.ctx)
		require.NoError(w.t, err)
		slices.Sort(labels["of"])
		require.Equal(w.t, map[string][]string{"of": {"a", "b", "c", "d"}, "team": {"ships"}}, labels)
		old, err := a.EndedBefore(w.ctx, "argo", 2_000_001, 10)
		require.NoError(w.t, err)
		require.Len(w.t, old, 4)
		old, err = a.EndedBefore(w.ctx, "argo", 2_000_000, 10)
		require.NoError(w.t, err)
		require.Empty(w.t, old)

		for _, id := range []string{"a", "b", "c", "d"} {
			row, err := a.Row(w.ctx, "", id)
			require.NoError(w.t, err)
			require.Equal(w.t, spec.WorkflowFailed, row.State.Phase)
			require.NoError(w.t, a.Forget(w.ctx, cmp.Or(row.Run.Namespace, "argo"), id))
			require.ErrorIs(w.t, a.Forget(w.ctx, "argo", id), queue.ErrNotFound)
			_, err = a.Row(w.ctx, "argo", id)
			require.ErrorIs(w.t, err, queue.ErrNotFound)
		}
		require.Empty(w.t, list(queue.Archived, 10))
		require.Empty(w.t, w.keys("archived:*"))
	})
}
