package queue_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/queue"
)

func TestObjects(t *testing.T) {
	each(t, func(w *world) {
		o := queue.NewObjects(w.conn)
		const kind = "WorkflowTemplate"

		_, err := o.Get(w.ctx, kind, "argo", "a")
		require.ErrorIs(w.t, err, queue.ErrNotFound)
		_, err = o.Put(w.ctx, kind, "argo", "a", []byte(`{"n":0}`), queue.VersionAny)
		require.ErrorIs(w.t, err, queue.ErrNotFound)
		require.ErrorIs(w.t, o.Delete(w.ctx, kind, "argo", "a"), queue.ErrNotFound)

		first, err := o.Put(w.ctx, kind, "argo", "a", []byte(`{"n":1}`), queue.VersionNone)
		require.NoError(w.t, err)
		_, err = o.Put(w.ctx, kind, "argo", "a", []byte(`{"n":2}`), queue.VersionNone)
		require.ErrorIs(w.t, err, queue.ErrExists)
		second, err := o.Put(w.ctx, kind, "argo", "a", []byte(`{"n":2}`), first)
		require.NoError(w.t, err)
		require.Greater(w.t, second, first)
		_, err = o.Put(w.ctx, kind, "argo", "a", []byte(`{"n":3}`), first)
		require.ErrorIs(w.t, err, queue.ErrConflict)

		got, err := o.Get(w.ctx, kind, "argo", "a")
		require.NoError(w.t, err)
		require.Equal(w.t, &queue.Object{Namespace: "argo", Name: "a", Version: second, JSON: []byte(`{"n":2}`)}, got)

		// Other namespaces and kinds have names of their own.
		for _, other := range [][2]string{{kind, "other"}, {"ConfigMap", "argo"}, {"ClusterWorkflowTemplate", ""}} {
			_, err = o.Put(w.ctx, other[0], other[1], "a", []byte(`{}`), queue.VersionNone)
			require.NoError(w.t, err)
		}
		_, err = o.Put(w.ctx, kind, "argo", "B", []byte(`{}`), queue.VersionNone)
		require.NoError(w.t, err)
		require.Equal(w.t, []string{"argo/B", "argo/a"}, names(o.List(w.ctx, kind, "argo")))
		require.Equal(w.t, []string{"argo/B", "argo/a", "other/a"}, names(o.Everywhere(w.ctx, kind)))
		require.Empty(w.t, names(o.List(w.ctx, kind, "none")))

		// A name that is used again continues the count: an old version stays old.
		require.NoError(w.t, o.Delete(w.ctx, kind, "argo", "a"))
		again, err := o.Put(w.ctx, kind, "argo", "a", []byte(`{}`), queue.VersionNone)
		require.NoError(w.t, err)
		require.Greater(w.t, again, second)
	})
}

func names(list []*queue.Object, err error) []string {
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	for _, o := range list {
		out = append(out, o.Namespace+"/"+o.Name)
	}
	return out
}
