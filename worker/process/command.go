package process

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"argosy/worker"
	"argosy/worker/process/sandbox"
	"argosy/workflow/spec"
)

// baseEnv is all that a step has beside its template's own variables: nothing of the
// worker's environment, in which its credentials are, ever reaches it.
var baseEnv = [...]corev1.EnvVar{
	{Name: "PATH", Value: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	{Name: "HOME", Value: "/root"},
}

// command translates a template, or says what of it has no meaning without a cluster.
func (e *Executor) command(s *worker.Step) (*sandbox.Command, error) {
	c, err := container(s.Template)
	if err != nil {
		return nil, err
	}
	env, err := e.environment(c)
	if err != nil {
		return nil, err
	}
	argv, args := worker.Command(s.Template)
	if len(argv) == 0 {
		if argv, args, err = e.images.start(c.Image, args); err != nil {
			return nil, err
		}
	}
	cmd := &sandbox.Command{Dir: c.WorkingDir}
	for _, a := range slices.Concat(argv, args) {
		cmd.Args = append(cmd.Args, expand(a, env))
	}
	for _, v := range env {
		cmd.Env = append(cmd.Env, v.Name+"="+v.Value)
	}
	return cmd, nil
}

func container(t *spec.Template) (*corev1.Container, error) {
	c := worker.Container(t)
	if c == nil {
		return nil, fmt.Errorf("the process executor does not run %s templates", t.GetType())
	}
	for _, no := range []struct {
		asked bool
		what  string
	}{
		{len(t.Sidecars) > 0, "sidecars"},
		{len(t.InitContainers) > 0, "init containers"},
		{t.IsDaemon(), "daemon steps"},
		{len(c.VolumeDevices) > 0, "volume devices"},
	} {
		if no.asked {
			return nil, fmt.Errorf("the process executor has no %s", no.what)
		}
	}
	return c, nil
}

// patched is the step as its podSpecPatch has it. Of a patched pod a process can have what is
// its main container's.
func patched(s *worker.Step) (*worker.Step, error) {
	c := worker.Container(s.Template)
	if c == nil {
		return s, nil // command says what is wrong
	}
	c = c.DeepCopy()
	c.Name = worker.MainContainer
	return worker.Patched(s, &corev1.PodSpec{Containers: []corev1.Container{*c}})
}

// emptyDirs returns where a step mounts volumes. The sandbox can give it one kind only: an
// empty directory of its own.
func emptyDirs(s *worker.Step) ([]string, error) {
	c, err := container(s.Template)
	if err != nil {
		return nil, err
	}
	volumes := s.Template.Volumes
	if s.Spec != nil {
		volumes = slices.Concat(volumes, s.Spec.Volumes)
	}
	var dirs []string
	for _, m := range c.VolumeMounts {
		i := slices.IndexFunc(volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		if i < 0 || volumes[i].EmptyDir == nil {
			return nil, fmt.Errorf("the process executor has no volumes but emptyDir: volume %q at %s", m.Name, m.MountPath)
		}
		if !path.IsAbs(m.MountPath) {
			return nil, fmt.Errorf("volume %q: mountPath %q is not absolute", m.Name, m.MountPath)
		}
		dirs = append(dirs, path.Clean(m.MountPath))
	}
	return dirs, nil
}

// environment returns the step's variables in order, with references to earlier ones
// expanded, as the kubelet does it.
func (e *Executor) environment(c *corev1.Container) ([]corev1.EnvVar, error) {
	for _, from := range c.EnvFrom {
		optional := (from.ConfigMapRef == nil || isTrue(from.ConfigMapRef.Optional)) &&
			(from.SecretRef == nil || isTrue(from.SecretRef.Optional))
		if !optional {
			return nil, errors.New("the process executor has no config maps or secrets for envFrom")
		}
	}
	env := slices.Clone(baseEnv[:])
	if e.tools != "" {
		env[0].Value = e.tools + ":" + env[0].Value
	}
	for _, v := range c.Env {
		if v.ValueFrom != nil {
			if optionalSource(v.ValueFrom) {
				continue
			}
			return nil, fmt.Errorf("the process executor cannot resolve valueFrom of variable %s", v.Name)
		}
		v.Value = expand(v.Value, env)
		if i := slices.IndexFunc(env, func(e corev1.EnvVar) bool { return e.Name == v.Name }); i >= 0 {
			env[i] = v
		} else {
			env = append(env, v)
		}
	}
	return env, nil
}

func optionalSource(from *corev1.EnvVarSource) bool {
	return (from.ConfigMapKeyRef != nil && isTrue(from.ConfigMapKeyRef.Optional)) ||
		(from.SecretKeyRef != nil && isTrue(from.SecretKeyRef.Optional))
}

func isTrue(b *bool) bool { return b != nil && *b }

// expand replaces $(NAME) by the variable's value and $$ by $, as Kubernetes does in
// commands, arguments and variables; a reference to an unknown variable stays as it is.
func expand(s string, env []corev1.EnvVar) string {
	if !strings.Contains(s, "$") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '$' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		switch s[i+1] {
		case '$':
			b.WriteByte('$')
			i++
		case '(':
			end := strings.IndexByte(s[i:], ')')
			if end < 0 {
				b.WriteByte('$')
				continue
			}
			name := s[i+2 : i+end]
			if k := slices.IndexFunc(env, func(e corev1.EnvVar) bool { return e.Name == name }); k >= 0 {
				b.WriteString(env[k].Value)
			} else {
				b.WriteString(s[i : i+end+1])
			}
			i += end
		default:
			b.WriteByte('$')
		}
	}
	return b.String()
}
