package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"argosy/artifacts"
	"argosy/artifacts/archive"
	"argosy/artifacts/plugin"
	"argosy/worker"
	"argosy/worker/egress"
	"argosy/workflow/spec"
)

// artifactStore keeps artifacts where their locations say: in the fleet's own store, in the
// repository of the run, or at a place of their own.
type artifactStore struct {
	own         artifacts.Store
	bucket      string // of own; "" for a directory
	objects     worker.Objects
	web         *egress.Guard // for what workflows name
	buckets     *egress.Guard // for S3, where the fleet's own server may be named, with other keys
	gcsEndpoint string        // where Google Cloud Storage is not at its own address
	lend        bool          // the worker's own identity in its cloud, to workflows that ask for it
	plugins     *plugin.Plugins
	direct      bool // pods may write to S3 by addresses that are signed for them

	// Of a step.
	namespace  string
	repository *spec.ArtifactLocation
}

// For implements worker.ArtifactStore.
func (s *artifactStore) For(step *worker.Step) worker.ArtifactStore {
	of := *s
	of.namespace, of.repository = step.Run.Namespace, nil
	if r := step.Repository; r != nil {
		of.repository = r.Location("")
	}
	return &of
}

func (s *artifactStore) Keys(ctx context.Context, a *spec.Artifact) ([]string, error) {
	if _, keyed := a.Key(); !keyed {
		return nil, fmt.Errorf("artifact %s is in a store that has no keys to list", a.Name)
	}
	store, key, err := s.at(ctx, a)
	if err != nil {
		return nil, err
	}
	prefix := ""
	if key != "" {
		prefix = key + "/"
	}
	var keys []string
	for o, err := range store.List(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("listing the keys below %q: %w", prefix, asStoreError(err))
		}
		keys = append(keys, o.Key)
	}
	return keys, nil
}

func (s *artifactStore) Load(ctx context.Context, a *spec.Artifact, path string) error {
	store, key, err := s.at(ctx, a)
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
	if a.Git != nil { // it comes packed, whatever its template says
		load = artifacts.Load
	}
	return asStoreError(load(ctx, store, key, path))
}

func (s *artifactStore) Save(ctx context.Context, a *spec.Artifact, path string) error {
	store, key, err := s.at(ctx, a)
	if err != nil {
		return err
	}
	_, err = artifacts.Save(ctx, store, key, path, format(a))
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
	store, key, err := s.at(ctx, a)
	if err != nil {
		return nil, err
	}
	if _, keyed := a.Key(); !keyed { // one object, which is there or is not when it is opened
		return []string{""}, nil
	}
	if _, err := store.Stat(ctx, key); err == nil {
		return []string{""}, nil
	} else if !errors.Is(err, artifacts.ErrNotFound) {
		return nil, fmt.Errorf("looking for artifact %s: %w", a.Name, asStoreError(err))
	}
	var objects []string
	for o, err := range store.List(ctx, key+"/") {
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

// object finds one object of an artifact.
func (s *artifactStore) object(ctx context.Context, a *spec.Artifact, object string) (artifacts.Store, string, error) {
	store, key, err := s.at(ctx, a)
	if err != nil || object == "" {
		return store, key, err
	}
	return store, key + "/" + object, nil
}

func (s *artifactStore) Open(ctx context.Context, a *spec.Artifact, object string) (io.ReadCloser, error) {
	store, key, err := s.object(ctx, a, object)
	if err != nil {
		return nil, err
	}
	r, err := store.Get(ctx, key)
	return r, asStoreError(err)
}

func (s *artifactStore) Put(ctx context.Context, a *spec.Artifact, object string, r io.Reader) error {
	store, key, err := s.object(ctx, a, object)
	if err != nil {
		return err
	}
	return asStoreError(store.Put(ctx, key, r, -1))
}

// Parts implements worker.ArtifactStore, for what lies in S3 and can be reached from elsewhere.
func (s *artifactStore) Parts(ctx context.Context, a *spec.Artifact, object string) (worker.Parts, error) {
	store, key, err := s.object(ctx, a, object)
	if err != nil {
		return nil, err
	}
	if parts, ok := store.(artifacts.Parts); ok && s.direct {
		return &objectParts{parts, key}, nil
	}
	return nil, nil
}

// objectParts is one object of a store that takes parts.
type objectParts struct {
	artifacts.Parts
	key string
}

func (p *objectParts) Start(ctx context.Context) (string, error) {
	id, err := p.StartParts(ctx, p.key)
	if errors.Is(err, artifacts.ErrNoParts) {
		return "", nil
	}
	return id, asStoreError(err)
}

func (p *objectParts) Presign(ctx context.Context, id string, number int, md5 []byte, ttl time.Duration) (string, error) {
	u, err := p.PresignPart(ctx, p.key, id, number, md5, ttl)
	if err != nil {
		return "", asStoreError(err)
	}
	return u.String(), nil
}

func (p *objectParts) Complete(ctx context.Context, id string, etags []string) error {
	return asStoreError(p.CompleteParts(ctx, p.key, id, etags))
}

func (p *objectParts) Abort(ctx context.Context, id string) error {
	return asStoreError(p.AbortParts(ctx, p.key, id))
}

// Delete removes an artifact: one object, or all of those that a directory became. What lies at
// a URL stays: there is no telling how it would be deleted.
func (s *artifactStore) Delete(ctx context.Context, a *spec.Artifact) error {
	if key, _ := a.Key(); key == "" {
		return nil
	}
	store, key, err := s.at(ctx, a)
	if err != nil {
		return err
	}
	if err := store.Delete(ctx, key); err != nil {
		return fmt.Errorf("deleting artifact %s: %w", a.Name, err)
	}
	if worker.ArchiveOf(a) != worker.ArchiveNone {
		return nil
	}
	for o, err := range store.List(ctx, key+"/") {
		if err == nil {
			err = store.Delete(ctx, o.Key)
		}
		if err != nil {
			return fmt.Errorf("deleting artifact %s: %w", a.Name, err)
		}
	}
	return nil
}
