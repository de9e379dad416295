package cache

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

var hello = Program{Name: "hello", Version: "v1", Package: ".", Links: []string{"alias"}}

func newCache(t *testing.T, log io.Writer, body string) Cache {
	t.Helper()
	c := Cache{Root: t.TempDir(), Source: t.TempDir(), Log: log}
	write(t, c, "go.mod", "module hello\n\ngo 1.24\n")
	write(t, c, "main.go", body)
	return c
}

func write(t *testing.T, c Cache, name, body string) {
	t.Helper()
	path := filepath.Join(c.Source, hello.Name, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
		t.Fatal(err)
	}
}

const helloWorld = "package main\n\nfunc main() { println(\"hello\") }\n"

func TestBuildersAtOnceBuildOnce(t *testing.T) {
	t.Parallel()
	var log lockedLog
	c := newCache(t, &log, helloWorld)
	var builders sync.WaitGroup
	for range 4 {
		builders.Go(func() {
			bin, err := c.Ensure(context.Background(), hello)
			if err != nil {
				t.Error(err)
				return
			}
			for _, name := range []string{"hello", "alias"} {
				out, err := exec.Command(filepath.Join(bin, name)).CombinedOutput()
				if err != nil || string(out) != "hello\n" {
					t.Errorf("%s says %q, %v", name, out, err)
				}
			}
		})
	}
	builders.Wait()
	if n := strings.Count(log.String(), "building hello"); n != 1 {
		t.Errorf("built %d times, want once", n)
	}
}

func TestAFailedBuildLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	c := newCache(t, io.Discard, "package main\n\nfunc main() { broken }\n")
	if _, err := c.Ensure(context.Background(), hello); err == nil {
		t.Fatal("no error")
	}
	entries, err := os.ReadDir(filepath.Join(c.Root, hello.Name))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "lock" {
			t.Errorf("%s is left", e.Name())
		}
	}
	abandoned := filepath.Join(c.Root, hello.Name, unfinished+"1")
	if err := os.Mkdir(abandoned, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, c, "main.go", helloWorld)
	if _, err := c.Ensure(context.Background(), hello); err != nil {
		t.Errorf("building once mended: %v", err)
	}
	if exists(abandoned) {
		t.Error("what a killed builder left is still there")
	}
}

func TestWhatDecidesABuildDecidesItsPlace(t *testing.T) {
	t.Parallel()
	c := newCache(t, io.Discard, helloWorld)
	before, err := c.BinDir(hello)
	if err != nil {
		t.Fatal(err)
	}
	changes := map[string]func() Program{
		"nothing":      func() Program { return hello },
		"linker flags": func() Program { p := hello; p.LDFlags = "-X a=b"; return p },
		"sums":         func() Program { write(t, c, "go.sum", "x\n"); return hello },
	}
	for _, name := range []string{"nothing", "linker flags", "sums"} {
		after, err := c.BinDir(changes[name]())
		if err != nil {
			t.Fatal(err)
		}
		if (after == before) != (name == "nothing") {
			t.Errorf("after a change of %s: %s, before: %s", name, after, before)
		}
	}
}

func TestFindSource(t *testing.T) {
	t.Parallel()
	clone := t.TempDir()
	build := filepath.Join(clone, "deploy", "devcluster", "build")
	for _, dir := range []string{filepath.Join(build, "kubernetes"), filepath.Join(clone, "some", "where")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(build, "kubernetes", "go.mod"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{".", "some/where", "deploy/devcluster", "deploy"} {
		if got, err := FindSource(filepath.Join(clone, from)); err != nil || got != build {
			t.Errorf("from %s: %s, %v, want %s", from, got, err, build)
		}
	}
	if got, err := FindSource(t.TempDir()); err == nil {
		t.Errorf("outside a clone: %s, want an error", got)
	}
}

// lockedLog is a log that builders may write to at once.
type lockedLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
