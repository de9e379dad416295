package kube

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"argosy/worker"
	"argosy/worker/handover"
	"argosy/workflow/spec"
)

// runner is what a pod needs to know of the gateway; nil for the user's container alone.
type runner struct {
	plan  *handover.Plan
	url   string
	key   string // KeySum of what is there; "" without TLS
	token string
}

// env tells a runner how to reach the gateway.
func (r *runner) env() []corev1.EnvVar {
	if r.token == "" {
		return nil
	}
	env := []corev1.EnvVar{{Name: handover.EnvGateway, Value: r.url}, {Name: handover.EnvToken, Value: r.token}}
	if r.key != "" {
		env = append(env, corev1.EnvVar{Name: handover.EnvKey, Value: r.key})
	}
	return env
}

// supported says why a template cannot be run yet; nil if it can.
func supported(t *spec.Template) error {
	if t.Container == nil && t.Script == nil && t.ContainerSet == nil {
		return fmt.Errorf("the kubernetes executor does not run %s templates", t.GetType())
	}
	return nil
}

// buildJob makes the step's Job.
func buildJob(cfg Config, s *worker.Step, r *runner, now time.Time) (*batchv1.Job, error) {
	pod, err := buildPod(cfg, s, r, now)
	if err != nil {
		return nil, err
	}
	annotations := jobAnnotations(s)
	if gc := podGC(s, pod.Labels); gc != "" {
		annotations[annotationPodGC] = gc
	}
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name:        JobName(s),
			Namespace:   s.Run.Namespace,
			Labels:      jobLabels(cfg, s),
			Annotations: annotations,
		},
		Spec: batchv1.JobSpec{
			BackoffLimit:            new(int32(0)),
			TTLSecondsAfterFinished: new(int32(cfg.TTL / time.Second)),
			PodReplacementPolicy:    new(batchv1.Failed),
			Template:                *pod,
		},
	}, nil
}

func jobLabels(cfg Config, s *worker.Step) map[string]string {
	labels := map[string]string{
		labelManaged:  cfg.Install,
		labelOwner:    cfg.Owner,
		labelRun:      s.Run.ID,
		labelDelivery: strconv.Itoa(s.Delivery),
	}
	if len(validation.IsValidLabelValue(s.Run.Name)) == 0 {
		labels[labelWorkflow] = s.Run.Name
	}
	return labels
}

func jobAnnotations(s *worker.Step) map[string]string {
	return map[string]string{
		annotationNode:     string(s.Key),
		annotationNodeName: s.Key.Name(s.Run.Name),
		annotationNodeID:   s.Key.ID(s.Run.Name),
	}
}

func buildPod(cfg Config, s *worker.Step, r *runner, now time.Time) (*corev1.PodTemplateSpec, error) {
	t, wf := s.Template, s.Spec
	pod := &corev1.PodTemplateSpec{
		ObjectMeta: podMeta(cfg, s),
		Spec: corev1.PodSpec{
			RestartPolicy:                 corev1.RestartPolicyNever,
			TerminationGracePeriodSeconds: new(int64(cfg.Grace / time.Second)),
			// Variables for every Service would tell steps where our Redis and store are.
			EnableServiceLinks: new(false),
			Volumes:            slices.Concat(wf.Volumes, claimVolumes(s), t.Volumes),
			NodeSelector:       merged(wf.NodeSelector, t.NodeSelector),
			Tolerations:        slices.Concat(wf.Tolerations, t.Tolerations),
			Affinity:           avoiding(first(t.Affinity, wf.Affinity), s.Avoid),
			SchedulerName:      firstText(t.SchedulerName, wf.SchedulerName),
			PriorityClassName:  firstText(t.PriorityClassName, wf.PodPriorityClassName),
			SecurityContext:    first(t.SecurityContext, wf.SecurityContext),
			ImagePullSecrets:   wf.ImagePullSecrets,
			HostAliases:        slices.Concat(wf.HostAliases, t.HostAliases),
			DNSConfig:          wf.DNSConfig,
			Resources:          first(t.PodResources, wf.PodResources),
			ResourceClaims:     wf.ResourceClaims,
			HostNetwork:        wf.HostNetwork != nil && *wf.HostNetwork,
		},
	}
	if wf.DNSPolicy != nil {
		pod.Spec.DNSPolicy = *wf.DNSPolicy
	}
	if len(t.ResourceClaims) > 0 {
		pod.Spec.ResourceClaims = t.ResourceClaims
	}
	setAccount(&pod.Spec, s)
	if !s.Deadline.IsZero() {
		pod.Spec.ActiveDeadlineSeconds = new(max(1, int64(math.Ceil(s.Deadline.Sub(now).Seconds()))))
	}
	pod.Spec.Containers = containersOf(t)
	mounts := pod.Spec.Containers[0].VolumeMounts
	if t.ContainerSet != nil {
		mounts = t.ContainerSet.VolumeMounts
	}
	for i := range t.InitContainers {
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, *beside(&t.InitContainers[i], mounts))
	}
	for i := range t.Sidecars {
		// Kubernetes ends those itself when the main container has ended, however they end then.
		c := beside(&t.Sidecars[i], mounts)
		c.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, *c)
	}
	if err := finishPod(cfg, &pod.Spec, s, r); err != nil {
		return nil, err
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if list[i].ImagePullPolicy == "" {
				list[i].ImagePullPolicy = cfg.PullPolicy
			}
		}
	}
	return pod, nil
}

// finishPod patches a pod as the user asks, and puts the runner into it where one is needed.
func finishPod(cfg Config, pod *corev1.PodSpec, s *worker.Step, r *runner) error {
	if r == nil {
		// As in Argo the command is not process 1, which would be deaf to SIGTERM unless it
		// had a handler for it.
		pod.ShareProcessNamespace = new(true)
	}
	if s.Template.ContainerSet != nil {
		if err := worker.PatchPod(s, pod); err != nil || r == nil {
			return err
		}
		return wrapSet(cfg, pod, s.Template, r)
	}
	s, err := worker.Patched(s, pod)
	if err != nil {
		return err
	}
	main := slices.IndexFunc(pod.Containers, func(c corev1.Container) bool { return c.Name == mainContainer })
	container := &pod.Containers[main]
	container.Command, container.Args = worker.Command(s.Template)
	if r == nil {
		return nil
	}
	return wrap(cfg, pod, container, s.Template, r)
}

// beside is a container of the user's other than the main one, whose volumes it may mirror.
func beside(u *spec.UserContainer, mounts []corev1.VolumeMount) *corev1.Container {
	c := u.Container.DeepCopy()
	if u.MirrorVolumeMounts != nil && *u.MirrorVolumeMounts {
		c.VolumeMounts = slices.Concat(c.VolumeMounts, mounts)
	}
	return c
}

func podMeta(cfg Config, s *worker.Step) metav1.ObjectMeta {
	meta := metav1.ObjectMeta{Labels: map[string]string{}, Annotations: map[string]string{}}
	if m := s.Spec.PodMetadata; m != nil {
		maps.Copy(meta.Labels, m.Labels)
		maps.Copy(meta.Annotations, m.Annotations)
	}
	maps.Copy(meta.Labels, s.Template.Metadata.Labels)
	maps.Copy(meta.Annotations, s.Template.Metadata.Annotations)
	maps.Copy(meta.Labels, jobLabels(cfg, s))
	maps.Copy(meta.Annotations, jobAnnotations(s))
	return meta
}

// setAccount gives the pod a service account's token only if the user names the account.
func setAccount(pod *corev1.PodSpec, s *worker.Step) {
	pod.ServiceAccountName = firstText(s.Template.ServiceAccountName, s.Spec.ServiceAccountName)
	automount := first(s.Template.AutomountServiceAccountToken, s.Spec.AutomountServiceAccountToken)
	switch {
	case pod.ServiceAccountName == "":
		automount = new(false)
	case automount == nil:
		automount = new(true)
	}
	pod.AutomountServiceAccountToken = automount
}

// wrap puts the runner around the user's command.
func wrap(cfg Config, pod *corev1.PodSpec, c *corev1.Container, t *spec.Template, r *runner) error {
	if err := wrapContainer(cfg, c, t, r); err != nil {
		return err
	}
	if r.plan.ScriptPath != "" {
		// A directory that users other than root can write the script to.
		pod.Volumes = append(pod.Volumes, corev1.Volume{Name: stageVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: stageVolume, MountPath: stageDir})
	}
	installRunner(cfg, pod)
	mountPauses(pod)
	return nil
}

// wrapContainer has the runner start a container's command.
func wrapContainer(cfg Config, c *corev1.Container, t *spec.Template, r *runner) error {
	if len(c.Command) == 0 {
		command, args, ok := cfg.Images.Start(c.Image, c.Args)
		if !ok {
			return fmt.Errorf("container %q of template %q has something to stage, collect or wait for, but no command, and nothing says what image %q starts: set a command, or name the image in the worker's --images", c.Name, t.Name, c.Image)
		}
		c.Command, c.Args = command, args
	}
	env := r.env()
	plan, err := json.Marshal(r.plan)
	if err != nil {
		return fmt.Errorf("encoding the step's plan: %w", err)
	}
	if len(plan) <= handover.MaxPlanEnv {
		// Kubernetes expands $(NAME) in values, and $$ is its escape.
		env = append(env, corev1.EnvVar{Name: handover.EnvPlan, Value: escapeDollars(string(plan))})
	}
	if c.TerminationMessagePath != "" {
		env = append(env, corev1.EnvVar{Name: handover.EnvMessage, Value: c.TerminationMessagePath})
	}
	c.Env = slices.Concat(c.Env, env)
	c.Args = slices.Concat(c.Command, c.Args)
	c.Command = []string{runnerPath, "run", "--"}
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: runnerVolume, MountPath: runnerDir, ReadOnly: true})
	return nil
}

// installRunner mounts the node's runner, or has an init container put one where the others find it.
func installRunner(cfg Config, pod *corev1.PodSpec) {
	runner := corev1.Volume{Name: runnerVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
	// Before the staging directory, if there is one.
	at := len(pod.Volumes)
	if i := slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == stageVolume || v.Name == setVolume }); i >= 0 {
		at = i
	}
	if cfg.NodeRunner != "" {
		runner.VolumeSource = corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: cfg.NodeRunner, Type: new(corev1.HostPathDirectory)}}
	}
	pod.Volumes = slices.Insert(pod.Volumes, at, runner)
	if cfg.NodeRunner != "" {
		return
	}
	pod.InitContainers = slices.Concat([]corev1.Container{{
		Name:            initContainer,
		Image:           cfg.RunnerImage,
		ImagePullPolicy: corev1.PullIfNotPresent,
		Command:         []string{"argosy-step", "install", runnerDir},
		VolumeMounts:    []corev1.VolumeMount{{Name: runnerVolume, MountPath: runnerDir}},
	}}, pod.InitContainers)
}

// mountPauses gives containers that may pause a place for the files that end it, which any user can
// write to.
func mountPauses(pod *corev1.PodSpec) {
	found := false
	for i := range pod.Containers {
		c := &pod.Containers[i]
		if worker.Pauses(c) && !slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == pauseDir }) {
			c.VolumeMounts, found = append(c.VolumeMounts, corev1.VolumeMount{Name: pauseVolume, MountPath: pauseDir}), true
		}
	}
	if found {
		pod.Volumes = append(pod.Volumes, corev1.Volume{Name: pauseVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
	}
}

func escapeDollars(text string) string {
	out := make([]byte, 0, len(text))
	for i := range len(text) {
		if text[i] == '$' {
			out = append(out, '$')
		}
		out = append(out, text[i])
	}
	return string(out)
}

func merged(under, over map[string]string) map[string]string {
	if len(under) == 0 {
		return over
	}
	out := maps.Clone(under)
	maps.Copy(out, over)
	return out
}

func first[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

func firstText(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
