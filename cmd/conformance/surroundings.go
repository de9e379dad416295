package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"argosy/workflow/spec"
)

//go:embed surroundings
var given embed.FS

// surroundings are what workflows find around them: the tools of their images, where there
// are no images, and stored objects.
type surroundings struct {
	dir     string // of tools and images.yaml; steps can see it
	store   string // of artifacts
	needs   []string
	objects []spec.Document
	minio   *minio // nil without its binary
	plugins *plugins
}

// newSurroundings prepares them. remove them in the end.
func newSurroundings(s *settings, c *corpus) (*surroundings, error) {
	env := &surroundings{needs: append(words(s.meets), "shell-only", "s3", "other-workflowtemplate", "configmap", "python", "db-lock", "artifact-driver-plugin")}
	if s.executor == "kubernetes" {
		env.needs = append(env.needs, "k8s-api", "pvc")
	}
	err := env.place()
	if err == nil && s.minio != "" {
		env.minio, err = startMinIO(s.minio, env.store)
		env.needs = append(env.needs, "secret")
	}
	if err == nil {
		err = env.readObjects(c)
	}
	if err == nil && s.executor == "process" {
		err = env.python()
	}
	if err == nil {
		env.plugins, err = startPlugins(c)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("preparing the surroundings: %w", err), env.remove())
	}
	return env, nil
}

// place writes the tools where steps can see them: not below /tmp, of which each has its own.
func (e *surroundings) place() error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	if e.dir, err = os.MkdirTemp(cache, "argosy-conformance-"); err != nil {
		return err
	}
	if e.store, err = os.MkdirTemp("", "argosy-conformance-"); err != nil {
		return err
	}
	files, err := fs.Sub(given, "surroundings")
	if err != nil {
		return err
	}
	if err := os.CopyFS(e.dir, files); err != nil {
		return err
	}
	tools, err := filepath.Glob(filepath.Join(e.tools(), "*"))
	if err != nil {
		return err
	}
	for _, tool := range tools {
		if err := os.Chmod(tool, 0o755); err != nil { // embedded files have no such bit
			return err
		}
	}
	return os.Chmod(e.dir, 0o755)
}

func (e *surroundings) tools() string { return filepath.Join(e.dir, "tools") }

// python makes the host's Python answer to the names that its images use.
func (e *surroundings) python() error {
	out, err := exec.CommandContext(context.Background(), "python3", "-c", "import sys; print(sys.executable)").Output()
	if err != nil { // no Python here: a need that is not met
		e.needs = slices.DeleteFunc(e.needs, func(n string) bool { return n == "python" })
		return nil
	}
	script := fmt.Sprintf("#!/bin/sh\nexec %q \"$@\"\n", strings.TrimSpace(string(out)))
	for _, name := range []string{"python", "python3"} {
		if err := os.WriteFile(filepath.Join(e.tools(), name), []byte(script), 0o755); err != nil {
			return err
		}
	}
	return nil
}

func (e *surroundings) remove() error {
	errs := []error{e.minio.stop(), e.plugins.stop()}
	for _, dir := range []string{e.dir, e.store} {
		if dir != "" {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	return errors.Join(errs...)
}

// readObjects reads what is to be stored before anything runs; the corpus's own win.
func (e *surroundings) readObjects(c *corpus) error {
	for _, name := range c.support {
		data, err := os.ReadFile(filepath.Join(c.dir, name))
		if err != nil {
			return err
		}
		docs, err := spec.Parse(name, e.minio.inPlace(data))
		if err != nil {
			return fmt.Errorf("reading an object of support.txt: %w", err)
		}
		e.objects = append(e.objects, docs...)
	}
	const own = "surroundings/objects.yaml"
	data, err := given.ReadFile(own)
	if err != nil {
		return err
	}
	docs, err := spec.Parse(own, data)
	if err != nil {
		return err
	}
	for _, d := range docs {
		if !e.has(d.Kind, objectName(&d)) {
			e.objects = append(e.objects, d)
		}
	}
	return nil
}

func (e *surroundings) has(kind, name string) bool {
	return slices.ContainsFunc(e.objects, func(d spec.Document) bool { return d.Kind == kind && objectName(&d) == name })
}

// objectName is an object's metadata.name.
func objectName(d *spec.Document) string {
	var o struct{ Metadata struct{ Name string } }
	if json.Unmarshal(d.JSON, &o) != nil {
		return ""
	}
	return o.Metadata.Name
}

// unmet says which need of a case these surroundings do not meet, "" if there is none.
func (e *surroundings) unmet(t *testCase) string {
	for _, need := range t.needs {
		if metByPlugins(t, need) {
			continue
		}
		if !slices.Contains(e.needs, need) {
			return "needs " + need + ", which is not here"
		}
	}
	return ""
}
