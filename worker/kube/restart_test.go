package kube

import (
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"argosy/workflow/spec"
)

func TestAPodIsMadeAnewOnlyIfItNeverStarted(t *testing.T) {
	t.Parallel()
	onNode := func(p *corev1.Pod) { p.Spec.NodeName = "n1" }
	refused := podIn(corev1.PodFailed, onNode, reason("OutOfcpu", "no cpu"))
	preempted := condition(corev1.DisruptionTarget, corev1.ConditionTrue, "PreemptionByScheduler", "by another")
	for name, tt := range map[string]struct {
		last     *corev1.Pod // as it was last seen
		vanished bool        // and is there no more
		ran      bool
		before   string
		anew     bool
	}{
		"refused by its node":         {last: refused, anew: true},
		"again and again":             {last: refused, before: "3"},
		"a second time":               {last: refused, before: "1", anew: true},
		"evicted before it started":   {last: podIn(corev1.PodFailed, onNode, reason("Evicted", "low"), waitingFor(mainContainer, "ContainerCreating", "")), anew: true},
		"it was seen to run":          {last: refused, ran: true},
		"evicted while it ran":        {last: podIn(corev1.PodFailed, onNode, running, reason("Evicted", "low"))},
		"evicted, and it told an end": {last: podIn(corev1.PodFailed, onNode, terminated(137, "Error", ""), reason("Evicted", "low"))},
		"its node went while it ran":  {last: podIn(corev1.PodFailed, onNode, running, condition(corev1.DisruptionTarget, corev1.ConditionTrue, "DeletionByPodGC", ""))},
		"gone before its start":       {last: podIn(corev1.PodFailed, onNode, terminated(128, "StartError", stopped)), anew: true},
		"no such command":             {last: podIn(corev1.PodFailed, onNode, terminated(128, "StartError", notFound))},
		"preempted":                   {last: podIn(corev1.PodFailed, preempted), anew: true},
		"deleted, without a node":     {last: podIn(corev1.PodPending), vanished: true, anew: true},
		"deleted, with a node":        {last: podIn(corev1.PodPending, onNode), vanished: true},
		"never seen":                  {vanished: true},
		"an init container failed": {last: podIn(corev1.PodFailed, func(p *corev1.Pod) {
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: initContainer, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 2}}}}
		})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := jobWith(batchv1.JobFailed, "")
			job.Annotations = map[string]string{annotationRestarts: tt.before}
			f := &following{Executor: &Executor{cfg: Config{}.withDefaults()}, job: job, last: tt.last, ran: tt.ran}
			v := classify(job, tt.last)
			if tt.vanished {
				v = classifyVanished(job)
			}
			require.Equal(t, stageEnded, v.stage)
			require.Equal(t, tt.anew, f.restarts(v))
		})
	}
	f := &following{Executor: &Executor{cfg: Config{Restarts: -1}.withDefaults()}, job: &batchv1.Job{ObjectMeta: metav1.ObjectMeta{}}}
	require.False(t, f.restarts(classify(f.job, refused)), "it is turned off")
	set := &spec.ContainerSetTemplate{Containers: []spec.ContainerNode{node("a")}}
	require.True(t, classifySet(nil, refused, set).unstarted)
}
