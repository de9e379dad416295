package artifactstest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/artifacts"
	"argosy/artifacts/archive"
)

// tree makes files below a directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "out")
	require.NoError(t, os.Mkdir(dir, 0o755))
	for name, content := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	}
	return dir
}

func requireTree(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	got := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		got[rel] = string(content)
		return err
	}))
	require.Equal(t, files, got)
}

func saveAndLoad(t *testing.T, s artifacts.Store) {
	files := map[string]string{"a": "1", "sub/b": "2", "sub/empty": ""}
	dir := tree(t, files)
	key, err := artifacts.Save(t.Context(), s, "run/node/dir.tgz", dir, artifacts.Archive{})
	require.NoError(t, err)
	require.Equal(t, []string{"run/node/dir.tgz"}, keys(t, s, ""))
	back := filepath.Join(t.TempDir(), "else", "where")
	require.NoError(t, artifacts.Load(t.Context(), s, key, back))
	requireTree(t, back, files)

	key, err = artifacts.Save(t.Context(), s, "run/node/file.tgz", filepath.Join(dir, "a"), artifacts.Archive{})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "renamed")
	require.NoError(t, artifacts.Load(t.Context(), s, key, file))
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "1", string(content))

	plain := filepath.Join(t.TempDir(), "plain.tgz")
	require.NoError(t, artifacts.LoadPlain(t.Context(), s, key, plain))
	require.Equal(t, get(t, s, key), string(must(os.ReadFile(plain))))
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func saveAsZip(t *testing.T, s artifacts.Store) {
	files := map[string]string{"a": "1", "sub/b": "2"}
	key, err := artifacts.Save(t.Context(), s, "d.zip", tree(t, files), artifacts.Archive{Kind: archive.Zip})
	require.NoError(t, err)
	back := filepath.Join(t.TempDir(), "back")
	require.NoError(t, artifacts.LoadZip(t.Context(), s, key, back))
	requireTree(t, back, files)
}

func saveWithoutArchive(t *testing.T, s artifacts.Store) {
	none := artifacts.Archive{Kind: archive.None}
	files := map[string]string{"a": "1", "sub/b": "2"}
	key, err := artifacts.Save(t.Context(), s, "d/", tree(t, files), none)
	require.NoError(t, err)
	require.Equal(t, []string{"d/a", "d/sub/b"}, keys(t, s, ""))
	back := filepath.Join(t.TempDir(), "back")
	require.NoError(t, artifacts.Load(t.Context(), s, key, back))
	requireTree(t, back, files)

	file := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(file, []byte("as it is"), 0o644))
	key, err = artifacts.Save(t.Context(), s, "f.txt", file, none)
	require.NoError(t, err)
	require.Equal(t, "as it is", get(t, s, key))
	require.NoError(t, artifacts.Load(t.Context(), s, key, back+".txt"))
	require.Equal(t, "as it is", string(must(os.ReadFile(back+".txt"))))

	// A failure part way leaves none of the directory's objects.
	outside := tree(t, map[string]string{"a": "1"})
	require.NoError(t, os.Symlink("/etc/hostname", filepath.Join(outside, "z")))
	_, err = artifacts.Save(t.Context(), s, "half", outside, none)
	require.Error(t, err)
	require.Empty(t, keys(t, s, "half"))
}

func saveMissing(t *testing.T, s artifacts.Store) {
	for _, kind := range []archive.Kind{archive.Tar, archive.None, archive.Zip} {
		_, err := artifacts.Save(t.Context(), s, "k", filepath.Join(t.TempDir(), "no", "such"), artifacts.Archive{Kind: kind})
		require.ErrorIs(t, err, artifacts.ErrNoPath)
	}
	require.Empty(t, keys(t, s, ""))
}

func loadMissing(t *testing.T, s artifacts.Store) {
	dir := t.TempDir()
	err := artifacts.Load(t.Context(), s, "no/such", filepath.Join(dir, "dest"))
	require.ErrorIs(t, err, artifacts.ErrNotFound)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}
