package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// scratchDir is the directory on disk of one pool, below a parent that pools share. A lock
// on it lives as long as the process, so that whoever comes later can tell what a dead
// predecessor left.
type scratchDir struct {
	parent string
	path   string
	lock   *os.File
}

const scratchPrefix = "sandbox-"

// openScratchDir sweeps what dead predecessors left in parent and makes a directory there.
func openScratchDir(parent string) (*scratchDir, error) {
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return nil, fmt.Errorf("making the scratch directory: %w", err)
	}
	parent, err := filepath.EvalSymlinks(parent)
	if err != nil {
		return nil, fmt.Errorf("resolving the scratch directory: %w", err)
	}
	if parent, err = filepath.Abs(parent); err != nil {
		return nil, fmt.Errorf("resolving the scratch directory: %w", err)
	}
	// While the parent is locked nobody can find a directory of ours that has no lock yet.
	door, err := lockDir(parent, unix.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("locking the scratch directory: %w", err)
	}
	defer door.Close()
	if err := sweep(parent); err != nil {
		return nil, fmt.Errorf("sweeping the scratch directory: %w", err)
	}
	d := &scratchDir{parent: parent}
	if d.path, err = os.MkdirTemp(parent, scratchPrefix); err != nil {
		return nil, fmt.Errorf("making a scratch directory: %w", err)
	}
	if d.lock, err = lockDir(d.path, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, fmt.Errorf("locking a scratch directory: %w", err)
	}
	return d, nil
}

func lockDir(dir string, how int) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), how)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			f.Close()
			return nil, err
		}
		return f, nil
	}
}

// sweep removes the directories whose owner is dead.
func sweep(parent string) error {
	dirs, err := filepath.Glob(filepath.Join(parent, scratchPrefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		lock, err := lockDir(dir, unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			continue
		}
		if err != nil {
			return err
		}
		err = removeAll(dir)
		lock.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// removeAll removes a tree also where a step, or the overlay itself, left directories
// without permissions.
func removeAll(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if e != nil && e.IsDir() {
			// Before its entries are read: WalkDir calls once more with the error if not.
			return os.Chmod(p, 0o700)
		}
		return err
	})
	if err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// close removes the directory. It is safe on nil.
func (d *scratchDir) close() error {
	if d == nil {
		return nil
	}
	defer d.lock.Close()
	if err := removeAll(d.path); err != nil {
		return fmt.Errorf("removing the scratch directory: %w", err)
	}
	return nil
}
