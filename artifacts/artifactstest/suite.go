// Package artifactstest is the suite that every artifact store passes, and a
// real MinIO server to pass it on.
package artifactstest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/artifacts"
)

// Run runs the suite. Each call of newStore gives an empty store.
func Run(t *testing.T, newStore func(t *testing.T) artifacts.Store) {
	// First and alone: it measures the memory of the process.
	t.Run("a large stream takes little memory", func(t *testing.T) { largeStream(t, newStore(t)) })
	RunInMemory(t, newStore)
}

// RunInMemory runs the suite on a store whose objects are kept in the memory of the test itself,
// where that of the store alone cannot be told.
func RunInMemory(t *testing.T, newStore func(t *testing.T) artifacts.Store) {
	for name, test := range map[string]func(*testing.T, artifacts.Store){
		"round trip":                      roundTrip,
		"an empty object":                 emptyObject,
		"what is absent":                  absent,
		"list in order":                   listInOrder,
		"list stops":                      listStops,
		"overwrite":                       overwrite,
		"delete":                          deletes,
		"odd keys":                        oddKeys,
		"bad keys":                        badKeys,
		"a cancelled context":             cancelled,
		"a failing reader leaves nothing": failingReader,
		"a wrong size leaves nothing":     wrongSize,
		"concurrent puts of one key":      concurrentPuts,
		"neighbours come and go":          neighbours,
		"save and load":                   saveAndLoad,
		"save without archive":            saveWithoutArchive,
		"save as zip":                     saveAsZip,
		"save what is missing":            saveMissing,
		"load what is missing":            loadMissing,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newStore(t))
		})
	}
}

func put(t *testing.T, s artifacts.Store, key, content string) {
	t.Helper()
	require.NoError(t, s.Put(t.Context(), key, strings.NewReader(content), int64(len(content))))
}

func get(t *testing.T, s artifacts.Store, key string) string {
	t.Helper()
	body, err := s.Get(t.Context(), key)
	require.NoError(t, err)
	content, err := io.ReadAll(body)
	require.NoError(t, err)
	require.NoError(t, body.Close())
	return string(content)
}

func keys(t *testing.T, s artifacts.Store, prefix string) []string {
	t.Helper()
	var found []string
	for object, err := range s.List(t.Context(), prefix) {
		require.NoError(t, err)
		found = append(found, object.Key)
	}
	return found
}

// source is an endless stream that never repeats and costs nothing to keep.
type source struct {
	random *rand.ChaCha8
	sum    hash.Hash
	every  func()
	read   int
}

func newSource(every func()) *source {
	return &source{random: rand.NewChaCha8([32]byte{1}), sum: sha256.New(), every: every}
}

func (s *source) Read(p []byte) (int, error) {
	n, _ := s.random.Read(p)
	s.sum.Write(p[:n])
	if before := s.read; before>>23 != (before+n)>>23 && s.every != nil {
		s.every()
	}
	s.read += n
	return n, nil
}

func largeStream(t *testing.T, s artifacts.Store) {
	const size, allowed = 64 << 20, 40 << 20
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, most := heap(), uint64(0)
	in := newSource(func() { most = max(most, heap()) })
	require.NoError(t, s.Put(t.Context(), "large", io.LimitReader(in, size), -1))
	body, err := s.Get(t.Context(), "large")
	require.NoError(t, err)
	defer body.Close()
	out := sha256.New()
	n, err := io.Copy(out, body)
	require.NoError(t, err)
	most = max(most, heap())
	require.EqualValues(t, size, n)
	require.Equal(t, in.sum.Sum(nil), out.Sum(nil))
	require.Less(t, most, before+allowed, "memory grew with the object")
}

func roundTrip(t *testing.T, s artifacts.Store) {
	for _, size := range []int{1, 1000, 1<<20 - 1, 1 << 20, 1<<20 + 1, 17 << 20} {
		for _, announced := range []int64{int64(size), -1} {
			in := newSource(nil)
			key := fmt.Sprintf("sizes/%d/%d", size, announced)
			require.NoError(t, s.Put(t.Context(), key, io.LimitReader(in, int64(size)), announced))
			object, err := s.Stat(t.Context(), key)
			require.NoError(t, err)
			require.Equal(t, key, object.Key)
			require.EqualValues(t, size, object.Size)
			require.WithinDuration(t, time.Now(), object.ModTime, time.Minute)
			content := get(t, s, key)
			require.Len(t, content, size)
			require.Equal(t, in.sum.Sum(nil), sum(content))
		}
	}
}

func sum(content string) []byte {
	s := sha256.Sum256([]byte(content))
	return s[:]
}

func emptyObject(t *testing.T, s artifacts.Store) {
	put(t, s, "empty/known", "")
	require.NoError(t, s.Put(t.Context(), "empty/unknown", strings.NewReader(""), -1))
	require.Empty(t, get(t, s, "empty/known"))
	require.Empty(t, get(t, s, "empty/unknown"))
	object, err := s.Stat(t.Context(), "empty/known")
	require.NoError(t, err)
	require.Zero(t, object.Size)
}

func absent(t *testing.T, s artifacts.Store) {
	require.Empty(t, keys(t, s, ""))
	put(t, s, "there/below", "x")
	for _, key := range []string{"not-there", "there", "there/below/more", "there/belo"} {
		_, err := s.Get(t.Context(), key)
		require.ErrorIs(t, err, artifacts.ErrNotFound, key)
		_, err = s.Stat(t.Context(), key)
		require.ErrorIs(t, err, artifacts.ErrNotFound, key)
	}
	require.Empty(t, keys(t, s, "nothing/here/"))
}

func listInOrder(t *testing.T, s artifacts.Store) {
	want := []string{"a-b", "a.txt", "a/1", "a/2/x", "a/2/y", "a/3", "a0", "b"}
	for _, i := range rand.Perm(len(want)) {
		put(t, s, want[i], want[i])
	}
	require.Equal(t, want, keys(t, s, ""))
	require.Equal(t, want[:7], keys(t, s, "a"))
	require.Equal(t, want[2:6], keys(t, s, "a/"))
	require.Equal(t, want[3:5], keys(t, s, "a/2"))
	require.Equal(t, want[3:5], keys(t, s, "a/2/"))
	require.Equal(t, []string{"a.txt"}, keys(t, s, "a."))
	require.Empty(t, keys(t, s, "b/"))
	for _, prefix := range []string{"../", "/", "a//", "./", "..", "a/.", "a/../a"} {
		require.Empty(t, keys(t, s, prefix), prefix)
	}
	for object, err := range s.List(t.Context(), "a/1") {
		require.NoError(t, err)
		require.EqualValues(t, 3, object.Size)
		require.WithinDuration(t, time.Now(), object.ModTime, time.Minute)
	}
}

func listStops(t *testing.T, s artifacts.Store) {
	for i := range 5 {
		put(t, s, fmt.Sprintf("k/%d", i), "")
	}
	n := 0
	for _, err := range s.List(t.Context(), "k/") {
		require.NoError(t, err)
		if n++; n == 2 {
			break
		}
	}
	require.Equal(t, 2, n)
}

func overwrite(t *testing.T, s artifacts.Store) {
	put(t, s, "k", "a longer first value")
	put(t, s, "k", "second")
	require.Equal(t, "second", get(t, s, "k"))
	require.Equal(t, []string{"k"}, keys(t, s, ""))
}

func deletes(t *testing.T, s artifacts.Store) {
	put(t, s, "d/x", "1")
	put(t, s, "d/y", "2")
	require.NoError(t, s.Delete(t.Context(), "d/x"))
	require.NoError(t, s.Delete(t.Context(), "d/x"))
	require.NoError(t, s.Delete(t.Context(), "never/was"))
	require.NoError(t, s.Delete(t.Context(), "d"))
	_, err := s.Get(t.Context(), "d/x")
	require.ErrorIs(t, err, artifacts.ErrNotFound)
	require.Equal(t, []string{"d/y"}, keys(t, s, ""))
	require.NoError(t, s.Delete(t.Context(), "d/y"))
	put(t, s, "d", "an object where a directory was")
	require.Equal(t, []string{"d"}, keys(t, s, ""))
}

func oddKeys(t *testing.T, s artifacts.Store) {
	for _, key := range []string{
		"with space/a b", "per%cent/%2e%2e", "plus+and&?=#", "ünï/cödé/日本", "...", "..a/b..", ".hidden/.file", "quote'\"<>",
		"tab\tand;semicolon", "a:b@c,d", "tilde~/-dash", strings.Repeat("n", 255) + "/x", "loop(0:a b)/main.log",
	} {
		put(t, s, key, key)
		require.Equal(t, key, get(t, s, key))
		object, err := s.Stat(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, key, object.Key)
		require.Equal(t, []string{key}, keys(t, s, key))
		require.NoError(t, s.Delete(t.Context(), key))
		require.Empty(t, keys(t, s, ""))
	}
}

func badKeys(t *testing.T, s artifacts.Store) {
	for _, key := range []string{
		"", "/absolute", "a//b", "a/", ".", "..", "../up", "a/../../up", "a/./b", "nul\x00", "not\xfftext",
		strings.Repeat("n", 256), strings.Repeat("long/", 300) + "x",
	} {
		require.ErrorIs(t, s.Put(t.Context(), key, strings.NewReader("x"), 1), artifacts.ErrBadKey, "%q", key)
		_, err := s.Get(t.Context(), key)
		require.ErrorIs(t, err, artifacts.ErrBadKey, "%q", key)
		_, err = s.Stat(t.Context(), key)
		require.ErrorIs(t, err, artifacts.ErrBadKey, "%q", key)
		require.ErrorIs(t, s.Delete(t.Context(), key), artifacts.ErrBadKey, "%q", key)
	}
	require.Empty(t, keys(t, s, ""))
}

func cancelled(t *testing.T, s artifacts.Store) {
	put(t, s, "k", "v")
	ctx, cancel := context.WithCancel(t.Context())
	in := newSource(cancel) // cancels after 8 MiB
	require.ErrorIs(t, s.Put(ctx, "endless", in, -1), context.Canceled)
	_, err := s.Get(ctx, "k")
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Stat(ctx, "k")
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, s.Delete(ctx, "k"), context.Canceled)
	var last error
	for _, err := range s.List(ctx, "") {
		last = err
	}
	require.ErrorIs(t, last, context.Canceled)
	require.Equal(t, []string{"k"}, keys(t, s, ""))
}

func failingReader(t *testing.T, s artifacts.Store) {
	broken := errors.New("the disk fell off")
	put(t, s, "kept", "old")
	for name, in := range map[string]io.Reader{
		"at once": iotest.ErrReader(broken),
		"small":   io.MultiReader(strings.NewReader("some"), iotest.ErrReader(broken)),
		"large":   io.MultiReader(io.LimitReader(newSource(nil), 20<<20), iotest.ErrReader(broken)),
	} {
		require.ErrorIs(t, s.Put(t.Context(), "fails/"+name, in, -1), broken, name)
		_, err := s.Stat(t.Context(), "fails/"+name)
		require.ErrorIs(t, err, artifacts.ErrNotFound, name)
	}
	require.ErrorIs(t, s.Put(t.Context(), "kept", iotest.ErrReader(broken), -1), broken)
	require.Equal(t, "old", get(t, s, "kept"))
	require.Equal(t, []string{"kept"}, keys(t, s, ""))
}

func wrongSize(t *testing.T, s artifacts.Store) {
	for _, size := range []int64{0, 3, 5} {
		require.Error(t, s.Put(t.Context(), "k", strings.NewReader("four"), size))
	}
	require.Error(t, s.Put(t.Context(), "k", io.LimitReader(newSource(nil), 3<<20), 2<<20))
	require.Error(t, s.Put(t.Context(), "k", io.LimitReader(newSource(nil), 2<<20), 3<<20))
	require.Empty(t, keys(t, s, ""))
}

func concurrentPuts(t *testing.T, s artifacts.Store) {
	const writers, size = 16, 100_000
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			content := bytes.Repeat([]byte{byte('a' + i)}, size)
			if err := s.Put(t.Context(), "one/key", bytes.NewReader(content), size); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	content := get(t, s, "one/key")
	require.Equal(t, strings.Repeat(content[:1], size), content, "one writer's object, whole")
	require.Equal(t, []string{"one/key"}, keys(t, s, ""))
}

func neighbours(t *testing.T, s artifacts.Store) {
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for range 20 {
				key := fmt.Sprintf("deep/er/%d", i)
				if err := s.Put(t.Context(), key, strings.NewReader("x"), 1); err != nil {
					t.Error(err)
				}
				if err := s.Delete(t.Context(), key); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	require.Empty(t, keys(t, s, ""))
}
