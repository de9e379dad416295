package kube

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"argosy/worker"
	"argosy/worker/handover"
	"argosy/workflow/spec"
)

// warmPod is a step taken apart: what shapes the pod that it can share with others, and its own.
type warmPod struct {
	pod  *corev1.PodTemplateSpec // without what differs from step to step
	hash string

	command []string
	env     []handover.Var
	envFrom bool
	dir     string
	mounts  []string
}

// tidied are directories that programs write to without being told.
var tidied = []string{"/tmp", "/var/tmp", "/dev/shm"}

// warmShape takes a step apart.
func warmShape(cfg Config, s *worker.Step, now time.Time) (*warmPod, error) {
	plain := *s
	plain.Deadline = time.Time{}
	pod, err := buildPod(cfg, &plain, nil, now)
	if err != nil {
		return nil, err
	}
	pod.Spec.ShareProcessNamespace = nil // the runner is the first process, to end all others
	if err := sharable(&pod.Spec); err != nil {
		return nil, fmt.Errorf("template %q cannot run in warm pods: %w", s.Template.Name, err)
	}
	c := &pod.Spec.Containers[0]
	w := &warmPod{pod: pod, dir: c.WorkingDir, envFrom: len(c.EnvFrom) > 0}
	command, args := c.Command, c.Args
	if len(command) == 0 {
		var ok bool
		if command, args, ok = cfg.Images.Start(c.Image, c.Args); !ok {
			return nil, fmt.Errorf("template %q is to run in warm pods, but has no command, and nothing says what image %q starts: set a command, or name the image in the worker's --images", s.Template.Name, c.Image)
		}
	}
	w.command = slices.Concat(command, args)
	env := c.Env
	c.Env = nil
	for _, v := range env {
		if v.ValueFrom != nil {
			c.Env = append(c.Env, v)
			w.env = append(w.env, handover.Var{Name: v.Name})
			continue
		}
		w.env = append(w.env, handover.Var{Name: v.Name, Value: &v.Value})
	}
	for _, m := range c.VolumeMounts {
		w.mounts = append(w.mounts, path.Clean(m.MountPath))
	}
	c.Command, c.Args, c.WorkingDir = []string{runnerPath, "warm", warmDir}, nil, ""
	c.VolumeMounts = append(c.VolumeMounts,
		corev1.VolumeMount{Name: runnerVolume, MountPath: runnerDir, ReadOnly: true}, corev1.VolumeMount{Name: warmVolume, MountPath: warmDir})
	pod.Spec.Volumes = append(pod.Spec.Volumes, freshVolume(warmVolume))
	if s.Template.Script != nil {
		pod.Spec.Volumes = append(pod.Spec.Volumes, freshVolume(stageVolume))
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: stageVolume, MountPath: stageDir})
	}
	if c.TerminationMessagePath != "" {
		c.Env = append(c.Env, corev1.EnvVar{Name: handover.EnvMessage, Value: c.TerminationMessagePath})
	}
	installRunner(cfg, &pod.Spec)
	for key := range jobAnnotations(s) {
		delete(pod.Annotations, key)
	}
	for key := range jobLabels(cfg, s) {
		delete(pod.Labels, key)
	}
	data, err := json.Marshal(pod)
	if err != nil {
		return nil, fmt.Errorf("encoding the pod: %w", err)
	}
	sum := sha256.Sum256(data)
	w.hash = hashEncoding.EncodeToString(sum[:])[:hashLength]
	return w, nil
}

// sharable says what of a pod, as it is after patches, would be a pod's and not a step's.
func sharable(pod *corev1.PodSpec) error {
	if len(pod.Containers) > 1 || len(pod.InitContainers) > 0 {
		return fmt.Errorf("podSpecPatch adds containers to the pod, which start and end with it and not with each step")
	}
	c := &pod.Containers[0]
	for i := range pod.Volumes {
		v := &pod.Volumes[i]
		if spec.FreshVolume(v) && slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == v.Name }) {
			return fmt.Errorf("it mounts volume %q, which is new for each pod, and not for each step", v.Name)
		}
	}
	if c.Lifecycle != nil || c.LivenessProbe != nil || c.StartupProbe != nil || c.ReadinessProbe != nil {
		return fmt.Errorf("podSpecPatch adds probes or lifecycle hooks, which are a pod's and not a step's")
	}
	if c.SecurityContext != nil && c.SecurityContext.Privileged != nil && *c.SecurityContext.Privileged {
		return fmt.Errorf("podSpecPatch makes it privileged, and what a privileged step changes would outlive it")
	}
	return nil
}

// key names the pool. Whoever wrote the template of the run wrote all that runs in it.
func (w *warmPod) key(s *worker.Step) string {
	return strings.Join([]string{s.Run.Namespace, s.Run.ID, s.Template.Name, w.hash}, "/")
}

// item is the step's own part.
func (w *warmPod) item(cfg Config, plan *handover.Plan, token string) *handover.Item {
	item := &handover.Item{
		Command: w.command, Env: w.env, EnvFrom: w.envFrom, Dir: w.dir, Plan: plan, Token: token, Grace: cfg.Grace.Milliseconds(),
	}
	add := func(p string) {
		if p = path.Clean(p); path.IsAbs(p) && p != "/" && !w.inVolume(p) {
			item.Fresh = append(item.Fresh, p)
		}
	}
	if plan.ScriptPath != "" {
		add(plan.ScriptPath)
	}
	for i := range plan.Inputs {
		add(plan.Inputs[i].Path)
	}
	for i := range plan.Parameters {
		add(plan.Parameters[i].Path)
	}
	for i := range plan.Outputs {
		add(plan.Outputs[i].Path)
	}
	for _, dir := range tidied {
		if !w.inVolume(dir) {
			item.Tidy = append(item.Tidy, dir)
		}
	}
	return item
}

// inVolume says that a path is in a volume, or has one below it: what is in a volume stays, as it
// does from pod to pod.
func (w *warmPod) inVolume(p string) bool {
	return slices.ContainsFunc(w.mounts, func(m string) bool {
		return p == m || m == "/" || strings.HasPrefix(p, m+"/") || strings.HasPrefix(m, p+"/")
	})
}

// job makes the Job of a pod, whose runner has no plan yet.
func (w *warmPod) job(cfg Config, s *worker.Step, name types.NamespacedName, r *runner) *batchv1.Job {
	labels := map[string]string{labelManaged: cfg.Install, labelOwner: cfg.Owner, labelRun: s.Run.ID, labelWarm: w.hash}
	if len(validation.IsValidLabelValue(s.Run.Name)) == 0 {
		labels[labelWorkflow] = s.Run.Name
	}
	pod := w.pod.DeepCopy()
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	maps.Copy(pod.Labels, labels)
	c := &pod.Spec.Containers[0]
	c.Env = append(c.Env, r.env()...)
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: name.Name, Namespace: name.Namespace, Labels: labels},
		Spec: batchv1.JobSpec{
			BackoffLimit:            new(int32(0)),
			TTLSecondsAfterFinished: new(int32(min(cfg.TTL, time.Minute) / time.Second)),
			PodReplacementPolicy:    new(batchv1.Failed),
			Template:                *pod,
		},
	}
}
