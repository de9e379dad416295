package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Replace lets fill make a file or directory at a temporary path, on the file
// system of dest, and then moves it to dest: whoever looks at dest sees the old
// or the new. A directory that is there already (often a mount, which cannot be
// replaced) is kept and filled instead. Nothing is left behind on failure.
func Replace(dest string, fill func(tmp string) error) error {
	dest, err := filepath.Abs(dest)
	if err != nil {
		return fmt.Errorf("placing %s: %w", dest, err)
	}
	parent := filepath.Dir(dest)
	existing, err := os.Stat(dest)
	isDir := err == nil && existing.IsDir()
	if isDir {
		parent = dest
	} else if err := os.MkdirAll(parent, 0o755); err != nil {
		return fmt.Errorf("placing %s: %w", dest, err)
	}
	work, err := os.MkdirTemp(parent, ".argosy-*")
	if err != nil {
		return fmt.Errorf("placing %s: %w", dest, err)
	}
	defer discard(work)
	tmp := filepath.Join(work, "new")
	if err := fill(tmp); err != nil {
		return fmt.Errorf("placing %s: %w", dest, err)
	}
	if isDir {
		err = merge(tmp, dest)
	} else {
		err = move(tmp, dest)
	}
	if err != nil {
		return fmt.Errorf("placing %s: %w", dest, err)
	}
	return nil
}

// merge moves what is in one directory into another.
func merge(from, to string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("a directory is in the place of a file: %w", fs.ErrExist)
	}
	if err := os.Chmod(from, info.Mode().Perm()|0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		source, target := filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name())
		if there, err := os.Lstat(target); err == nil && there.IsDir() {
			if err := merge(source, target); err != nil {
				return err
			}
			continue
		}
		if err := move(source, target); err != nil {
			return err
		}
	}
	return nil
}

// move renames, also a directory that its owner may not write to: its entry
// for the parent changes.
func move(from, to string) error {
	err := os.Rename(from, to)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	info, statErr := os.Lstat(from)
	if statErr != nil || !info.IsDir() {
		return err
	}
	if chmodErr := os.Chmod(from, info.Mode().Perm()|0o700); chmodErr != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return os.Chmod(to, info.Mode().Perm())
}

// discard removes a tree, also one with directories that may not be written to.
func discard(dir string) {
	if os.RemoveAll(dir) == nil {
		return
	}
	_ = filepath.WalkDir(dir, func(name string, entry fs.DirEntry, _ error) error {
		if entry != nil && entry.IsDir() {
			_ = os.Chmod(name, 0o700)
		}
		return nil
	})
	_ = os.RemoveAll(dir)
}
