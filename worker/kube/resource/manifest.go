package resource

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"argosy/worker"
	"argosy/workflow/spec"
)

// readArtifact reads an artifact that is one file; io.ErrShortBuffer says that it is too large.
func readArtifact(ctx context.Context, store worker.ArtifactStore, in *spec.Artifact) ([]byte, error) {
	dir, err := os.MkdirTemp("", "argosy-manifest-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for a manifest: %w", err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "manifest")
	if err := store.Load(ctx, in, path); err != nil {
		return nil, err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil, fmt.Errorf("reading a manifest: %w", err)
	}
	if !info.Mode().IsRegular() { // nor a link to a file of the worker's
		return nil, worker.Faultf(worker.ClassInvalid, "artifact %s is not a file", in.Name)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading a manifest: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxManifest+1))
	if len(data) > maxManifest {
		err = io.ErrShortBuffer
	}
	return data, err
}
