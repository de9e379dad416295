package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"argosy/worker"
	"argosy/workflow/spec"
)

// place gives a volume its directory.
func (p *pod) place(ctx context.Context, name string, v *volume) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if v.dir != "" {
		return nil
	}
	if p.e.volumes == "" {
		return fmt.Errorf("volume %q: this worker has no directory for volumes: start it with --volumes", name)
	}
	dir, err := p.placed(ctx, name, v)
	if err != nil {
		if _, ok := errors.AsType[*worker.Fault](err); ok {
			return err
		}
		if _, ok := errors.AsType[*fs.PathError](err); ok {
			return worker.Faultf(worker.ClassExecutor, "making volume %q: %w", name, err)
		}
		return fmt.Errorf("volume %q: %w", name, err)
	}
	v.dir = dir
	return nil
}

func (p *pod) placed(ctx context.Context, name string, v *volume) (string, error) {
	s := &v.source
	switch {
	case v.claim:
		dir, err := p.claim(runsDir, p.s.Run.ID, name)
		if gc := p.s.Spec.VolumeClaimGC; err == nil && gc != nil && gc.Strategy == spec.VolumeClaimGCOnCompletion {
			err = os.WriteFile(filepath.Join(p.e.volumes, runsDir, p.s.Run.ID, alwaysSwept), nil, 0o600)
		}
		return dir, err
	case s.PersistentVolumeClaim != nil:
		v.readOnly = s.PersistentVolumeClaim.ReadOnly
		return p.claim(claimsDir, p.s.Run.Namespace, s.PersistentVolumeClaim.ClaimName)
	case s.EmptyDir != nil:
		return p.own(name, 0o777)
	case s.ConfigMap != nil, s.Secret != nil, s.Projected != nil:
		v.readOnly = true
		files, err := p.files(ctx, s)
		if err != nil {
			return "", err
		}
		dir, err := p.own(name, 0o755)
		if err != nil {
			return "", err
		}
		return dir, writeFiles(filepath.Join(p.e.volumes, dir), files)
	}
	return "", errors.New("the process executor has emptyDir, configMap, secret, projected and persistentVolumeClaim only")
}

// claim makes a directory that outlives the step.
func (p *pod) claim(kind, of, name string) (string, error) {
	for _, part := range []string{of, name} {
		if !plain(part) {
			return "", fmt.Errorf("%q is no name of a claim", part)
		}
	}
	dir := filepath.Join(kind, of, name)
	at := filepath.Join(p.e.volumes, dir)
	err := os.Mkdir(at, 0o777)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(at), 0o700); err == nil {
			err = os.Mkdir(at, 0o777)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return dir, nil
	}
	if err == nil {
		err = os.Chmod(at, 0o777) // whatever the umask
	}
	return dir, err
}

// plain says that a name is that of a directory within another.
func plain(name string) bool {
	return filepath.IsLocal(name) && filepath.Base(name) == name && name != "."
}

// own makes a directory that goes with the step.
func (p *pod) own(name string, mode fs.FileMode) (string, error) {
	if p.temp == "" {
		var err error
		if p.temp, err = os.MkdirTemp(filepath.Join(p.e.volumes, stepsDir), "step-"); err != nil {
			return "", err
		}
	}
	if !plain(name) {
		return "", fmt.Errorf("%q is no name of a volume", name)
	}
	at := filepath.Join(p.temp, name)
	if err := os.Mkdir(at, mode); err != nil {
		return "", err
	}
	if err := os.Chmod(at, mode); err != nil {
		return "", err
	}
	return filepath.Rel(p.e.volumes, at)
}

// file is one of a volume that comes from an object.
type file struct {
	data []byte
	mode fs.FileMode
}

// files are those of a volume that comes from objects, by their paths.
func (p *pod) files(ctx context.Context, s *corev1.VolumeSource) (map[string]file, error) {
	switch {
	case s.ConfigMap != nil:
		c := s.ConfigMap
		return p.configMap(ctx, c.Name, c.Items, c.DefaultMode, c.Optional)
	case s.Secret != nil:
		c := s.Secret
		return p.secret(ctx, c.SecretName, c.Items, c.DefaultMode, c.Optional)
	}
	all := map[string]file{}
	for i := range s.Projected.Sources {
		var some map[string]file
		var err error
		switch from := &s.Projected.Sources[i]; {
		case from.ConfigMap != nil:
			some, err = p.configMap(ctx, from.ConfigMap.Name, from.ConfigMap.Items, s.Projected.DefaultMode, from.ConfigMap.Optional)
		case from.Secret != nil:
			some, err = p.secret(ctx, from.Secret.Name, from.Secret.Items, s.Projected.DefaultMode, from.Secret.Optional)
		default:
			err = errors.New("the process executor projects config maps and secrets only")
		}
		if err != nil {
			return nil, err
		}
		maps.Copy(all, some)
	}
	return all, nil
}

func (p *pod) configMap(ctx context.Context, name string, items []corev1.KeyToPath, mode *int32, optional *bool) (map[string]file, error) {
	return p.object(ctx, "config map", name, items, mode, optional, worker.Objects.ConfigMap)
}

func (p *pod) secret(ctx context.Context, name string, items []corev1.KeyToPath, mode *int32, optional *bool) (map[string]file, error) {
	return p.object(ctx, "secret", name, items, mode, optional, worker.Objects.Secret)
}

func (p *pod) object(ctx context.Context, kind, name string, items []corev1.KeyToPath, mode *int32, optional *bool,
	read func(worker.Objects, context.Context, string, string) (map[string][]byte, error),
) (map[string]file, error) {
	if p.e.objects == nil {
		return nil, fmt.Errorf("this worker knows no %ss", kind)
	}
	data, err := read(p.e.objects, ctx, p.s.Run.Namespace, name)
	switch {
	case err != nil:
		return nil, worker.Faultf(worker.ClassExecutor, "reading %s %q: %w", kind, name, err)
	case data == nil && isTrue(optional):
		return nil, nil
	case data == nil:
		return nil, fmt.Errorf("there is no %s %q in namespace %q", kind, name, p.s.Run.Namespace)
	}
	of := func(m *int32) fs.FileMode {
		switch {
		case m != nil:
			return fs.FileMode(*m).Perm()
		case mode != nil:
			return fs.FileMode(*mode).Perm()
		}
		return 0o644
	}
	files := map[string]file{}
	if len(items) == 0 {
		for key, value := range data {
			files[key] = file{value, of(nil)}
		}
		return files, nil
	}
	for i := range items {
		value, ok := data[items[i].Key]
		switch {
		case !ok && isTrue(optional):
			continue
		case !ok:
			return nil, fmt.Errorf("%s %q of namespace %q has no key %q", kind, name, p.s.Run.Namespace, items[i].Key)
		}
		files[items[i].Path] = file{value, of(items[i].Mode)}
	}
	return files, nil
}

func writeFiles(dir string, files map[string]file) error {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !filepath.IsLocal(name) {
			return fmt.Errorf("path %q leaves the volume", name)
		}
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(at, files[name].data, 0o600); err != nil {
			return err
		}
		if err := os.Chmod(at, files[name].mode); err != nil {
			return err
		}
	}
	return nil
}
