package kube

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"argosy/worker"
	"argosy/worker/handover"
	"argosy/workflow"
	"argosy/workflow/spec"
)

func warmUnit(change func(s *worker.Step)) *worker.Step {
	s := unitStep(&spec.Template{
		Container: &corev1.Container{
			Image: "alpine:3", Command: []string{"echo"}, Args: []string{"hello", "$(A)"},
			Env: []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "POD", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}}},
		},
	})
	s.Spec = &spec.WorkflowSpec{Volumes: []corev1.Volume{
		{Name: "cache", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}},
	}}
	if change != nil {
		change(s)
	}
	return s
}

func TestStepsThatShareAWarmPod(t *testing.T) {
	t.Parallel()
	cfg := Config{}.withDefaults()
	key := func(change func(s *worker.Step)) string {
		s := warmUnit(change)
		w, err := warmShape(cfg, s, time.Unix(1000, 0))
		require.NoError(t, err)
		return w.key(s)
	}
	one := key(nil)
	for name, c := range map[string]struct {
		change func(s *worker.Step)
		same   bool
	}{
		"another key and delivery": {func(s *worker.Step) { s.Key, s.Delivery = workflow.Root.Task("other"), 7 }, true},
		"another deadline":         {func(s *worker.Step) { s.Deadline = time.Unix(2000, 0) }, true},
		"other arguments":          {func(s *worker.Step) { s.Template.Container.Args = []string{"bye"} }, true},
		"another value":            {func(s *worker.Step) { s.Template.Container.Env[0].Value = "2" }, true},
		"another folder":           {func(s *worker.Step) { s.Template.Container.WorkingDir = "/usr" }, true},
		"another image":            {func(s *worker.Step) { s.Template.Container.Image = "alpine:4" }, false},
		"another account":          {func(s *worker.Step) { s.Template.ServiceAccountName = "admin" }, false},
		"another source":           {func(s *worker.Step) { s.Template.Container.Env[1].ValueFrom.FieldRef.FieldPath = "spec.nodeName" }, false},
		"another patch":            {func(s *worker.Step) { s.Template.PodSpecPatch = "hostname: other" }, false},
		"another template":         {func(s *worker.Step) { s.Template.Name = "other" }, false},
		"another run":              {func(s *worker.Step) { s.Run.ID = "other" }, false},
		"another namespace":        {func(s *worker.Step) { s.Run.Namespace = "other" }, false},
	} {
		require.Equal(t, c.same, key(c.change) == one, name)
	}
}

func TestStepsThatCannotShareAPod(t *testing.T) {
	t.Parallel()
	for patch, message := range map[string]string{
		"containers: [{name: side, image: alpine}]":                                    "adds containers",
		"initContainers: [{name: before, image: alpine}]":                              "adds containers",
		"containers: [{name: main, volumeMounts: [{name: cache, mountPath: /cache}]}]": `mounts volume "cache"`,
		"containers: [{name: main, securityContext: {privileged: true}}]":              "privileged",
		"containers: [{name: main, lifecycle: {preStop: {exec: {command: [echo]}}}}]":  "lifecycle hooks",
	} {
		_, err := warmShape(Config{}.withDefaults(), warmUnit(func(s *worker.Step) { s.Template.PodSpecPatch = patch }), time.Unix(1000, 0))
		require.ErrorContains(t, err, message, patch)
	}
	_, err := warmShape(Config{}.withDefaults(), warmUnit(func(s *worker.Step) { s.Template.Container.Command = nil }), time.Unix(1000, 0))
	require.ErrorContains(t, err, "nothing says what image \"alpine:3\" starts")
}

func TestAWarmItemIsFreshWhereNoVolumeIs(t *testing.T) {
	t.Parallel()
	cfg := Config{}.withDefaults()
	s := warmUnit(func(s *worker.Step) {
		s.Template.Container.WorkingDir = "/usr"
		s.Template.Container.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data/"}, {Name: "data", MountPath: "/var/tmp"}}
	})
	w, err := warmShape(cfg, s, time.Unix(1000, 0))
	require.NoError(t, err)
	plan := &handover.Plan{
		Inputs:     []handover.Input{{Path: "/in"}, {Path: "/data/in"}},
		Parameters: []handover.Parameter{{Path: "/out/p"}},
		Outputs:    []handover.Output{{Path: "/data"}, {Path: "/"}, {Path: "relative"}},
	}
	item := w.item(cfg, plan, "token")
	require.Equal(t, []string{"/in", "/out/p"}, item.Fresh)
	require.Equal(t, []string{"/tmp", "/dev/shm"}, item.Tidy)
	require.Equal(t, "/usr", item.Dir)
	require.Equal(t, []string{"echo", "hello", "$(A)"}, item.Command)
	one := "1"
	require.Equal(t, []handover.Var{{Name: "A", Value: &one}, {Name: "POD"}}, item.Env)
	job := w.job(cfg, s, warmName(s, "w1"), &runner{url: "https://worker", key: "sum", token: "secret"})
	main := job.Spec.Template.Spec.Containers[0]
	require.Equal(t, []string{runnerPath, "warm", warmDir}, main.Command)
	require.Empty(t, main.Args)
	require.NotContains(t, job.Labels, labelDelivery)
	require.False(t, *job.Spec.Template.Spec.AutomountServiceAccountToken)
}
