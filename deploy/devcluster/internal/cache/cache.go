// Package cache builds the third-party programs the dev cluster runs, once per machine.
//
// Each program is a tiny Go module of its own under build/, because their dependencies
// contradict one another. A build is stored outside the clone under a name made from
// everything that decides its content, and put there by rename: a path that exists is
// complete, whoever was killed on the way, and a second clone finds it ready.
package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// Program is one third-party program and how it is built.
type Program struct {
	Name    string   // folder under build/, and the binary's name
	Version string   // for people reading the cache
	Package string   // what go build is pointed at, seen from that folder
	LDFlags string   // linker flags beyond stripping
	Links   []string // further names the binary answers to
}

// The programs the cluster needs, at the versions their go.mod pins.
var (
	Kubernetes = Program{
		Name: "kubernetes", Version: "v1.34.4", Package: ".",
		// Without the stamp a component calls itself v0.0.0-master and its peers balk.
		LDFlags: "-X k8s.io/component-base/version.gitVersion=v1.34.4" +
			" -X k8s.io/component-base/version.gitMajor=1" +
			" -X k8s.io/component-base/version.gitMinor=34",
		Links: []string{
			"kube-apiserver", "kube-controller-manager", "kube-scheduler",
			"kube-proxy", "kubelet", "kubectl",
		},
	}
	Containerd = Program{Name: "containerd", Version: "v1.7.35", Package: "github.com/containerd/containerd/cmd/containerd"}
	Etcd       = Program{Name: "etcd", Version: "v3.6.5", Package: "go.etcd.io/etcd/server/v3"}
	CoreDNS    = Program{Name: "coredns", Version: "v1.13.1", Package: "."}
	MinIO      = Program{Name: "minio", Version: "2026-02-12", Package: "github.com/minio/minio"}
	// Kwok simulates nodes for load tests; the cluster itself does without.
	Kwok = Program{Name: "kwok", Version: "v0.8.0", Package: "sigs.k8s.io/kwok/cmd/kwok"}
)

// Cache is a folder of built programs and the folder of modules they are built from.
type Cache struct {
	Root   string    // holds <name>/<version>-<hash>/bin/<name>
	Source string    // holds <name>/go.mod
	Log    io.Writer // told what is being built, and shown the compiler's words
}

// Dir is the cache every clone of the product shares.
func Dir() (string, error) {
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "argosy"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache folder: %w", err)
	}
	return filepath.Join(home, ".cache", "argosy"), nil
}

// FindSource looks for the build modules from dir upwards, so that the tool works both
// from its own folder and from anywhere in a clone.
func FindSource(dir string) (string, error) {
	for {
		for _, candidate := range []string{
			filepath.Join(dir, "build"),
			filepath.Join(dir, "deploy", "devcluster", "build"),
		} {
			if _, err := os.Stat(filepath.Join(candidate, Kubernetes.Name, "go.mod")); err == nil {
				return candidate, nil
			}
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("finding deploy/devcluster/build: start this from inside a clone")
		}
		dir = parent
	}
}

// BinDir says where p's binary and its links are, or will be once built.
func (c Cache) BinDir(p Program) (string, error) {
	hash := sha256.New()
	fmt.Fprintln(hash, runtime.Version(), runtime.GOARCH, p.Package, p.LDFlags, p.Links)
	for _, name := range []string{"go.mod", "go.sum", "main.go"} {
		content, err := os.ReadFile(filepath.Join(c.Source, p.Name, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // a module that only pins another's main package has no main.go
		}
		if err != nil {
			return "", fmt.Errorf("reading the build of %s: %w", p.Name, err)
		}
		fmt.Fprintln(hash, name, len(content))
		hash.Write(content)
	}
	version := p.Version + "-" + hex.EncodeToString(hash.Sum(nil))[:12]
	return filepath.Join(c.Root, p.Name, version, "bin"), nil
}

// Ensure builds p unless that is done already, and returns the folder of its binary.
// Builders of one program wait for one another; the later ones find the work done.
func (c Cache) Ensure(ctx context.Context, p Program) (string, error) {
	bin, err := c.BinDir(p)
	if err != nil {
		return "", err
	}
	if exists(bin) {
		return bin, nil
	}
	parent := filepath.Join(c.Root, p.Name)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", fmt.Errorf("making the cache of %s: %w", p.Name, err)
	}
	unlock, err := lock(filepath.Join(parent, "lock"))
	if err != nil {
		return "", fmt.Errorf("locking the cache of %s: %w", p.Name, err)
	}
	defer unlock()
	if exists(bin) {
		return bin, nil
	}
	if err := c.build(ctx, p, filepath.Dir(bin)); err != nil {
		return "", fmt.Errorf("building %s %s: %w", p.Name, p.Version, err)
	}
	return bin, nil
}

func (c Cache) build(ctx context.Context, p Program, home string) error {
	fmt.Fprintf(c.Log, "building %s %s (once per machine; minutes from cold)\n", p.Name, p.Version)
	if err := removeAbandoned(filepath.Dir(home)); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(home), unfinished)
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	bin := filepath.Join(tmp, "bin")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath",
		"-ldflags", strings.TrimSpace("-s -w "+p.LDFlags),
		"-o", filepath.Join(bin, p.Name), p.Package)
	cmd.Dir = filepath.Join(c.Source, p.Name)
	// Static binaries need no C compiler here. The caller's workspace and flags are not
	// the build's business, and would make one cache entry mean two things.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-buildvcs=false")
	cmd.Stdout, cmd.Stderr = c.Log, c.Log
	if err := cmd.Run(); err != nil {
		return err
	}
	for _, name := range p.Links {
		if err := os.Symlink(p.Name, filepath.Join(bin, name)); err != nil {
			return err
		}
	}
	return os.Rename(tmp, home)
}

// unfinished begins the name of a build that has not been put in its place.
const unfinished = ".building-"

// removeAbandoned removes what builders left that were killed. The lock is held, so
// none of it is in the making.
func removeAbandoned(parent string) error {
	abandoned, err := filepath.Glob(filepath.Join(parent, unfinished+"*"))
	if err != nil {
		return err
	}
	for _, path := range abandoned {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// lock takes an exclusive lock that the kernel gives back when the holder dies.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}
