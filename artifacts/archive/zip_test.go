package archive_test

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/artifacts/archive"
)

func TestAZipComesBackAsItWas(t *testing.T) {
	t.Parallel()
	dir := sample(t)
	dest := filepath.Join(t.TempDir(), "deep", "dest")
	packed := pack(t, dir, archive.Format{Kind: archive.Zip})
	require.NoError(t, archive.Unzip(bytes.NewReader(packed), dest))
	for path, mode := range map[string]os.FileMode{"run.sh": 0o750, "sub/data": 0o640, "sub/empty": os.ModeDir | 0o555} {
		info, err := os.Stat(filepath.Join(dest, path))
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode(), path)
	}
	target, err := os.Readlink(filepath.Join(dest, "sub", "link"))
	require.NoError(t, err)
	require.Equal(t, "../run.sh", target)
	content, err := os.ReadFile(filepath.Join(dest, "dirlink", "data"))
	require.NoError(t, err)
	require.Len(t, content, 100_000)
	requireOnly(t, filepath.Dir(dest), "dest")
	require.Less(t, len(packed), 10_000, "it is not compressed")

	// What was not declared to be a zip is a file of the user's.
	plain := filepath.Join(t.TempDir(), "mine.zip")
	require.NoError(t, archive.Unpack(bytes.NewReader(packed), plain))
	kept, err := os.ReadFile(plain)
	require.NoError(t, err)
	require.Equal(t, packed, kept)
}

func TestAZipOfAFileBecomesTheDestination(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "original.txt")
	require.NoError(t, os.WriteFile(file, []byte("hello"), 0o600))
	dest := filepath.Join(t.TempDir(), "other.name")
	require.NoError(t, archive.Unzip(bytes.NewReader(pack(t, file, archive.Format{Kind: archive.Zip})), dest))
	content, err := os.ReadFile(dest)
	require.NoError(t, err)
	require.Equal(t, "hello", string(content))
}

func TestUnsafeZipsAreRefused(t *testing.T) {
	t.Parallel()
	for name, entries := range map[string][]zip.FileHeader{
		"climbing":           {{Name: "../x"}},
		"absolute":           {{Name: "/x"}},
		"a link outside":     {header("a/l", fs.ModeSymlink|0o777)},
		"below a link":       {header("a", fs.ModeSymlink|0o777), {Name: "a/x"}},
		"neither file":       {header("a", fs.ModeNamedPipe|0o600)},
		"a name of nothing":  {{Name: ""}},
		"two and one climbs": {{Name: "ok"}, {Name: "a/../../x"}},
	} {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for _, e := range entries {
			to, err := w.CreateHeader(&e)
			require.NoError(t, err)
			_, err = to.Write([]byte("../../etc/passwd"))
			require.NoError(t, err)
		}
		require.NoError(t, w.Close())
		dir := t.TempDir()
		err := archive.Unzip(&b, filepath.Join(dir, "dest"))
		require.ErrorIs(t, err, archive.ErrUnsafe, name)
		requireOnly(t, dir)
	}
	dir := t.TempDir()
	require.ErrorContains(t, archive.Unzip(bytes.NewReader([]byte("PK no zip")), filepath.Join(dir, "dest")), "reading the archive")
	requireOnly(t, dir)
}

func header(name string, mode fs.FileMode) zip.FileHeader {
	h := zip.FileHeader{Name: name}
	h.SetMode(mode)
	return h
}
