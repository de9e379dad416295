package plugin_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/artifacts"
	"argosy/artifacts/archive"
	"argosy/artifacts/artifactstest"
	"argosy/artifacts/plugin"
)

// store is what a plugin named test keeps for a configuration, and the folder that it shares.
func store(t *testing.T, p *artifactstest.Plugin, configuration string) (artifacts.Store, string) {
	t.Helper()
	shared := t.TempDir()
	all, err := plugin.New(map[string]string{"test": p.Socket}, shared)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, all.Close()) })
	require.Equal(t, []string{"test"}, all.Names())
	s, err := all.Store("test", plugin.Location{Name: "a", Configuration: configuration, ConnectTimeout: 5 * time.Second})
	require.NoError(t, err)
	return s, shared
}

func TestAPluginKeepsArtifacts(t *testing.T) {
	t.Parallel()
	for name, streams := range map[string]bool{"in streams": true, "in files": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := artifactstest.StartPlugin(t, streams)
			s, shared := store(t, p, "conf")
			large := strings.Repeat("0123456789", 700_000)
			for key, content := range map[string]string{"a/large": large, "a/empty": "", "small": "x"} {
				require.NoError(t, s.Put(t.Context(), key, strings.NewReader(content), -1))
				require.True(t, p.Objects()["conf/"+key] == content, key)
				r, err := s.Get(t.Context(), key)
				require.NoError(t, err)
				got, err := io.ReadAll(iotest.OneByteReader(io.LimitReader(r, 100)))
				require.NoError(t, err)
				require.Equal(t, content[:min(100, len(content))], string(got))
				rest, err := io.ReadAll(r)
				require.NoError(t, err)
				require.True(t, string(got)+string(rest) == content)
				require.NoError(t, r.Close())
			}
			require.Equal(t, streams, p.Asked("SaveStream"))
			require.Equal(t, !streams, p.Asked("Save"))
			left, err := os.ReadDir(shared)
			require.NoError(t, err)
			require.Empty(t, left)

			var keys []string
			for o, err := range s.List(t.Context(), "a/") {
				require.NoError(t, err)
				keys = append(keys, o.Key)
			}
			require.Equal(t, []string{"a/empty", "a/large"}, keys)
			_, err = s.Stat(t.Context(), "a")
			require.ErrorIs(t, err, artifacts.ErrNotFound, "a directory is no object")
			_, err = s.Get(t.Context(), "absent")
			require.ErrorIs(t, err, artifacts.ErrNotFound)
			require.NoError(t, s.Delete(t.Context(), "small"))
			require.NotContains(t, p.Objects(), "conf/small")
		})
	}
}

func TestAPluginKeepsNothingOfAStreamThatBreaks(t *testing.T) {
	t.Parallel()
	for name, streams := range map[string]bool{"in streams": true, "in files": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := artifactstest.StartPlugin(t, streams)
			s, shared := store(t, p, "conf")
			broken := errors.New("the stream broke")
			half := strings.NewReader(strings.Repeat("x", 3<<20))
			require.ErrorIs(t, s.Put(t.Context(), "a", io.MultiReader(half, iotest.ErrReader(broken)), -1), broken)
			half = strings.NewReader("x")
			require.ErrorIs(t, s.Put(t.Context(), "a", io.MultiReader(half, iotest.ErrReader(io.ErrUnexpectedEOF)), -1), io.ErrUnexpectedEOF)
			require.ErrorIs(t, s.Put(t.Context(), "a", strings.NewReader("short"), 10), io.ErrUnexpectedEOF)
			require.Empty(t, p.Objects())
			left, err := os.ReadDir(shared)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

func TestDirectoriesGoToAPluginAndComeBack(t *testing.T) {
	t.Parallel()
	p := artifactstest.StartPlugin(t, true)
	s, _ := store(t, p, "conf")
	dir := filepath.Join(t.TempDir(), "out")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sub", "file"), []byte("content"), 0o644))
	for key, format := range map[string]artifacts.Archive{"tree": {Kind: archive.None}, "packed": {}} {
		_, err := artifacts.Save(t.Context(), s, key, dir, format)
		require.NoError(t, err)
		back := filepath.Join(t.TempDir(), "back")
		require.NoError(t, artifacts.Load(t.Context(), s, key, back))
		got, err := os.ReadFile(filepath.Join(back, "sub", "file"))
		require.NoError(t, err)
		require.Equal(t, "content", string(got))
	}
	require.Contains(t, p.Objects(), "conf/tree/sub/file")
}

func TestWhatAPluginSaysIsTold(t *testing.T) {
	t.Parallel()
	p := artifactstest.StartPlugin(t, true)
	s, _ := store(t, p, "read-only")
	require.EqualError(t, s.Delete(t.Context(), "a"), `artifact plugin "test": deleting a: it is read-only`)
}

func TestAPluginThatDoesNotAnswerIsAway(t *testing.T) {
	t.Parallel()
	all, err := plugin.New(map[string]string{"gone": filepath.Join(t.TempDir(), "socket")}, "")
	require.NoError(t, err)
	defer all.Close()
	s, err := all.Store("gone", plugin.Location{ConnectTimeout: 50 * time.Millisecond})
	require.NoError(t, err)
	_, err = s.Get(t.Context(), "a")
	require.ErrorIs(t, err, artifacts.ErrAway)
	require.ErrorIs(t, s.Put(t.Context(), "a", strings.NewReader(""), -1), artifacts.ErrAway)
}

func TestPluginsHaveNamesAndSockets(t *testing.T) {
	t.Parallel()
	for _, bad := range []map[string]string{{"": "/x"}, {"a": "x"}, {"a": ""}} {
		_, err := plugin.New(bad, "")
		require.ErrorContains(t, err, "no absolute path")
	}
	all, err := plugin.New(nil, "")
	require.NoError(t, err)
	_, err = all.Store("a", plugin.Location{})
	require.ErrorIs(t, err, plugin.ErrUnknown)
}
