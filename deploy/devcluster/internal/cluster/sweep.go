package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"argosy/deploy/devcluster/internal/proc"
)

// sweepTimeout bounds how long ended processes may take to be gone.
const sweepTimeout = 30 * time.Second

// Down takes everything away.
func Down(ctx context.Context) error {
	unlock, err := lock()
	if err != nil {
		return err
	}
	defer unlock()
	return Sweep(ctx)
}

// Sweep removes whatever a node left, in whatever state it was: its processes, its
// interface, its cgroups, its files. What is not there is no error, so it can be
// repeated, and continued after being interrupted at any point.
func Sweep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	if err := endNode(ctx); err != nil {
		return err
	}
	if _, err := net.InterfaceByName(hostLink); err == nil {
		// The kernel removes it too once the node's network is gone, in its own time.
		if err := ip(ctx, "link delete "+hostLink); err != nil && hasInterface(hostLink)(ctx) == nil {
			return fmt.Errorf("removing the interface: %w", err)
		}
	}
	if err := removeCgroups(ctx); err != nil {
		return err
	}
	if err := unmountState(); err != nil {
		return err
	}
	if err := removeMountPoints(); err != nil {
		return err
	}
	if err := os.RemoveAll(Root); err != nil {
		return fmt.Errorf("removing %s: %w", Root, err)
	}
	return nil
}

// endNode ends the node, and with it all it holds. The kernel lets process 1 of a
// namespace go only when every other process in it is gone.
func endNode(ctx context.Context) error {
	if id, err := proc.Load(pidFile); err == nil {
		if err := id.Kill(ctx); err != nil {
			return err
		}
	}
	// Also a node whose Up was killed between starting it and writing it down.
	for _, id := range proc.WithEnv(marker) {
		if err := id.Kill(ctx); err != nil {
			return err
		}
	}
	return nil
}

// hierarchies are the places where cgroup folders are made: one per controller, or the
// only one where the machine has cgroup v2.
func hierarchies() ([]string, error) {
	mounts, err := mountPoints()
	if err != nil {
		return nil, err
	}
	var found []string
	for _, m := range mounts {
		if m.kind == "cgroup" || m.kind == "cgroup2" {
			found = append(found, m.path)
		}
	}
	return found, nil
}

// makeCgroups makes the folder the kubelet is told to work under; it makes only those
// below by itself.
func makeCgroups() error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	for _, root := range roots {
		if err := os.MkdirAll(filepath.Join(root, cgroupRoot), 0o755); err != nil {
			return fmt.Errorf("making cgroups: %w", err)
		}
		for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
			// In cgroup v1 a new folder has no processors until it is given some.
			value, err := os.ReadFile(filepath.Join(root, name))
			if err != nil {
				continue
			}
			if err := os.WriteFile(filepath.Join(root, cgroupRoot, name), value, 0o644); err != nil {
				return fmt.Errorf("making cgroups: %w", err)
			}
		}
	}
	return nil
}

// removeCgroups removes the folders from the deepest up. One that still empties itself
// is busy for a moment.
func removeCgroups(ctx context.Context) error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	for _, root := range roots {
		var folders []string
		err := filepath.WalkDir(filepath.Join(root, cgroupRoot), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				folders = append(folders, path)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("listing cgroups: %w", err)
		}
		slices.Reverse(folders)
		for _, folder := range folders {
			gone := func(context.Context) error {
				if err := syscall.Rmdir(folder); err != nil && !errors.Is(err, syscall.ENOENT) {
					return err
				}
				return nil
			}
			if err := await(ctx, "cgroup "+folder+" to empty", gone); err != nil {
				return err
			}
		}
	}
	return nil
}

// unmountState unmounts what someone mounted below the state folder on the host's side,
// so that removing the folder never reaches into another file system.
func unmountState() error {
	mounts, err := mountPoints()
	if err != nil {
		return err
	}
	slices.Reverse(mounts)
	for _, m := range mounts {
		if m.path == Root || strings.HasPrefix(m.path, Root+"/") {
			if err := syscall.Unmount(m.path, syscall.MNT_DETACH); err != nil {
				return fmt.Errorf("unmounting %s: %w", m.path, err)
			}
		}
	}
	return nil
}

type mountPoint struct{ path, kind string }

// mountPoints lists the host's mounts in the order they were made.
func mountPoints() ([]mountPoint, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("listing mounts: %w", err)
	}
	defer f.Close()
	var all []mountPoint
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if m, ok := parseMount(lines.Text()); ok {
			all = append(all, m)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("listing mounts: %w", err)
	}
	return all, nil
}

// parseMount reads a line of mountinfo: the fifth field is the path, with odd characters
// as octal escapes, and the kind of file system follows a lone dash.
func parseMount(line string) (mountPoint, bool) {
	before, after, ok := strings.Cut(line, " - ")
	fields, rest := strings.Fields(before), strings.Fields(after)
	if !ok || len(fields) < 5 || len(rest) < 1 {
		return mountPoint{}, false
	}
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	return mountPoint{path: unescape.Replace(fields[4]), kind: rest[0]}, true
}

// madeFile lists the mount points that were not there before us.
const madeFile = Root + ".made"

// makeMountPoint makes a folder for the node to mount over, and notes first that it is
// ours to remove.
func makeMountPoint(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	f, err := os.OpenFile(madeFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("making %s: %w", path, err)
	}
	defer f.Close()
	if _, err := fmt.Fprintln(f, path); err != nil {
		return fmt.Errorf("making %s: %w", path, err)
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return fmt.Errorf("making %s: %w", path, err)
	}
	return nil
}

// removeMountPoints removes those folders again, unless someone has begun to use them.
func removeMountPoints() error {
	made, err := os.ReadFile(madeFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("removing mount points: %w", err)
	}
	for path := range strings.Lines(string(made)) {
		err := syscall.Rmdir(strings.TrimSpace(path))
		if err != nil && !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ENOTEMPTY) {
			return fmt.Errorf("removing mount point %s: %w", path, err)
		}
	}
	if err := os.Remove(madeFile); err != nil {
		return fmt.Errorf("removing mount points: %w", err)
	}
	return nil
}
