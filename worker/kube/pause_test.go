package kube

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"argosy/worker"
	"argosy/worker/handover"
	"argosy/workflow/spec"
)

func TestContainersThatPauseHaveARunnerAndAPlaceForTheFilesThatEndIt(t *testing.T) {
	t.Parallel()
	pausing := func(c corev1.Container, variable, value string) corev1.Container {
		c.Env = []corev1.EnvVar{{Name: variable, Value: value}}
		return c
	}
	plain := corev1.Container{Image: "alpine:3", Command: []string{"true"}}
	set := setOf(node("a"), node("b"))
	set.ContainerSet.Containers[1].Container = pausing(set.ContainerSet.Containers[1].Container, handover.EnvPauseAfter, "true")
	script := &spec.Template{Script: &spec.ScriptTemplate{Container: pausing(plain, handover.EnvPauseBefore, "true"), Source: "x"}}
	before, never := pausing(plain, handover.EnvPauseBefore, "true"), pausing(plain, handover.EnvPauseBefore, "false")
	for name, tt := range map[string]struct {
		template *spec.Template
		pauses   []string
	}{
		"a container":  {&spec.Template{Container: &before}, []string{"main"}},
		"a script":     {script, []string{"main"}},
		"one of a set": {set, []string{"b"}},
		"none":         {&spec.Template{Container: &never}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := unitStep(tt.template)
			require.Equal(t, tt.pauses != nil, worker.NeedsRunner(s))
			var r *runner
			if worker.NeedsRunner(s) {
				r = &runner{plan: &handover.Plan{}, url: "http://gateway", token: "secret"}
			}
			pod, err := buildPod(Config{}.withDefaults(), s, r, time.Now())
			require.NoError(t, err)
			var mounted []string
			for _, c := range pod.Spec.Containers {
				for _, m := range c.VolumeMounts {
					if m.Name == pauseVolume {
						require.Equal(t, "/var/run/argo", m.MountPath)
						mounted = append(mounted, c.Name)
					}
				}
			}
			require.Equal(t, tt.pauses, mounted)
			volumes := 0
			for _, v := range pod.Spec.Volumes {
				if v.Name == pauseVolume {
					require.NotNil(t, v.EmptyDir)
					volumes++
				}
			}
			require.Equal(t, len(tt.pauses), volumes)
		})
	}
}
