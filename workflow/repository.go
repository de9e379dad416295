package workflow

import (
	"cmp"
	"fmt"

	"sigs.k8s.io/yaml"

	"argosy/workflow/spec"
)

const (
	// RepositoriesConfigMap has a namespace's artifact repositories, each under a key, and in an
	// annotation the key of the one that is meant where none is named.
	RepositoriesConfigMap       = "artifact-repositories"
	annotationDefaultRepository = "workflows.argoproj.io/default-artifact-repository"

	defaultKeyFormat = "{{workflow.name}}/{{pod.name}}"
)

// Repository finds what a workflow's artifactRepositoryRef names in the config map that
// RepositoriesIn says; m is nil if there is no such config map. plugin says which artifact driver
// plugins there are.
func Repository(ref *spec.ArtifactRepositoryRef, namespace string, m *ConfigMap, plugin func(name string) bool) (*spec.ArtifactRepositoryRefStatus, error) {
	out := &spec.ArtifactRepositoryRefStatus{ArtifactRepositoryRef: *ref, Namespace: namespace}
	out.ConfigMap = RepositoriesIn(ref)
	fail := func(format string, args ...any) error {
		return fmt.Errorf("artifactRepositoryRef: "+format, args...)
	}
	if m == nil {
		return nil, fail("config map %q not found in namespace %q", out.ConfigMap, namespace)
	}
	if out.Key == "" {
		if out.Key = m.Annotations[annotationDefaultRepository]; out.Key == "" {
			return nil, fail("it has no key, and config map %q no annotation %s", out.ConfigMap, annotationDefaultRepository)
		}
	}
	text, ok := m.Data[out.Key]
	if !ok {
		return nil, fail("config map %q has no key %q", out.ConfigMap, out.Key)
	}
	r := &spec.ArtifactRepository{}
	if err := yaml.UnmarshalStrict([]byte(text), r); err != nil {
		return nil, fail("reading key %q of config map %q: %w", out.Key, out.ConfigMap, err)
	}
	switch {
	case r.HDFS != nil:
		return nil, fail("key %q of config map %q: %s", out.Key, out.ConfigMap, spec.NoHDFS)
	case r.Plugin != nil && !plugin(r.Plugin.Name):
		return nil, fail("key %q of config map %q: "+spec.NoPlugin, out.Key, out.ConfigMap, r.Plugin.Name)
	case r.Location("") == nil && r.ArchiveLogs == nil:
		return nil, fail("key %q of config map %q names no store", out.Key, out.ConfigMap)
	}
	out.ArtifactRepository = r
	return out, nil
}

// RepositoriesIn is the name of the config map that a reference looks into.
func RepositoriesIn(ref *spec.ArtifactRepositoryRef) string {
	return cmp.Or(ref.ConfigMap, RepositoriesConfigMap)
}

// Repository is where the artifacts of the plan's runs go; nil: to the fleet's own store.
func (p *Plan) Repository() *spec.ArtifactRepository {
	if ref := p.Source.Status.ArtifactRepositoryRef; ref != nil {
		return ref.ArtifactRepository
	}
	return nil
}

// located gives a template that runs in a pod the place of its outputs: its own
// archiveLocation, completed by the run's repository.
func (p *Plan) located(t *spec.Template) *spec.ArtifactLocation {
	own, r := t.ArchiveLocation, p.Repository()
	if r == nil || !t.IsPodType() {
		return own
	}
	of := r.Location(defaultKeyFormat)
	if of == nil || own == nil {
		return cmp.Or(of, own)
	}
	l := *of
	if own.HasLocation() {
		l = own.In(of)
		if key, keyed := l.Key(); keyed && key == "" {
			format, keyed := of.Key()
			if !keyed {
				format = defaultKeyFormat
			}
			l = l.WithKey(format)
		}
	}
	l.ArchiveLogs = own.ArchiveLogs
	return &l
}
