package main

import (
	"archive/tar"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/require"
)

// program builds a small static program.
func program(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	require.NoError(t, os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o644))
	out := filepath.Join(dir, "program")
	build := exec.Command("go", "build", "-o", out, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	said, err := build.CombinedOutput()
	require.NoError(t, err, "%s", said)
	return out
}

// open reads an archive back and gives its image and the tree of its layers.
func open(t *testing.T, path, tag string) (v1.Image, map[string]*tar.Header) {
	t.Helper()
	ref, err := name.NewTag(tag)
	require.NoError(t, err)
	img, err := tarball.ImageFromPath(path, &ref)
	require.NoError(t, err)
	require.NoError(t, validate.Image(img))
	layers, err := img.Layers()
	require.NoError(t, err)
	tree := map[string]*tar.Header{}
	for _, layer := range layers {
		body, err := layer.Uncompressed()
		require.NoError(t, err)
		archive := tar.NewReader(body)
		for {
			header, err := archive.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			require.True(t, header.ModTime.Equal(epoch), "%s has a time of its own", header.Name)
			tree[header.Name] = header
		}
		require.NoError(t, body.Close())
	}
	return img, tree
}

func TestTheProductsImageHoldsItsProgramsAndRunsAsNobody(t *testing.T) {
	t.Parallel()
	argosy := program(t)
	out := filepath.Join(t.TempDir(), "deep", "argosy.tar")
	require.NoError(t, run([]string{"-o", out, "-tag", "argosy:latest,registry.example/team/argosy:v1", "product", argosy, argosy}, io.Discard))

	for _, tag := range []string{"docker.io/library/argosy:latest", "registry.example/team/argosy:v1"} {
		img, tree := open(t, out, tag)
		file, err := img.ConfigFile()
		require.NoError(t, err)
		require.Equal(t, []string{"/bin/argosy"}, file.Config.Entrypoint)
		require.Equal(t, "65532:65532", file.Config.User)
		require.Equal(t, "linux", file.OS)
		require.Len(t, file.RootFS.DiffIDs, 1)
		for _, path := range []string{"bin/argosy", "bin/argosy-step"} {
			require.Contains(t, tree, path)
			require.EqualValues(t, 0o755, tree[path].Mode)
			require.Positive(t, tree[path].Size)
		}
		require.Contains(t, tree, "tmp/")
		require.EqualValues(t, 0o1777, tree["tmp/"].Mode)
	}
}

func TestTheSameFilesMakeTheSameArchive(t *testing.T) {
	t.Parallel()
	argosy := program(t)
	var bodies [2][]byte
	for i := range bodies {
		out := filepath.Join(t.TempDir(), "argosy.tar")
		require.NoError(t, run([]string{"-o", out, "product", argosy, argosy}, io.Discard))
		body, err := os.ReadFile(out)
		require.NoError(t, err)
		bodies[i] = body
	}
	require.Equal(t, bodies[0], bodies[1])
}

func TestProgramsThatNeedLibrariesAreRefused(t *testing.T) {
	t.Parallel()
	linked, err := exec.LookPath("git")
	require.NoError(t, err, "run make deps")
	err = run([]string{"-o", filepath.Join(t.TempDir(), "x.tar"), "product", linked, linked}, io.Discard)
	require.ErrorContains(t, err, "CGO_ENABLED=0")
}

func TestTheRedisImageBringsEveryLibraryAndAShell(t *testing.T) {
	t.Parallel()
	_, err := exec.LookPath("redis-server")
	require.NoError(t, err, "run make deps")
	out := filepath.Join(t.TempDir(), "redis.tar")
	require.NoError(t, run([]string{"-o", out, "redis"}, io.Discard))

	img, tree := open(t, out, "docker.io/library/redis:7")
	file, err := img.ConfigFile()
	require.NoError(t, err)
	require.Equal(t, []string{"redis-server"}, file.Config.Cmd)
	require.Equal(t, 65532, tree["data/"].Uid)
	require.Equal(t, "/bin/busybox", tree["bin/sh"].Linkname)
	require.Contains(t, tree, "usr/bin/redis-cli")

	// ldd knows better than we do what the loader will ask for.
	said, err := exec.Command("ldd", "/usr/bin/redis-server").Output()
	require.NoError(t, err)
	for _, path := range absolutePaths(string(said)) {
		require.Contains(t, tree, path[1:])
	}
}

// absolutePaths finds the libraries in what ldd says.
func absolutePaths(said string) []string {
	var paths []string
	for _, word := range strings.Fields(said) {
		if strings.HasPrefix(word, "/") {
			paths = append(paths, word)
		}
	}
	return paths
}

func TestTheMinIOImageStartsMinIO(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "minio.tar")
	require.NoError(t, run([]string{"-o", out, "minio", program(t)}, io.Discard))
	img, tree := open(t, out, "docker.io/minio/minio:latest")
	file, err := img.ConfigFile()
	require.NoError(t, err)
	require.Equal(t, []string{"minio"}, file.Config.Entrypoint)
	require.Contains(t, tree, "usr/bin/minio")
}

func TestBadCommandLinesWriteNothing(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{
		"no kind":           {},
		"an unknown kind":   {"floppy"},
		"a missing program": {"product", "one"},
	}
	for name, args := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := filepath.Join(t.TempDir(), "x.tar")
			require.ErrorIs(t, run(append([]string{"-o", out}, args...), io.Discard), flag.ErrHelp)
			require.NoFileExists(t, out)
		})
	}
	t.Run("a bad tag", func(t *testing.T) {
		t.Parallel()
		out := filepath.Join(t.TempDir(), "x.tar")
		argosy := program(t)
		require.Error(t, run([]string{"-o", out, "-tag", "UPPER CASE", "product", argosy, argosy}, io.Discard))
		require.NoFileExists(t, out)
	})
}
