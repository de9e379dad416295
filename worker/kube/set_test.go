package kube

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"argosy/worker"
	"argosy/worker/handover"
	"argosy/workflow/spec"
)

func node(name string, after ...string) spec.ContainerNode {
	return spec.ContainerNode{Container: corev1.Container{Name: name, Image: "busybox", Command: []string{"do", name}}, Dependencies: after}
}

func setOf(nodes ...spec.ContainerNode) *spec.Template {
	return &spec.Template{ContainerSet: &spec.ContainerSetTemplate{
		Containers: nodes, VolumeMounts: []corev1.VolumeMount{{Name: "work", MountPath: "/w"}},
	}}
}

func TestContainersOfASetThatNeedNothingAreTheUsersAlone(t *testing.T) {
	t.Parallel()
	s := unitStep(setOf(node("a"), node("b")))
	require.False(t, setNeedsRunner(s.Template))
	pod, err := buildPod(Config{}.withDefaults(), s, nil, time.Now())
	require.NoError(t, err)
	require.Empty(t, pod.Spec.InitContainers)
	require.Len(t, pod.Spec.Containers, 2)
	for i, name := range []string{"a", "b"} {
		c := pod.Spec.Containers[i]
		require.Equal(t, name, c.Name)
		require.Equal(t, []string{"do", name}, c.Command)
		require.Equal(t, s.Template.ContainerSet.VolumeMounts, c.VolumeMounts)
	}
}

func TestContainersOfASetKnowTheirPlace(t *testing.T) {
	t.Parallel()
	s := unitStep(setOf(node("main", "a"), node("a"), node("b", "a", "main")))
	twice := intstr.FromInt32(2)
	s.Template.ContainerSet.RetryStrategy = &spec.ContainerSetRetryStrategy{Retries: &twice, Duration: "2s"}
	r := &runner{plan: &handover.Plan{Result: true}, url: "http://gateway", token: "secret"}
	pod, err := buildPod(Config{}.withDefaults(), s, r, time.Now())
	require.NoError(t, err)
	require.Len(t, pod.Spec.InitContainers, 1)
	want := map[string]handover.Set{
		"main": {Name: "main", Dir: setDir, After: []string{"a"}, Others: []string{"a", "b"}, Tries: 3, Pause: 2000},
		"a":    {Name: "a", Dir: setDir, Tries: 3, Pause: 2000},
		"b":    {Name: "b", Dir: setDir, After: []string{"a", "main"}, Tries: 3, Pause: 2000},
	}
	for _, c := range pod.Spec.Containers {
		require.Equal(t, []string{runnerPath, "run", "--"}, c.Command)
		require.Equal(t, []string{"do", c.Name}, c.Args)
		env := map[string]string{}
		for _, v := range c.Env {
			env[v.Name] = v.Value
		}
		var place handover.Set
		require.NoError(t, json.Unmarshal([]byte(env[handover.EnvSet]), &place))
		require.Equal(t, want[c.Name], place)
		_, told := env[handover.EnvToken]
		require.Equal(t, c.Name == "main", told, "only main has something to ask the gateway for")
	}

	s.Template.ContainerSet.Containers[1].Command = nil
	_, err = buildPod(Config{}.withDefaults(), s, r, time.Now())
	require.ErrorContains(t, err, `container "a" of template "build" has something to stage, collect or wait for, but no command`)
}

func TestSetsAreClassified(t *testing.T) {
	t.Parallel()
	set := setOf(node("main", "a"), node("a")).ContainerSet
	at := func(name string, state corev1.ContainerState) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: name, State: state}
	}
	runs := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	over := func(code int32, o *handover.Outcome, from, to int64) corev1.ContainerState {
		t := &corev1.ContainerStateTerminated{ExitCode: code, StartedAt: metav1.Unix(from, 0), FinishedAt: metav1.Unix(to, 0)}
		if o != nil {
			message, _, err := o.Encode()
			if err != nil {
				panic(err)
			}
			t.Message = string(message)
		}
		return corev1.ContainerState{Terminated: t}
	}
	pull := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull"}}
	starts := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}
	waited := &handover.Outcome{Code: 64, Waited: true, Message: `dependency "a" exited with non-zero code: 5`}
	for name, tt := range map[string]struct {
		main, a corev1.ContainerState
		stage   stage
		phase   spec.NodePhase
		message string
		class   string // of the fault
		giveUp  bool
	}{
		"nothing runs":              {main: starts, a: starts, stage: stagePending},
		"one runs":                  {main: starts, a: runs, stage: stageRunning},
		"one has ended":             {main: runs, a: over(0, nil, 1, 2), stage: stageRunning},
		"an image is not there":     {main: pull, a: runs, stage: stageRunning, giveUp: true},
		"both succeeded":            {main: over(0, nil, 2, 4), a: over(0, nil, 1, 3), stage: stageEnded, phase: spec.NodeSucceeded},
		"one failed":                {main: over(64, waited, 2, 4), a: over(5, &handover.Outcome{Code: 5}, 1, 3), stage: stageEnded, phase: spec.NodeFailed, message: "a: Error (exit code 5)"},
		"main failed":               {main: over(6, &handover.Outcome{Code: 6}, 2, 4), a: over(5, nil, 1, 3), stage: stageEnded, phase: spec.NodeFailed, message: "main: Error (exit code 6)"},
		"one could not be staged":   {main: over(64, &handover.Outcome{Code: 64, Fault: &handover.Fault{Class: "store", Message: "away"}}, 2, 4), a: over(0, nil, 1, 3), stage: stageEnded, class: "store"},
		"one had not enough memory": {main: over(0, nil, 2, 4), a: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}}, stage: stageEnded, class: worker.ClassOOM},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := podIn(corev1.PodRunning)
			pod.Status.ContainerStatuses = []corev1.ContainerStatus{at("a", tt.a), at("main", tt.main)}
			v := classifySet(nil, pod, set)
			require.Equal(t, tt.stage, v.stage)
			require.Equal(t, tt.giveUp, v.giveUp != nil)
			if tt.stage != stageEnded {
				return
			}
			if tt.class != "" {
				require.NotNil(t, v.fault)
				require.Equal(t, tt.class, v.fault.Class)
				return
			}
			require.Nil(t, v.fault)
			require.Equal(t, tt.phase, v.result.Phase)
			require.Equal(t, tt.message, v.result.Message)
			require.EqualValues(t, 1000, v.result.Started)
			require.EqualValues(t, 4000, v.result.Finished)
			require.Len(t, v.result.Containers, 2)
			require.Equal(t, "main", v.result.Containers[0].Name)
			if tt.main.Terminated.ExitCode == 64 {
				require.Equal(t, `main: Error (exit code 64): dependency "a" exited with non-zero code: 5`, v.result.Containers[0].Message)
			}
		})
	}
}
