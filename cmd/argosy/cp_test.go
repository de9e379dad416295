package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const leavesArtifacts = `
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: leaves}
spec:
  entrypoint: main
  templates:
  - name: main
    steps:
    - - {name: a, template: leave, withItems: [one, two], arguments: {parameters: [{name: who, value: "{{item}}"}]}}
      - {name: b, template: other}
  - name: leave
    inputs: {parameters: [{name: who}]}
    container: {image: busybox, command: [sh, -c, "echo {{inputs.parameters.who}} > /tmp/f; mkdir -p /tmp/d/e; echo d > /tmp/d/e/g"]}
    outputs:
      artifacts:
      - {name: plain, path: /tmp/f, archive: {none: {}}, s3: {key: "kept/{{inputs.parameters.who}}.txt"}}
      - {name: dir, path: /tmp/d, archive: {none: {}}}
      - {name: packed, path: /tmp/f}
  - name: other
    container: {image: busybox, command: [sh, -c, "echo o > /tmp/f"]}
    outputs: {artifacts: [{name: plain, path: /tmp/f, archive: {none: {}}}]}
`

func TestTheArtifactsOfARunAreCopied(t *testing.T) {
	t.Parallel()
	r := startRoles(t)
	r.server = r.serve("--artifacts", r.dir)
	r.start("coordinator")
	r.worker()
	ok := func(args ...string) string {
		out, errs, code := r.argosy(args...)
		require.Zero(t, code, "%v: %s%s", args, out, errs)
		return out
	}
	ok("submit", "--wait", file(t, leavesArtifacts))

	out := filepath.Join(t.TempDir(), "out")
	printed := ok("cp", "leaves", out)
	require.Equal(t, 7, strings.Count(printed, "Created "), printed)
	for name, want := range map[string]string{
		"default/leaves/*/outputs/plain/one.txt": "one\n", "default/leaves/*/outputs/plain/two.txt": "two\n", "default/leaves/*/outputs/plain/plain": "o\n",
	} {
		found, err := filepath.Glob(filepath.Join(out, name))
		require.NoError(t, err)
		require.Len(t, found, 1, name)
		data, err := os.ReadFile(found[0])
		require.NoError(t, err)
		require.Equal(t, want, string(data))
	}
	dirs, err := filepath.Glob(filepath.Join(out, "default/leaves/*/outputs/dir/dir.tgz"))
	require.NoError(t, err)
	require.Len(t, dirs, 2)
	data, err := os.ReadFile(dirs[0])
	require.NoError(t, err)
	require.Equal(t, map[string]string{"dir/e/g": "d\n"}, untar(t, data))
	packed, err := filepath.Glob(filepath.Join(out, "default/leaves/*/outputs/packed/packed.tgz"))
	require.NoError(t, err)
	require.Len(t, packed, 2)

	some := filepath.Join(t.TempDir(), "some")
	ok("cp", "leaves", some, "--template-name", "leave", "--artifact-name", "plain", "--path", "{templateName}/{artifactName}")
	require.FileExists(t, filepath.Join(some, "leave/plain/one.txt"))
	require.FileExists(t, filepath.Join(some, "leave/plain/two.txt"))
	require.NoFileExists(t, filepath.Join(some, "other/plain/plain"))

	_, errs, code := r.argosy("cp", "leaves", some, "--path", "../out")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "is not in the directory")
	_, errs, code = r.argosy("cp", "none", some)
	require.NotZero(t, code)
	require.Contains(t, errs, "not found")
}

// untar reads the files of an archive.
func untar(t *testing.T, data []byte) map[string]string {
	t.Helper()
	unzipped, err := gzip.NewReader(bytes.NewReader(data))
	require.NoError(t, err)
	files := map[string]string{}
	for in := tar.NewReader(unzipped); ; {
		h, err := in.Next()
		if err == io.EOF {
			return files
		}
		require.NoError(t, err)
		if h.Typeflag == tar.TypeReg {
			body, err := io.ReadAll(in)
			require.NoError(t, err)
			files[h.Name] = string(body)
		}
	}
}
