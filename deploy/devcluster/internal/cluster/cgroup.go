package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

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
		if err := delegate(root); err != nil {
			return err
		}
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

// delegate lets folders below root use its controllers, which cgroup v2 wants asked for.
func delegate(root string) error {
	controllers, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delegating cgroup controllers: %w", err)
	}
	for _, name := range strings.Fields(string(controllers)) {
		err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+"+name), 0o644)
		if err != nil {
			return fmt.Errorf("delegating cgroup controller %s: %w", name, err)
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
