package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// ErrNoArtifact says that there is nothing where an artifact should be: neither in the
// store, nor, for Save, at the path.
var ErrNoArtifact = errors.New("no such artifact")

// ErrStoreAway says that the artifact store cannot be reached for now.
var ErrStoreAway = errors.New("the artifact store does not answer")

// ArtifactStore keeps artifacts where their location says. An S3 location of a key alone
// means the default repository. Errors that may pass by themselves are ErrStoreAway.
type ArtifactStore interface {
	// For is the store as a step has it: with the secrets of the step's namespace and the
	// repository of its run.
	For(s *Step) ArtifactStore
	// Keys lists all that is stored below an artifact's key, by whole keys.
	Keys(ctx context.Context, a *spec.Artifact) ([]string, error)

	// Load fetches an artifact to the path, unpacked.
	Load(ctx context.Context, a *spec.Artifact, path string) error
	// Save packs what is at the path as the artifact asks for, and keeps it.
	Save(ctx context.Context, a *spec.Artifact, path string) error

	// List names the objects of a stored artifact: one with an empty name, or, for a
	// directory that was not packed, one for each file, by its path in the directory.
	List(ctx context.Context, a *spec.Artifact) ([]string, error)
	// Open reads one object of an artifact, as it is stored.
	Open(ctx context.Context, a *spec.Artifact, object string) (io.ReadCloser, error)
	// Put writes one object of an artifact, as it is to be stored.
	Put(ctx context.Context, a *spec.Artifact, object string, r io.Reader) error
	// Parts is how a pod may write one object of an artifact by itself; nil if it may not.
	Parts(ctx context.Context, a *spec.Artifact, object string) (Parts, error)
}

// Parts is one object that a pod writes in parts, which the worker makes one of. Before that there
// is nothing of it.
type Parts interface {
	// Start begins the object; the id is for the other methods. It is empty where the store takes
	// no parts after all.
	Start(ctx context.Context) (id string, err error)
	// Presign makes an address to which a part may be put whose content has the MD5 sum, which has
	// to be in the request's Content-MD5.
	Presign(ctx context.Context, id string, number int, md5 []byte, ttl time.Duration) (url string, err error)
	// Complete makes one object of the parts, by the ETags that the store answered with. To do it
	// again changes nothing.
	Complete(ctx context.Context, id string, etags []string) error
	// Abort forgets what was begun.
	Abort(ctx context.Context, id string) error
}

// Staging fetches a step's inputs before its command starts and keeps its outputs when it
// has ended, for executors that honour Step.Before and Step.After.
func Staging(next Executor, store ArtifactStore) Executor {
	return ExecutorFunc(func(ctx context.Context, s *Step) (workflow.Result, error) {
		staged, store := *s, s.Trace.store(store.For(s))
		if needsInputs(s.Template) {
			staged.Before = func(ctx context.Context, f Files) error {
				from := s.Trace.Time()
				err := stageInputs(ctx, store, s.Template, f)
				s.Trace.Took(SpanStaging, from, s.Trace.Time(), err)
				return err
			}
		}
		if needsOutputs(s.Template) {
			staged.After = func(ctx context.Context, f Files, r *workflow.Result) error {
				from := s.Trace.Time()
				err := keepOutputs(ctx, store, s.Template, f, r)
				s.Trace.Took(SpanCollecting, from, s.Trace.Time(), err)
				return err
			}
		}
		return next.Execute(ctx, &staged)
	})
}

func needsInputs(t *spec.Template) bool {
	return len(t.Inputs.Artifacts) > 0 || (t.Script != nil && t.Script.Source != "")
}

func needsOutputs(t *spec.Template) bool {
	if len(t.Outputs.Artifacts) > 0 {
		return true
	}
	for i := range t.Outputs.Parameters {
		if FilePath(&t.Outputs.Parameters[i]) != "" {
			return true
		}
	}
	return false
}

// FilePath is the file that an output parameter is read from; empty if it is not.
func FilePath(p *spec.Parameter) string {
	if p.ValueFrom == nil {
		return ""
	}
	return p.ValueFrom.Path
}

func stageInputs(ctx context.Context, store ArtifactStore, t *spec.Template, f Files) error {
	if t.Script != nil && t.Script.Source != "" {
		path, err := makeRoom(f, ScriptPath)
		if err == nil {
			err = os.WriteFile(path, []byte(t.Script.Source), 0o755)
		}
		if err != nil {
			return Faultf(ClassExecutor, "staging the script: %w", err)
		}
	}
	for i := range t.Inputs.Artifacts {
		if err := stageInput(ctx, store, &t.Inputs.Artifacts[i], f); err != nil {
			return err
		}
	}
	return nil
}

func stageInput(ctx context.Context, store ArtifactStore, a *spec.Artifact, f Files) error {
	if !a.HasLocation() {
		if a.Optional {
			return nil
		}
		return Faultf(ClassInput, "required artifact '%s' not supplied", a.Name)
	}
	path, err := makeRoom(f, a.Path)
	if err != nil {
		return Faultf(ClassExecutor, "staging artifact %s: %w", a.Name, err)
	}
	if a.Raw != nil {
		err = os.WriteFile(path, []byte(a.Raw.Data), 0o644)
	} else {
		err = store.Load(ctx, a, path)
	}
	switch {
	case errors.Is(err, ErrNoArtifact) && a.Optional:
		return nil
	case errors.Is(err, ErrNoArtifact):
		return Faultf(ClassInput, "artifact %s failed to load: %w", a.Name, err)
	case err != nil:
		return Faultf(classOf(err), "artifact %s failed to load: %w", a.Name, err)
	}
	if a.Mode != nil {
		if err := chmod(path, fs.FileMode(*a.Mode), a.RecurseMode); err != nil {
			return Faultf(ClassExecutor, "setting the mode of artifact %s: %w", a.Name, err)
		}
	}
	return nil
}

// classOf is the class of a Fault in an error, or else the store's.
func classOf(err error) string {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f.Class
	}
	return ClassStore
}

// makeRoom resolves a step's path and makes its parent directories.
func makeRoom(f Files, path string) (string, error) {
	host, err := f.HostPath(path)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(host), 0o755); err != nil {
		return "", fmt.Errorf("making room: %w", err)
	}
	return host, nil
}

func chmod(path string, mode fs.FileMode, recurse bool) error {
	if !recurse {
		return os.Chmod(path, mode)
	}
	return filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.Type()&fs.ModeSymlink != 0 {
			return err
		}
		return os.Chmod(p, mode)
	})
}

// keepOutputs adds a step's outputs to its result. What a failed step wrote is kept as far
// as it can be. If anything fails for a step that succeeded, all references are stripped, so
// that nobody goes after outputs which are not there.
func keepOutputs(ctx context.Context, store ArtifactStore, t *spec.Template, f Files, r *workflow.Result) error {
	out := workflow.Values{}
	if r.Outputs != nil {
		out = *r.Outputs
	}
	failed := r.Phase != spec.NodeSucceeded
	for i := range t.Outputs.Parameters {
		p := &t.Outputs.Parameters[i]
		if FilePath(p) == "" {
			continue
		}
		value, err := readParameter(p, f)
		if err != nil {
			if failed {
				continue
			}
			return &Fault{Class: ClassOutput, Err: err}
		}
		out.Parameters = append(out.Parameters, workflow.Param{Name: p.Name, Value: value, Global: p.GlobalName})
	}
	for i := range t.Outputs.Artifacts {
		a := t.Outputs.Artifacts[i]
		err := keepArtifact(ctx, store, &a, f)
		switch {
		case err == nil:
			out.Artifacts = append(out.Artifacts, a)
		case failed, errors.Is(err, ErrNoArtifact) && a.Optional:
		case errors.Is(err, ErrNoArtifact):
			return &Fault{Class: ClassOutput, Err: err}
		default:
			return &Fault{Class: classOf(err), Err: err}
		}
	}
	r.Outputs = &out
	return nil
}

func readParameter(p *spec.Parameter, f Files) (string, error) {
	host, err := f.HostPath(p.ValueFrom.Path)
	if err == nil {
		var data []byte
		if data, err = os.ReadFile(host); err == nil {
			return strings.TrimSuffix(string(data), "\n"), nil
		}
	}
	if p.ValueFrom.Default != nil {
		return p.ValueFrom.Default.String(), nil
	}
	return "", fmt.Errorf("output parameter %s: %w", p.Name, asOpenError(p.ValueFrom.Path, err))
}

// asOpenError words a failure to read a step's file with the path that the user knows.
func asOpenError(path string, err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return &fs.PathError{Op: "open", Path: path, Err: pe.Err}
	}
	return err
}

func keepArtifact(ctx context.Context, store ArtifactStore, a *spec.Artifact, f Files) error {
	host, err := f.HostPath(a.Path)
	if err != nil {
		return fmt.Errorf("finding output artifact %s: %w", a.Name, err)
	}
	if _, err := os.Lstat(host); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("output artifact %s: %w: %w", a.Name, ErrNoArtifact, asOpenError(a.Path, err))
		}
		return fmt.Errorf("output artifact %s: %w", a.Name, asOpenError(a.Path, err))
	}
	if err := store.Save(ctx, a, host); err != nil {
		return fmt.Errorf("saving output artifact %s: %w", a.Name, err)
	}
	return nil
}
