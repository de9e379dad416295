package process

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"argosy/worker"
	"argosy/worker/handover"
	"argosy/worker/process/sandbox"
	"argosy/workflow/spec"
)

// baseEnv is all that a step has beside its template's own variables: nothing of the
// worker's environment, in which its credentials are, ever reaches it.
var baseEnv = [...]corev1.EnvVar{
	{Name: "PATH", Value: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	{Name: "HOME", Value: "/root"},
	// Where a step may say how far it is. What writes it must not fail, also if nobody reads it.
	{Name: spec.EnvProgressFile, Value: "/tmp/argo-progress"},
}

// command translates a container, or says what of it has no meaning without a cluster.
func (e *Executor) command(ctx context.Context, s *worker.Step, c *corev1.Container, argv, args []string) (*sandbox.Command, error) {
	env, err := e.environment(ctx, s, c)
	if err != nil {
		return nil, err
	}
	if len(argv) == 0 {
		var ok bool
		if argv, args, ok = e.images.Start(c.Image, args); !ok {
			return nil, fmt.Errorf("process executor needs a command: it does not know what image %q starts", c.Image)
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

// environment returns a container's variables in order, with references to earlier ones
// expanded, as the kubelet does it.
func (e *Executor) environment(ctx context.Context, s *worker.Step, c *corev1.Container) ([]corev1.EnvVar, error) {
	env := slices.Clone(baseEnv[:])
	if e.tools != "" {
		env[0].Value = e.tools + ":" + env[0].Value
	}
	set := func(v corev1.EnvVar) {
		if i := slices.IndexFunc(env, func(e corev1.EnvVar) bool { return e.Name == v.Name }); i >= 0 {
			env[i] = v
		} else {
			env = append(env, v)
		}
	}
	for i := range c.EnvFrom {
		all, err := e.envFrom(ctx, s, &c.EnvFrom[i])
		if err != nil {
			return nil, err
		}
		for _, key := range slices.Sorted(maps.Keys(all)) {
			set(corev1.EnvVar{Name: c.EnvFrom[i].Prefix + key, Value: string(all[key])})
		}
	}
	for _, v := range c.Env {
		if v.ValueFrom != nil {
			value, ok, err := e.valueFrom(ctx, s, v.ValueFrom)
			if err != nil {
				return nil, fmt.Errorf("variable %s: %w", v.Name, err)
			}
			if ok {
				set(corev1.EnvVar{Name: v.Name, Value: string(value)})
			}
			continue
		}
		v.Value = expand(v.Value, env)
		set(v)
	}
	return env, nil
}

// envFrom are all keys of a config map or secret.
func (e *Executor) envFrom(ctx context.Context, s *worker.Step, from *corev1.EnvFromSource) (map[string][]byte, error) {
	read, kind := worker.Objects.ConfigMap, "config map"
	var name string
	var optional *bool
	switch {
	case from.ConfigMapRef != nil:
		name, optional = from.ConfigMapRef.Name, from.ConfigMapRef.Optional
	case from.SecretRef != nil:
		read, kind, name, optional = worker.Objects.Secret, "secret", from.SecretRef.Name, from.SecretRef.Optional
	default:
		return nil, nil
	}
	if e.objects == nil && isTrue(optional) {
		return nil, nil
	}
	if e.objects == nil {
		return nil, errors.New("this worker knows no config maps or secrets for envFrom")
	}
	data, err := read(e.objects, ctx, s.Run.Namespace, name)
	if err != nil {
		return nil, worker.Faultf(worker.ClassExecutor, "reading %s %q: %w", kind, name, err)
	}
	if data == nil && !isTrue(optional) {
		return nil, fmt.Errorf("there is no %s %q in namespace %q", kind, name, s.Run.Namespace)
	}
	return data, nil
}

// valueFrom is what a variable's source says; not ok: nothing, which is allowed.
func (e *Executor) valueFrom(ctx context.Context, s *worker.Step, from *corev1.EnvVarSource) (value []byte, ok bool, err error) {
	switch {
	case from.FieldRef != nil:
		for path, value := range map[string]string{
			"metadata.name": s.PodName, "metadata.namespace": s.Run.Namespace, "spec.nodeName": e.host, "status.hostIP": e.address, "status.podIP": e.address,
		} {
			if from.FieldRef.FieldPath == path {
				return []byte(value), true, nil
			}
		}
		return nil, false, fmt.Errorf("the process executor cannot resolve fieldRef %s", from.FieldRef.FieldPath)
	case e.objects == nil && optionalSource(from):
		return nil, false, nil
	case from.SecretKeyRef != nil && e.objects != nil:
		return worker.SecretValue(ctx, e.objects, s.Run.Namespace, from.SecretKeyRef)
	case from.ConfigMapKeyRef != nil && e.objects != nil:
		return worker.ConfigMapValue(ctx, e.objects, s.Run.Namespace, from.ConfigMapKeyRef)
	}
	return nil, false, errors.New("the process executor cannot resolve its valueFrom")
}

func optionalSource(from *corev1.EnvVarSource) bool {
	return (from.ConfigMapKeyRef != nil && isTrue(from.ConfigMapKeyRef.Optional)) ||
		(from.SecretKeyRef != nil && isTrue(from.SecretKeyRef.Optional))
}

func isTrue(b *bool) bool { return b != nil && *b }

// expand replaces $(NAME) as Kubernetes does.
func expand(s string, env []corev1.EnvVar) string {
	return handover.Expand(s, func(name string) (string, bool) {
		k := slices.IndexFunc(env, func(e corev1.EnvVar) bool { return e.Name == name })
		if k < 0 {
			return "", false
		}
		return env[k].Value, true
	})
}

// patched is the step as its podSpecPatch has it. Of a patched pod a process can have what is
// its main container's.
func patched(s *worker.Step) (*worker.Step, error) {
	c := worker.Container(s.Template)
	if c == nil {
		if s.Template.PodSpecPatch != "" || s.Spec != nil && s.Spec.PodSpecPatch != "" {
			return nil, fmt.Errorf("the process executor does not patch the pods of %s templates", s.Template.GetType())
		}
		return s, nil
	}
	c = c.DeepCopy()
	c.Name = worker.MainContainer
	return worker.Patched(s, &corev1.PodSpec{Containers: []corev1.Container{*c}})
}
