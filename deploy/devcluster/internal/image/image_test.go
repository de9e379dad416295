package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// unpack reads an archive into memory and fails on a name that occurs twice.
func unpack(t *testing.T, body []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	r := tar.NewReader(bytes.NewReader(body))
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := files[header.Name]; twice {
			t.Fatalf("%s is in the archive twice", header.Name)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = content
	}
}

func archive(t *testing.T) []byte {
	t.Helper()
	base, extra := NewLayer(), NewLayer()
	base.File("bin/tool", 0o755, []byte("tool"))
	base.Dir("tmp", 0o1777)
	extra.Symlink("bin/link", "/bin/tool")
	var out bytes.Buffer
	err := Write(&out,
		Image{Tags: []string{"docker.io/library/one:1"}, Layers: []*Layer{base}, Cmd: []string{"tool"}},
		Image{Tags: []string{"docker.io/library/two:1"}, Layers: []*Layer{base, extra}},
	)
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestArchiveIsWhatItsDigestsSay(t *testing.T) {
	t.Parallel()
	files := unpack(t, archive(t))
	var manifests []manifest
	if err := json.Unmarshal(files["manifest.json"], &manifests); err != nil {
		t.Fatal(err)
	}
	if len(manifests) != 2 {
		t.Fatalf("%d images, want 2", len(manifests))
	}
	for _, m := range manifests {
		var cfg config
		if err := json.Unmarshal(files[m.Config], &cfg); err != nil {
			t.Fatal(err)
		}
		for i, name := range m.Layers {
			sum := sha256.Sum256(files[name])
			if want := "sha256:" + hex.EncodeToString(sum[:]); cfg.RootFS.DiffIDs[i] != want {
				t.Errorf("%v layer %d: diff id %s, want %s", m.RepoTags, i, cfg.RootFS.DiffIDs[i], want)
			}
		}
	}
	// One layer is shared, so there are two layers, two configs and the manifest.
	if len(files) != 5 {
		t.Errorf("%d files in the archive, want 5", len(files))
	}
	if manifests[0].Layers[0] != manifests[1].Layers[0] {
		t.Error("the shared layer is not shared")
	}
}

func TestArchiveIsTheSameEachTime(t *testing.T) {
	t.Parallel()
	if !bytes.Equal(archive(t), archive(t)) {
		t.Error("the same images gave different archives")
	}
}

func TestLayerHasEveryParentFolderOnce(t *testing.T) {
	t.Parallel()
	l := NewLayer()
	l.File("usr/local/bin/a", 0o755, nil)
	l.File("usr/local/bin/b", 0o755, nil)
	body, err := l.pack()
	if err != nil {
		t.Fatal(err)
	}
	files := unpack(t, body)
	for _, dir := range []string{"usr/", "usr/local/", "usr/local/bin/"} {
		if _, ok := files[dir]; !ok {
			t.Errorf("%s is missing", dir)
		}
	}
}

func TestFullNames(t *testing.T) {
	t.Parallel()
	got := full([]string{"busybox:latest", "argoproj/argosay:v2", "quay.io/x/y:1", "localhost/z:1"})
	want := []string{
		"docker.io/library/busybox:latest", "docker.io/argoproj/argosay:v2", "quay.io/x/y:1", "localhost/z:1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestArgosay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := filepath.Join(dir, "argosay")
	if err := os.WriteFile(script, []byte(argosayScript), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "new", "folder", "file")
	tests := []struct {
		name string
		args []string
		out  string
		code int
	}{
		{"says hello by default", nil, "hello argo\n", 0},
		{"echoes without reading escapes", []string{"echo", `a\nb -n`}, "a\\nb -n\n", 0},
		{"echoes into a file", []string{"echo", "text", file}, "", 0},
		{"reads files", []string{"cat", file}, "text", 0},
		{"finds a text in a file", []string{"assert_contains", file, "ex"}, "", 0},
		{"misses a text in a file", []string{"assert_contains", file, "absent"}, "", 1},
		{"exits as told", []string{"exit", "7"}, "", 7},
		{"exits well by default", []string{"exit"}, "", 0},
		{"sleeps for a Go duration", []string{"sleep", "0m0.01s5ms"}, "", 0},
		{"refuses a duration without unit", []string{"sleep", "5"}, "", 2},
		{"refuses an unknown verb", []string{"dance"}, "", 2},
		{"reports a missing file", []string{"cat", filepath.Join(dir, "missing")}, "", 1},
	}
	for _, test := range tests { // in order: one writes what another reads
		var stdout bytes.Buffer
		cmd := exec.Command("/bin/busybox", append([]string{"sh", script}, test.args...)...)
		cmd.Stdout = &stdout
		err := cmd.Run()
		if cmd.ProcessState == nil {
			t.Fatalf("%s: %v (busybox is missing? run: make deps)", test.name, err)
		}
		if code := cmd.ProcessState.ExitCode(); code != test.code || stdout.String() != test.out {
			t.Errorf("%s: exit code %d and %q, want %d and %q", test.name, code, stdout.String(), test.code, test.out)
		}
	}
}

func TestStockImagesHoldTheirPrograms(t *testing.T) {
	t.Parallel()
	images, err := Stock(DefaultAliases())
	if err != nil {
		t.Fatalf("%v (a package is missing? run: make deps)", err)
	}
	wanted := map[string][]string{
		Pause:                                 {"bin/sh", "bin/busybox", "bin/sleep"},
		"docker.io/library/busybox:latest":    {"bin/sh", "usr/bin/env", "tmp/", "etc/passwd"},
		"docker.io/library/python:alpine3.23": {"bin/sh", "usr/local/bin/python", "usr/local/bin/python3"},
		"docker.io/argoproj/argosay:v2":       {"bin/sh", "usr/local/bin/argosay", "argosay"},
	}
	for _, img := range images {
		files := map[string][]byte{}
		for _, layer := range img.Layers {
			body, err := layer.pack()
			if err != nil {
				t.Fatal(err)
			}
			for name, content := range unpack(t, body) {
				files[name] = content
			}
		}
		for tag, names := range wanted {
			if !slices.Contains(img.Tags, tag) {
				continue
			}
			delete(wanted, tag)
			for _, name := range names {
				if _, ok := files[name]; !ok {
					t.Errorf("%s lacks %s", tag, name)
				}
			}
			if strings.Contains(tag, "python") && !hasLoader(files) {
				t.Errorf("%s lacks the dynamic loader", tag)
			}
		}
	}
	for tag := range wanted {
		t.Errorf("no image is called %s", tag)
	}
}

func hasLoader(files map[string][]byte) bool {
	for name := range files {
		if strings.HasPrefix(filepath.Base(name), "ld-linux") {
			return true
		}
	}
	return false
}
