// Package artifacts keeps what steps leave for each other: objects under keys,
// in a directory or on S3, written and read as streams.
//
// A Store knows bytes only. Save and Load sit above it and turn the file or
// directory of an artifact into objects and back. Both stores pass the suite in
// artifactstest, so that a workflow cannot tell which one it runs on.
package artifacts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
	"unicode/utf8"
)

var (
	// ErrNotFound marks a key that holds nothing.
	ErrNotFound = errors.New("artifact not found")
	// ErrBadKey marks a key that no store takes.
	ErrBadKey = errors.New("bad artifact key")
	// ErrNoPath marks a local path that a step should have written and did not.
	ErrNoPath = errors.New("path does not exist")
)

// Object describes what a key holds.
type Object struct {
	Key     string
	Size    int64
	ModTime time.Time
}

// Store holds objects under keys. An error is ErrAway if to try again makes sense. All its methods may be called concurrently.
type Store interface {
	// Put stores the stream under the key, all or nothing. A size of -1 means
	// unknown; any other must be that of the stream.
	Put(ctx context.Context, key string, r io.Reader, size int64) error
	// Get opens an object, or fails with ErrNotFound.
	Get(ctx context.Context, key string) (io.ReadCloser, error)
	// Stat describes an object, or fails with ErrNotFound.
	Stat(ctx context.Context, key string) (Object, error)
	// List gives the objects whose keys begin with prefix, in order of the keys.
	// It ends at the first error.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]
	// Delete removes an object; that there is none is not an error.
	Delete(ctx context.Context, key string) error
}

const (
	maxKey     = 1024 // S3
	maxSegment = 255  // file systems, and MinIO on them
)

// checkKey refuses what S3 and a directory do not both keep as it is: keys are
// paths of plain names.
func checkKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("an empty key: %w", ErrBadKey)
	case len(key) > maxKey:
		return fmt.Errorf("a key of %d bytes, over %d: %w", len(key), maxKey, ErrBadKey)
	case !utf8.ValidString(key) || strings.ContainsRune(key, 0):
		return fmt.Errorf("key %q is not text: %w", key, ErrBadKey)
	}
	for name := range strings.SplitSeq(key, "/") {
		switch {
		case name == "" || name == "." || name == "..":
			return fmt.Errorf("key %q has the part %q: %w", key, name, ErrBadKey)
		case len(name) > maxSegment:
			return fmt.Errorf("key %q has a part of %d bytes, over %d: %w", key, len(name), maxSegment, ErrBadKey)
		}
	}
	return nil
}

// directory is the part of a prefix up to its last slash; false means that no
// key begins like this.
func directory(prefix string) (string, bool) {
	dir := prefix[:strings.LastIndex(prefix, "/")+1]
	return dir, dir == "" || checkKey(dir[:len(dir)-1]) == nil
}

// reading makes a reader end with its context.
type reading struct {
	ctx context.Context
	r   io.Reader
}

func (r reading) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
