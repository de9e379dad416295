package archive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/artifacts/archive"
)

var when = time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)

// sample is a tree with what artifacts have: modes, times, links, an empty and
// a read-only directory.
func sample(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "out")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "sub", "empty"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "run.sh"), []byte("#!/bin/sh\n"), 0o750))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sub", "data"), bytes.Repeat([]byte("x"), 100_000), 0o640))
	require.NoError(t, os.Symlink("../run.sh", filepath.Join(dir, "sub", "link")))
	require.NoError(t, os.Symlink("sub", filepath.Join(dir, "dirlink")))
	require.NoError(t, os.Chmod(filepath.Join(dir, "sub", "empty"), 0o555))
	require.NoError(t, os.Chtimes(filepath.Join(dir, "run.sh"), when, when))
	require.NoError(t, os.Chtimes(filepath.Join(dir, "sub"), when, when))
	return dir
}

func pack(t *testing.T, path string, f archive.Format) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, archive.Pack(&out, path, f))
	return out.Bytes()
}

func TestDirectoryComesBackAsItWas(t *testing.T) {
	t.Parallel()
	dir := sample(t)
	level := 0
	for name, f := range map[string]archive.Format{"default": {}, "stored": {Level: &level}} {
		dest := filepath.Join(t.TempDir(), "deep", "dest")
		require.NoError(t, archive.Unpack(bytes.NewReader(pack(t, dir, f)), dest), name)
		for path, mode := range map[string]os.FileMode{"run.sh": 0o750, "sub/data": 0o640, "sub/empty": os.ModeDir | 0o555} {
			info, err := os.Stat(filepath.Join(dest, path))
			require.NoError(t, err)
			require.Equal(t, mode, info.Mode(), path)
		}
		for _, path := range []string{"run.sh", "sub"} {
			info, err := os.Stat(filepath.Join(dest, path))
			require.NoError(t, err)
			require.True(t, when.Equal(info.ModTime()), "%s: %s", path, info.ModTime())
		}
		target, err := os.Readlink(filepath.Join(dest, "sub", "link"))
		require.NoError(t, err)
		require.Equal(t, "../run.sh", target)
		content, err := os.ReadFile(filepath.Join(dest, "dirlink", "data"))
		require.NoError(t, err)
		require.Len(t, content, 100_000)
		requireOnly(t, filepath.Dir(dest), "dest")
	}
}

// requireOnly sees that no temporary files are left.
func requireOnly(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	require.Equal(t, names, got)
}

func TestSingleFileBecomesTheDestination(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "original.txt")
	require.NoError(t, os.WriteFile(file, []byte("hello"), 0o600))
	require.NoError(t, os.Symlink(file, filepath.Join(dir, "link")))
	for _, from := range []string{"original.txt", "link"} {
		for _, f := range []archive.Format{{}, {Kind: archive.None}} {
			dest := filepath.Join(t.TempDir(), "other.name")
			require.NoError(t, os.WriteFile(dest, []byte("what was here before"), 0o644))
			require.NoError(t, archive.Unpack(bytes.NewReader(pack(t, filepath.Join(dir, from), f)), dest))
			content, err := os.ReadFile(dest)
			require.NoError(t, err)
			require.Equal(t, "hello", string(content))
		}
	}
}

func TestSameFilesMakeTheSameArchive(t *testing.T) {
	t.Parallel()
	dir := sample(t)
	require.Equal(t, pack(t, dir, archive.Format{}), pack(t, dir, archive.Format{}))
}

func TestOtherFilesStayAsTheyAre(t *testing.T) {
	t.Parallel()
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = w.Write(bytes.Repeat([]byte("a user's own gzip "), 1000))
	require.NoError(t, w.Close())
	for name, content := range map[string][]byte{
		"empty": nil, "text": []byte("hello"), "gzip": zipped.Bytes(), "half a gzip header": {0x1f, 0x8b},
		"large": bytes.Repeat([]byte("z"), 300_000), "plain tar": tarball(t, []tar.Header{{Name: "x", Typeflag: tar.TypeReg}}, false),
	} {
		dest := filepath.Join(t.TempDir(), "dest")
		require.NoError(t, archive.Unpack(bytes.NewReader(content), dest), name)
		got, err := os.ReadFile(dest)
		require.NoError(t, err)
		require.True(t, bytes.Equal(content, got), name)
	}
}

// tarball makes an archive by hand; files hold their own name.
func tarball(t *testing.T, entries []tar.Header, zip bool) []byte {
	t.Helper()
	var out bytes.Buffer
	var sink io.Writer = &out
	if zip {
		z := gzip.NewWriter(&out)
		sink = z
	}
	w := tar.NewWriter(sink)
	for _, h := range entries {
		h.Mode = 0o644
		if h.Typeflag == tar.TypeDir {
			h.Mode = 0o755
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name))
		}
		require.NoError(t, w.WriteHeader(&h))
		if h.Typeflag == tar.TypeReg {
			_, err := io.WriteString(w, h.Name)
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	if z, ok := sink.(*gzip.Writer); ok {
		require.NoError(t, z.Close())
	}
	return out.Bytes()
}

func TestSeveralTopEntriesMakeADirectory(t *testing.T) {
	t.Parallel()
	dest := filepath.Join(t.TempDir(), "dest")
	data := tarball(t, []tar.Header{
		{Name: "./", Typeflag: tar.TypeDir}, {Name: "./a", Typeflag: tar.TypeReg}, {Name: "b/c", Typeflag: tar.TypeReg},
		{Name: "d", Typeflag: tar.TypeSymlink, Linkname: "b/c"}, {Name: "e", Typeflag: tar.TypeLink, Linkname: "b/c"},
		{Name: "a", Typeflag: tar.TypeReg},
	}, true)
	require.NoError(t, archive.Unpack(bytes.NewReader(data), dest))
	for path, want := range map[string]string{"a": "a", "b/c": "b/c", "d": "b/c", "e": "b/c"} {
		got, err := os.ReadFile(filepath.Join(dest, path))
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
}

func TestUnsafeArchivesAreRefused(t *testing.T) {
	t.Parallel()
	file := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg} }
	dir := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeDir} }
	link := func(name, to string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}
	}
	for name, entries := range map[string][]tar.Header{
		"parent":                     {file("../evil")},
		"parent inside":              {file("a/../../evil")},
		"absolute":                   {file("/evil")},
		"absolute link":              {link("a/l", "/etc/passwd"), file("a/x")},
		"link to the parent":         {link("a/l", "../.."), file("a/x")},
		"link out of the single dir": {dir("a"), link("a/l", "../b")},
		"write through a link":       {dir("a"), link("a/l", "."), file("a/l/evil")},
		"link through a link":        {dir("a/b/c"), link("a/b/c/x", "../.."), link("a/l", "b/c/x/../y")},
		"link below a link":          {dir("a/b/c"), link("a/b/c/x", "../.."), link("a/b/c/x/l", "../../..")},
		"hard link out":              {{Name: "a", Typeflag: tar.TypeLink, Linkname: "../../etc/passwd"}},
		"hard link absolute":         {{Name: "a", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}},
		"device":                     {{Name: "dev", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}},
		"block device":               {{Name: "dev", Typeflag: tar.TypeBlock, Devmajor: 8}},
		"named pipe":                 {{Name: "pipe", Typeflag: tar.TypeFifo}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := t.TempDir()
			err := archive.Unpack(bytes.NewReader(tarball(t, entries, true)), filepath.Join(parent, "box", "dest"))
			require.ErrorIs(t, err, archive.ErrUnsafe)
			requireOnly(t, filepath.Join(parent, "box"))
			requireOnly(t, parent, "box")
		})
	}
}

func TestBrokenStreamsLeaveNothing(t *testing.T) {
	t.Parallel()
	data := pack(t, sample(t), archive.Format{})
	broken := errors.New("the line went dead")
	flipped := bytes.Clone(data)
	flipped[len(flipped)-6] ^= 0xff // gzip's checksum
	for name, in := range map[string]io.Reader{
		"cut short":      bytes.NewReader(data[:len(data)/2]),
		"cut at the end": bytes.NewReader(data[:len(data)-4]),
		"wrong checksum": bytes.NewReader(flipped),
		"fails":          io.MultiReader(bytes.NewReader(data[:100]), iotest.ErrReader(broken)),
		"fails later":    io.MultiReader(strings.NewReader(strings.Repeat("plain", 100_000)), iotest.ErrReader(broken)),
	} {
		dir := t.TempDir()
		require.Error(t, archive.Unpack(in, filepath.Join(dir, "dest")), name)
		requireOnly(t, dir)
	}
}

func TestExistingDirectoryIsFilled(t *testing.T) {
	t.Parallel()
	dest := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dest, "sub"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dest, "sub", "mine"), []byte("kept"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dest, "run.sh"), []byte("old"), 0o644))
	require.NoError(t, archive.Unpack(bytes.NewReader(pack(t, sample(t), archive.Format{})), dest))
	requireOnly(t, dest, "dirlink", "run.sh", "sub")
	requireOnly(t, filepath.Join(dest, "sub"), "data", "empty", "link", "mine")
	content, err := os.ReadFile(filepath.Join(dest, "run.sh"))
	require.NoError(t, err)
	require.Equal(t, "#!/bin/sh\n", string(content))

	file := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	require.ErrorIs(t, archive.Unpack(bytes.NewReader(pack(t, file, archive.Format{})), dest), os.ErrExist)
}

func TestPackRefusesWhatItCannotHold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	require.ErrorIs(t, archive.Pack(io.Discard, dir, archive.Format{}), archive.ErrUnsupported)
	require.ErrorIs(t, archive.Pack(io.Discard, pipe, archive.Format{Kind: archive.None}), archive.ErrUnsupported)
	require.ErrorIs(t, archive.Pack(io.Discard, dir, archive.Format{Kind: archive.None}), archive.ErrUnsupported)
	require.ErrorIs(t, archive.Pack(io.Discard, filepath.Join(dir, "absent"), archive.Format{}), os.ErrNotExist)
	level := 42
	require.Error(t, archive.Pack(io.Discard, dir, archive.Format{Level: &level}))
}

func TestPackSkipsSockets(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "s") // a socket's path must be short
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "unix", filepath.Join(dir, "sock"))
	require.NoError(t, err)
	defer l.Close()
	dest := filepath.Join(t.TempDir(), "dest")
	require.NoError(t, archive.Unpack(bytes.NewReader(pack(t, dir, archive.Format{})), dest))
	requireOnly(t, dest)
}

func FuzzUnpack(f *testing.F) {
	var t testing.T
	f.Add(tarball(&t, []tar.Header{{Name: "a/b", Typeflag: tar.TypeReg}, {Name: "a/l", Typeflag: tar.TypeSymlink, Linkname: "b"}}, true))
	f.Add([]byte("plain"))
	f.Fuzz(func(t *testing.T, data []byte) {
		parent := t.TempDir()
		box := filepath.Join(parent, "box")
		require.NoError(t, os.Mkdir(box, 0o755))
		err := archive.Unpack(bytes.NewReader(data), filepath.Join(box, "dest"))
		requireOnly(t, parent, "box")
		if err != nil {
			requireOnly(t, box)
		}
	})
}
