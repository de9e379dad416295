package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"argosy/artifacts/artifactstest"
	"argosy/workflow/spec"
)

// plugins are programs of others that workflows name: artifact driver plugins, which keep what they
// are given in memory, and one executor plugin, to which any template is fine.
type plugins struct {
	sockets  map[string]string // of artifact driver plugins, by name
	executor string            // as the flag has it
	stops    []func() error
}

// ownDriver is the plugin that the repository of the surroundings names.
const ownDriver = "test"

// startPlugins starts those that a corpus names.
func startPlugins(c *corpus) (_ *plugins, err error) {
	p := &plugins{sockets: map[string]string{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.stop())
		}
	}()
	dir, err := os.MkdirTemp("", "argosy-plugins-") // a socket's path has to be short, and steps do not see this one
	if err != nil {
		return nil, err
	}
	p.stops = append(p.stops, func() error { return os.RemoveAll(dir) })
	for i, name := range c.drivers() {
		socket := filepath.Join(dir, fmt.Sprint(i))
		_, stop, err := artifactstest.ServePlugin(socket, true)
		if err != nil {
			return nil, fmt.Errorf("starting artifact driver plugin %q: %w", name, err)
		}
		p.sockets[name], p.stops = socket, append(p.stops, stop)
	}
	if err := p.startExecutor(dir); err != nil {
		return nil, fmt.Errorf("starting an executor plugin: %w", err)
	}
	return p, nil
}

// startExecutor starts a plugin that says hello, to whoever knows its token.
func (p *plugins) startExecutor(dir string) error {
	token := rand.Text()
	file := filepath.Join(dir, "executor-plugin-token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/template.execute", func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			Template struct{ Plugin map[string]any }
		}
		switch err := json.NewDecoder(r.Body).Decode(&asked); {
		case r.Header.Get("Authorization") != "Bearer "+token:
			http.Error(w, "the token is not mine", http.StatusForbidden)
		case err != nil:
			http.Error(w, err.Error(), http.StatusBadRequest)
		case len(asked.Template.Plugin) != 1:
			io.WriteString(w, `{}`) //nolint:errcheck // the worker is gone, then
		default:
			io.WriteString(w, `{"node":{"phase":"Succeeded","message":"Hello template!"}}`) //nolint:errcheck // as above
		}
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	p.executor = "hello=http://" + l.Addr().String() + ",token-file=" + file
	p.stops = append(p.stops, func() error {
		err := server.Close()
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	})
	return nil
}

// flags are what a fleet is told of them.
func (p *plugins) flags() []string {
	flags := []string{"--executor-plugin", p.executor}
	for _, name := range slices.Sorted(maps.Keys(p.sockets)) {
		flags = append(flags, "--artifact-plugin", name+"="+p.sockets[name])
	}
	return flags
}

// stop ends them, the last one first.
func (p *plugins) stop() error {
	if p == nil {
		return nil
	}
	var errs []error
	for _, stop := range slices.Backward(p.stops) {
		errs = append(errs, stop())
	}
	return errors.Join(errs...)
}

// drivers are the artifact driver plugins that workflows and templates of the corpus name.
func (c *corpus) drivers() []string {
	names := map[string]bool{ownDriver: true}
	known := &spec.Plugins{Executor: true, Drivers: func(name string) bool { names[name] = true; return true }}
	paths := slices.Clone(c.support)
	for i := range c.runs {
		paths = append(paths, c.runs[i].path)
	}
	for _, path := range paths {
		text, err := os.ReadFile(filepath.Join(c.dir, path))
		if err != nil {
			continue // its case says so
		}
		docs, err := spec.Parse(path, text)
		if err != nil {
			continue
		}
		for i := range docs {
			var s spec.WorkflowSpec
			switch o := docs[i].Object.(type) {
			case *spec.Workflow:
				s = o.Spec
			case *spec.WorkflowTemplate:
				s = o.Spec
			case *spec.ClusterWorkflowTemplate:
				s = o.Spec
			case *spec.CronWorkflow:
				s = o.Spec.WorkflowSpec
			}
			_ = spec.UnknownPlugins(&docs[i], &spec.Workflow{Spec: s}, known) // all are known
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// metByPlugins says that a case needs something only because its plugins do, where Argo runs them: an
// agent's pod, and secrets for their store.
func metByPlugins(t *testCase, need string) bool {
	switch need {
	case "k8s-api":
		return slices.Contains(t.features, "executor-plugin")
	case "secret":
		return slices.Contains(t.features, "artifact-driver-plugin")
	}
	return false
}
