package executortest

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/worker"
	"argosy/workflow/spec"
)

// Tree is files by their path; a path "" is a lone file.
type Tree map[string]string

// Store is an artifact store in memory. It knows plain objects and tar with gzip.
type Store struct {
	mu      sync.Mutex
	objects Tree
	broken  error
	parts   *PartServer // nil: pods write nothing by themselves
}

// NewStore makes an empty store.
func NewStore() *Store { return &Store{objects: Tree{}} }

var _ worker.ArtifactStore = (*Store)(nil)

// Break makes everything that is written fail.
func (s *Store) Break(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = err
}

// Set puts a plain object.
func (s *Store) Set(key, content string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[key] = content
}

// Objects returns what is stored, by key.
func (s *Store) Objects() Tree {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.objects)
}

// Pack puts the tree as one packed object.
func (s *Store) Pack(key string, tree Tree) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, path := range slices.Sorted(maps.Keys(tree)) {
		name := "top"
		if path != "" {
			name += "/" + path
		}
		// Writing to memory does not fail.
		_ = w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(tree[path])), Typeflag: tar.TypeReg})
		_, _ = io.WriteString(w, tree[path])
	}
	_ = w.Close()
	_ = z.Close()
	s.Set(key, b.String())
}

// Unpack reads a packed object.
func (s *Store) Unpack(t testing.TB, key string) Tree {
	t.Helper()
	data, ok := s.Objects()[key]
	require.True(t, ok, "no object %q in %v", key, slices.Sorted(maps.Keys(s.Objects())))
	dir := filepath.Join(t.TempDir(), "unpacked")
	require.NoError(t, unpack(strings.NewReader(data), dir))
	tree, err := readTree(dir)
	require.NoError(t, err)
	return tree
}

// For implements worker.ArtifactStore.
func (s *Store) For(*worker.Step) worker.ArtifactStore { return s }

// Keys implements worker.ArtifactStore.
func (s *Store) Keys(_ context.Context, a *spec.Artifact) ([]string, error) {
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(s.Objects())) {
		if strings.HasPrefix(key, a.S3.Key) {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// Load implements worker.ArtifactStore.
func (s *Store) Load(ctx context.Context, a *spec.Artifact, path string) error {
	names, err := s.List(ctx, a)
	if err != nil {
		return err
	}
	for _, name := range names {
		r, err := s.Open(ctx, a, name)
		if err != nil {
			return err
		}
		to, in := filepath.Join(path, name), bufio.NewReader(r)
		if magic, _ := in.Peek(2); string(magic) == "\x1f\x8b" && (a.Archive == nil || a.Archive.None == nil) {
			err = unpack(in, to)
		} else {
			err = writeFile(to, in)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Save implements worker.ArtifactStore.
func (s *Store) Save(ctx context.Context, a *spec.Artifact, path string) error {
	tree, err := readTree(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", worker.ErrNoArtifact, err)
	}
	if err != nil {
		return err
	}
	if worker.ArchiveOf(a) == worker.ArchiveNone {
		for name, content := range tree {
			if err := s.Put(ctx, a, name, strings.NewReader(content)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := s.Put(ctx, a, "", strings.NewReader("")); err != nil {
		return err
	}
	s.Pack(a.S3.Key, tree)
	return nil
}

// List implements worker.ArtifactStore.
func (s *Store) List(_ context.Context, a *spec.Artifact) ([]string, error) {
	var names []string
	for key := range s.Objects() {
		if key == a.S3.Key {
			return []string{""}, nil
		}
		if name, ok := strings.CutPrefix(key, a.S3.Key+"/"); ok {
			names = append(names, name)
		}
	}
	if names == nil {
		return nil, fmt.Errorf("%w: %q", worker.ErrNoArtifact, a.S3.Key)
	}
	slices.Sort(names)
	return names, nil
}

// Open implements worker.ArtifactStore.
func (s *Store) Open(_ context.Context, a *spec.Artifact, object string) (io.ReadCloser, error) {
	content, ok := s.Objects()[objectKey(a, object)]
	if !ok {
		return nil, fmt.Errorf("%w: %q", worker.ErrNoArtifact, objectKey(a, object))
	}
	return io.NopCloser(strings.NewReader(content)), nil
}

// Put implements worker.ArtifactStore.
func (s *Store) Put(_ context.Context, a *spec.Artifact, object string, r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.broken
	}
	s.objects[objectKey(a, object)] = string(data)
	return nil
}

func objectKey(a *spec.Artifact, object string) string {
	if object == "" {
		return a.S3.Key
	}
	return a.S3.Key + "/" + object
}

func readTree(path string) (Tree, error) {
	tree := Tree{}
	err := filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(path, p)
		if rel == "." {
			rel = ""
		}
		tree[rel] = string(data)
		return err
	})
	return tree, err
}

// unpack writes a packed tree to the path, whatever its top entry is called.
func unpack(r io.Reader, path string) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	for in := tar.NewReader(z); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		_, rest, _ := strings.Cut(strings.TrimPrefix(h.Name, "./"), "/")
		if err := writeFile(filepath.Join(path, rest), in); err != nil {
			return err
		}
	}
}

func writeFile(path string, r io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}
