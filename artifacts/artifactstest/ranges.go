package artifactstest

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/artifacts"
)

// RunRanges runs the part of the suite that is for stores that read parts of objects.
func RunRanges(t *testing.T, s artifacts.Ranged) {
	t.Run("parts of an object", func(t *testing.T) {
		put(t, s, "ranges/some", "0123456789")
		put(t, s, "ranges/empty", "")
		for _, c := range []struct {
			key            string
			offset, length int64
			want           string
		}{
			{"ranges/some", 0, 10, "0123456789"},
			{"ranges/some", 3, 4, "3456"},
			{"ranges/some", 9, 1, "9"},
			{"ranges/some", 8, 100, "89"},
			{"ranges/some", 10, 5, ""},
			{"ranges/some", 50, 5, ""},
			{"ranges/some", 2, 0, ""},
			{"ranges/empty", 0, 5, ""},
		} {
			data, err := s.GetRange(t.Context(), c.key, c.offset, c.length)
			require.NoError(t, err)
			require.Equal(t, c.want, string(data), "%d bytes from %d on", c.length, c.offset)
		}
		_, err := s.GetRange(t.Context(), "ranges/none", 0, 5)
		require.ErrorIs(t, err, artifacts.ErrNotFound)
		_, err = s.GetRange(t.Context(), "../out", 0, 5)
		require.ErrorIs(t, err, artifacts.ErrBadKey)
	})
	t.Run("a part in the middle of a large object", func(t *testing.T) {
		const size = 18 << 20
		require.NoError(t, s.Put(t.Context(), "ranges/large", io.LimitReader(newSource(nil), size), -1))
		want := make([]byte, 17<<20+1000)
		_, err := io.ReadFull(newSource(nil), want)
		require.NoError(t, err)
		data, err := s.GetRange(t.Context(), "ranges/large", 17<<20, 1000)
		require.NoError(t, err)
		require.Equal(t, want[17<<20:], data)
	})
}
