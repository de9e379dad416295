package process

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"argosy/worker/process/sandbox"
)

// The directory of volumes:
//
//	steps/*                  what is one step's alone: emptyDir, configMap, secret
//	runs/ID/CLAIM            of a run's volumeClaimTemplates
//	claims/NAMESPACE/CLAIM   that persistentVolumeClaims name
const (
	stepsDir  = "steps"
	runsDir   = "runs"
	claimsDir = "claims"
)

func prepareVolumes(dir string) error {
	for _, d := range []string{stepsDir, runsDir, claimsDir} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return fmt.Errorf("making the directory of volumes: %w", err)
		}
	}
	return nil
}

// volume is one that a step may mount.
type volume struct {
	source corev1.VolumeSource
	claim  bool   // of a volumeClaimTemplate
	dir    string // relative to the directory of volumes; "" until it is mounted
	// readOnly holds for every mount.
	readOnly bool
}

// findVolumes lists the step's volumes. Those of the template win.
func (p *pod) findVolumes() {
	p.volumes = map[string]*volume{}
	if s := p.s.Spec; s != nil {
		for i := range s.VolumeClaimTemplates {
			p.volumes[s.VolumeClaimTemplates[i].Name] = &volume{claim: true}
		}
		for i := range s.Volumes {
			p.volumes[s.Volumes[i].Name] = &volume{source: s.Volumes[i].VolumeSource}
		}
	}
	for i := range p.s.Template.Volumes {
		v := &p.s.Template.Volumes[i]
		p.volumes[v.Name] = &volume{source: v.VolumeSource}
	}
}

// mounts translates a container's mounts. An empty directory that nobody else can see is left
// to the sandbox, which keeps it where it keeps all that the step writes.
func (p *pod) mounts(ctx context.Context, list []corev1.VolumeMount) (private []string, mounted []sandbox.Mount, err error) {
	for i := range list {
		m := &list[i]
		v := p.volumes[m.Name]
		switch {
		case v == nil:
			return nil, nil, fmt.Errorf("volume %q at %s is not defined", m.Name, m.MountPath)
		case !path.IsAbs(m.MountPath):
			return nil, nil, fmt.Errorf("volume %q: mountPath %q is not absolute", m.Name, m.MountPath)
		case m.SubPathExpr != "":
			return nil, nil, fmt.Errorf("volume %q at %s: the process executor has no subPathExpr: use subPath", m.Name, m.MountPath)
		case strings.HasPrefix(m.SubPath, "/") || m.SubPath != "" && !filepath.IsLocal(m.SubPath):
			return nil, nil, fmt.Errorf("volume %q at %s: subPath %q leaves the volume", m.Name, m.MountPath, m.SubPath)
		}
		once := 0
		for k := range list {
			if list[k].Name == m.Name {
				once++
			}
		}
		if v.source.EmptyDir != nil && !p.shared && once == 1 && m.SubPath == "" && !m.ReadOnly {
			private = append(private, path.Clean(m.MountPath))
			continue
		}
		if err := p.place(ctx, m.Name, v); err != nil {
			return nil, nil, err
		}
		mounted = append(mounted, sandbox.Mount{
			Volume: v.dir, SubPath: m.SubPath, At: path.Clean(m.MountPath), ReadOnly: m.ReadOnly || v.readOnly,
		})
	}
	// What is mounted below another must come after it.
	slices.SortStableFunc(mounted, func(a, b sandbox.Mount) int { return cmp.Compare(a.At, b.At) })
	return private, mounted, nil
}
