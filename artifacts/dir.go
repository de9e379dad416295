package artifacts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// Dir is a Store in a directory: objects/<key> are the objects, and tmp holds
// what is being written. A rename between the two makes a Put visible at once
// or not at all. It does not wait for the disk: a power failure may cost what
// was written last, as it may with the Redis of the same machine.
//
// Names are opened through os.Root, so that no link below the directory leads
// out of it.
type Dir struct {
	root    *os.Root
	process string
	counter atomic.Uint64
}

// NewDir opens a directory store, making the directory if need be.
func NewDir(root string) (*Dir, error) {
	for _, sub := range []string{"objects", "tmp"} {
		if err := os.MkdirAll(filepath.Join(root, sub), 0o755); err != nil {
			return nil, fmt.Errorf("opening the artifact directory: %w", err)
		}
	}
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, fmt.Errorf("opening the artifact directory: %w", err)
	}
	return &Dir{root: r, process: strconv.Itoa(os.Getpid())}, nil
}

// Close lets go of the directory.
func (d *Dir) Close() error { return d.root.Close() }

func (d *Dir) name(key string) string { return path.Join("objects", key) }

// Put implements Store.
func (d *Dir) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	if err := checkKey(key); err != nil {
		return err
	}
	file, tmp, err := d.create()
	if err != nil {
		return fmt.Errorf("putting %s: %w", key, err)
	}
	n, err := io.Copy(file, reading{ctx, r})
	err = errors.Join(err, file.Close())
	if err == nil && size >= 0 && n != size {
		err = fmt.Errorf("got %d bytes, not the %d announced: %w", n, size, io.ErrUnexpectedEOF)
	}
	if err == nil {
		err = d.publish(tmp, d.name(key))
	}
	if err != nil {
		_ = d.root.Remove(tmp)
		return fmt.Errorf("putting %s: %w", key, err)
	}
	return nil
}

// create makes a temporary file. Other processes, and processes before this
// one with the same number, may use the same directory.
func (d *Dir) create() (*os.File, string, error) {
	for {
		tmp := path.Join("tmp", d.process+"-"+strconv.FormatUint(d.counter.Add(1), 10))
		file, err := d.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if !errors.Is(err, fs.ErrExist) {
			return file, tmp, err
		}
	}
}

// publish moves a finished file to its name. Puts and Deletes of neighbours may
// make and take away the directory at any moment between its making and the
// rename.
func (d *Dir) publish(tmp, name string) error {
	for attempt := 0; ; attempt++ {
		err := d.root.MkdirAll(path.Dir(name), 0o755)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
			return err
		}
		err = d.root.Rename(tmp, name)
		if !errors.Is(err, fs.ErrNotExist) || attempt == 100 {
			return err
		}
	}
}

// Get implements Store.
func (d *Dir) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	file, _, err := d.open(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("getting %s: %w", key, err)
	}
	return struct {
		io.Reader
		io.Closer
	}{reading{ctx, file}, file}, nil
}

// Stat implements Store.
func (d *Dir) Stat(ctx context.Context, key string) (Object, error) {
	file, info, err := d.open(ctx, key)
	if err != nil {
		return Object{}, fmt.Errorf("looking at %s: %w", key, err)
	}
	return Object{Key: key, Size: info.Size(), ModTime: info.ModTime()}, file.Close()
}

func (d *Dir) open(ctx context.Context, key string) (*os.File, fs.FileInfo, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if err := checkKey(key); err != nil {
		return nil, nil, err
	}
	file, err := d.root.Open(d.name(key))
	if isAbsent(err) {
		return nil, nil, ErrNotFound
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = ErrNotFound
	}
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return file, info, nil
}

// isAbsent includes a key below another object.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// List implements Store.
func (d *Dir) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		dir, ok := directory(prefix)
		if !ok {
			return
		}
		if _, err := d.list(ctx, dir, prefix, yield); err != nil {
			yield(Object{}, fmt.Errorf("listing %s: %w", prefix, err))
		}
	}
}

// list walks one directory (a key prefix that is empty or ends with a slash);
// it tells whether to go on.
func (d *Dir) list(ctx context.Context, dir, prefix string, yield func(Object, error) bool) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	entries, err := d.entries(path.Join("objects", dir))
	if err != nil {
		return false, err
	}
	for _, entry := range entries {
		key := dir + entry.Name()
		if entry.IsDir() {
			key += "/"
		}
		if !strings.HasPrefix(key, prefix) && !strings.HasPrefix(prefix, key) {
			continue
		}
		if entry.IsDir() {
			if more, err := d.list(ctx, key, prefix, yield); err != nil || !more {
				return more, err
			}
			continue
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			continue // deleted since, or not ours
		}
		if err != nil {
			return false, err
		}
		if strings.HasPrefix(key, prefix) && !yield(Object{Key: key, Size: info.Size(), ModTime: info.ModTime()}, nil) {
			return false, nil
		}
	}
	return true, nil
}

// entries are those of a directory in the order that their keys have: "a-b"
// comes before "a/b".
func (d *Dir) entries(name string) ([]fs.DirEntry, error) {
	file, err := d.root.Open(name)
	if isAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	entries, err := file.ReadDir(-1)
	if isAbsent(err) {
		return nil, nil
	}
	order := func(e fs.DirEntry) string {
		if e.IsDir() {
			return e.Name() + "/"
		}
		return e.Name()
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(order(a), order(b)) })
	return entries, err
}

// Delete implements Store.
func (d *Dir) Delete(ctx context.Context, key string) error {
	if err := cmp.Or(ctx.Err(), checkKey(key)); err != nil {
		return fmt.Errorf("deleting %s: %w", key, err)
	}
	name := d.name(key)
	info, err := d.root.Lstat(name)
	if isAbsent(err) || err == nil && info.IsDir() {
		return nil
	}
	if err == nil {
		err = d.root.Remove(name)
	}
	if err != nil && !isAbsent(err) {
		return fmt.Errorf("deleting %s: %w", key, err)
	}
	// An empty directory would stand in the way of an object of its name.
	for dir := path.Dir(name); dir != "objects"; dir = path.Dir(dir) {
		if d.root.Remove(dir) != nil {
			break
		}
	}
	return nil
}
