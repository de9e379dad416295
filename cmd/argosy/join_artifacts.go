package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"argosy/artifacts"
	"argosy/artifacts/archive"
	"argosy/worker"
	"argosy/workflow/spec"
)

// artifactStore keeps the artifacts of steps in the default repository.
type artifactStore struct {
	store  artifacts.Store
	bucket string // of the repository; "" for a directory
}

// key is where the default repository has an artifact.
func (s *artifactStore) key(a *spec.Artifact) (string, error) {
	if a.S3 == nil || a.S3.Key == "" {
		return "", fmt.Errorf("artifact %s has no location in the default repository", a.Name)
	}
	if b := a.S3.Bucket; b != "" && b != s.bucket {
		return "", fmt.Errorf("artifact %s is in bucket %q, and only the default repository's bucket %q can be used", a.Name, b, s.bucket)
	}
	return strings.Trim(a.S3.Key, "/"), nil
}

func (s *artifactStore) For(*worker.Step) worker.ArtifactStore { return s }

func (s *artifactStore) Keys(ctx context.Context, a *spec.Artifact) ([]string, error) {
	prefix := ""
	if a.S3 != nil && a.S3.Key != "" {
		key, err := s.key(a)
		if err != nil {
			return nil, err
		}
		prefix = key + "/"
	}
	var keys []string
	for o, err := range s.store.List(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("listing the keys below %q: %w", prefix, asStoreError(err))
		}
		keys = append(keys, o.Key)
	}
	return keys, nil
}

func (s *artifactStore) Load(ctx context.Context, a *spec.Artifact, path string) error {
	key, err := s.key(a)
	if err != nil {
		return err
	}
	load := artifacts.Load
	switch worker.ArchiveOf(a) {
	case worker.ArchiveNone:
		load = artifacts.LoadPlain
	case worker.ArchiveZip:
		load = artifacts.LoadZip
	}
	return asStoreError(load(ctx, s.store, key, path))
}

func (s *artifactStore) Save(ctx context.Context, a *spec.Artifact, path string) error {
	key, err := s.key(a)
	if err != nil {
		return err
	}
	_, err = artifacts.Save(ctx, s.store, key, path, format(a))
	return asStoreError(err)
}

// asStoreError says what the worker has to know of a store's error.
func asStoreError(err error) error {
	switch {
	case errors.Is(err, artifacts.ErrNotFound), errors.Is(err, artifacts.ErrNoPath):
		return fmt.Errorf("%w: %w", worker.ErrNoArtifact, err)
	case errors.Is(err, artifacts.ErrAway):
		return fmt.Errorf("%w: %w", worker.ErrStoreAway, err)
	}
	return err
}

func format(a *spec.Artifact) artifacts.Archive {
	switch worker.ArchiveOf(a) {
	case worker.ArchiveNone:
		return artifacts.Archive{Kind: archive.None}
	case worker.ArchiveZip:
		return artifacts.Archive{Kind: archive.Zip}
	}
	f := artifacts.Archive{Kind: archive.Tar}
	if a.Archive != nil && a.Archive.Tar != nil && a.Archive.Tar.CompressionLevel != nil {
		level := int(*a.Archive.Tar.CompressionLevel)
		f.Level = &level
	}
	return f
}

func (s *artifactStore) List(ctx context.Context, a *spec.Artifact) ([]string, error) {
	key, err := s.key(a)
	if err != nil {
		return nil, err
	}
	if _, err := s.store.Stat(ctx, key); err == nil {
		return []string{""}, nil
	} else if !errors.Is(err, artifacts.ErrNotFound) {
		return nil, fmt.Errorf("looking for artifact %s: %w", a.Name, asStoreError(err))
	}
	var objects []string
	for o, err := range s.store.List(ctx, key+"/") {
		if err != nil {
			return nil, fmt.Errorf("listing artifact %s: %w", a.Name, asStoreError(err))
		}
		objects = append(objects, strings.TrimPrefix(o.Key, key+"/"))
	}
	if len(objects) == 0 {
		return nil, fmt.Errorf("%w: nothing at %s", worker.ErrNoArtifact, key)
	}
	return objects, nil
}

// object is the key of one object of an artifact.
func (s *artifactStore) object(a *spec.Artifact, object string) (string, error) {
	key, err := s.key(a)
	if err != nil || object == "" {
		return key, err
	}
	return key + "/" + object, nil
}

func (s *artifactStore) Open(ctx context.Context, a *spec.Artifact, object string) (io.ReadCloser, error) {
	key, err := s.object(a, object)
	if err != nil {
		return nil, err
	}
	r, err := s.store.Get(ctx, key)
	return r, asStoreError(err)
}

func (s *artifactStore) Put(ctx context.Context, a *spec.Artifact, object string, r io.Reader) error {
	key, err := s.object(a, object)
	if err != nil {
		return err
	}
	return asStoreError(s.store.Put(ctx, key, r, -1))
}
