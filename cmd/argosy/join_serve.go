package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"argosy/artifacts"
	"argosy/artifacts/archive"
	"argosy/artifacts/plugin"
	"argosy/cmd/argosy/internal/join"
	"argosy/queue"
	"argosy/server"
	"argosy/worker"
	"argosy/worker/egress"
	"argosy/workflow/spec"
)

// servedArtifacts lets the server send what is in the store.
type servedArtifacts struct{ store worker.ArtifactStore }

// served is the store of a fleet as its server has it. A server alone has none, nil, if nothing says
// where that is.
func (f *storeFlags) served(r *role, plugins *plugin.Plugins, local, alone bool) (server.Artifacts, error) {
	if alone && f.unknown() {
		return nil, nil
	}
	store, err := f.open()
	if err != nil {
		return nil, err
	}
	store.plugins = plugins
	store.objects = join.Objects{Objects: queue.NewObjects(r.conn)}
	store.web = &egress.Guard{Local: local, Deny: append(r.conn.Addresses(), f.addresses()...)}
	store.buckets = &egress.Guard{Local: local, Deny: r.conn.Addresses()}
	return servedArtifacts{store}, nil
}

// unknown says that nothing says where artifacts are, and no worker of this machine keeps any.
func (f *storeFlags) unknown() bool {
	if f.s3.endpoint != "" || f.dir != "" {
		return false
	}
	data, err := dataDir()
	if err == nil {
		_, err = os.Stat(filepath.Join(data, "artifacts"))
	}
	return err != nil
}

// alone is the store of a server alone; nil: nothing says where that is.
func (f *storeFlags) alone() (artifacts.Ranged, error) {
	if f.unknown() {
		return nil, nil
	}
	return f.store()
}

func (s servedArtifacts) of(of *server.ArtifactsOf) worker.ArtifactStore {
	return s.store.For(&worker.Step{Run: of.Run, Repository: of.Repository})
}

func (s servedArtifacts) List(ctx context.Context, of *server.ArtifactsOf, a *spec.Artifact) ([]string, error) {
	objects, err := s.of(of).List(ctx, a)
	return objects, servedError(err)
}

func (s servedArtifacts) Open(ctx context.Context, of *server.ArtifactsOf, a *spec.Artifact, object string) (io.ReadCloser, error) {
	r, err := s.of(of).Open(ctx, a, object)
	return r, servedError(err)
}

// Pack fetches the directory first, as an archive says of each file how large it is before it has it.
func (s servedArtifacts) Pack(ctx context.Context, of *server.ArtifactsOf, a *spec.Artifact, w io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "argosy-artifact-")
	if err != nil {
		return fmt.Errorf("making a directory for artifact %s: %w", a.Name, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	plain := *a
	plain.Archive = &spec.ArchiveStrategy{None: &spec.NoneStrategy{}}
	path := filepath.Join(dir, filepath.Base(a.Name))
	if err := s.of(of).Load(ctx, &plain, path); err != nil {
		return servedError(err)
	}
	return archive.Pack(w, path, archive.Format{Kind: archive.Tar})
}

func servedError(err error) error {
	if errors.Is(err, worker.ErrNoArtifact) {
		return fmt.Errorf("%w: %w", server.ErrNotFound, err)
	}
	return err
}
