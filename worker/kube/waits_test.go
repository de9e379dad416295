package kube

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"argosy/worker"
	"argosy/worker/executortest"
)

// waitingStep follows a step whose Job was made at a time, which Kubernetes says things of.
func waitingStep(made time.Time, says ...*corev1.Event) (f *following, told *[]string) {
	told = &[]string{}
	job := jobWith("", "")
	job.CreationTimestamp = metav1.NewTime(made)
	return &following{
		Executor: &Executor{cfg: Config{}.withDefaults()}, job: job, seen: true, log: slog.New(slog.DiscardHandler),
		uids: []types.UID{"job"},
		ask:  func(context.Context, types.UID) ([]*corev1.Event, error) { return says, nil },
		step: &worker.Step{Log: &executortest.Log{}, Waits: func(_ context.Context, message string) error {
			*told = append(*told, message)
			return nil
		}},
	}, told
}

func warning(reason, message string) *corev1.Event {
	return &corev1.Event{Reason: reason, Message: message, Type: corev1.EventTypeWarning, Count: 3}
}

func TestAStepSaysWhatItWaitsForOnceThatGoesOnForLong(t *testing.T) {
	t.Parallel()
	made := time.Unix(1000, 0)
	unschedulable := podIn(corev1.PodPending, condition(corev1.PodScheduled, corev1.ConditionFalse, "Unschedulable", "no node"))
	creating := podIn(corev1.PodPending, waitingFor(mainContainer, "ContainerCreating", ""))
	creating.CreationTimestamp = metav1.NewTime(made)
	for name, tt := range map[string]struct {
		pod    *corev1.Pod
		says   []*corev1.Event
		after  time.Duration
		want   string // "" is nothing
		giveUp string // class
		fault  string
	}{
		"not at once":          {pod: unschedulable, after: 4 * time.Second},
		"unschedulable":        {pod: unschedulable, after: 5 * time.Second, want: "Unschedulable: no node"},
		"image":                {pod: podIn(corev1.PodPending, waitingFor(mainContainer, "ErrImagePull", "gone")), after: 5 * time.Second, want: "ErrImagePull: gone", giveUp: worker.ClassImage, fault: "main: ErrImagePull: gone"},
		"slow":                 {pod: creating, after: 5 * time.Second},
		"volume":               {pod: creating, says: []*corev1.Event{warning("FailedMount", "no such secret")}, after: 5 * time.Second, want: "FailedMount: no such secret"},
		"quota":                {says: []*corev1.Event{warning("FailedCreate", `pods "x" is forbidden: exceeded quota: q`)}, after: 5 * time.Second, want: `pods "x" is forbidden: exceeded quota: q`},
		"no account":           {says: []*corev1.Event{warning("FailedCreate", "no account")}, after: 5 * time.Second, want: "no account", giveUp: worker.ClassExecutor, fault: "no pod was created for the step's Job: no account"},
		"nothing but patience": {after: 5 * time.Second, giveUp: worker.ClassExecutor, fault: "no pod was created for the step's Job"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, told := waitingStep(made, tt.says...)
			now := made.Add(tt.after)
			v := f.consult(t.Context(), classify(f.job, tt.pod), tt.pod, now)
			again := f.tell(t.Context(), v, now, time.Minute)
			require.LessOrEqual(t, again, consultEvery)
			var want []string
			if tt.want != "" {
				want = []string{tt.want}
			}
			require.Equal(t, want, append([]string(nil), *told...))
			if tt.giveUp == "" {
				require.Nil(t, v.giveUp)
				return
			}
			require.Equal(t, tt.giveUp, v.giveUp.Class)
			require.EqualError(t, v.giveUp, tt.fault)
		})
	}
}

func TestAStepThatHasStartedWaitsForNothing(t *testing.T) {
	t.Parallel()
	made := time.Unix(1000, 0)
	f, told := waitingStep(made)
	started := classify(f.job, podIn(corev1.PodRunning, running))
	f.tell(t.Context(), started, made.Add(time.Minute), time.Minute)
	require.Empty(t, *told, "nobody was told that it waits")
	f.waited = "something" // by this worker, or the one before
	f.tell(t.Context(), started, made.Add(time.Minute), time.Minute)
	require.Equal(t, []string{""}, *told)
	f.tell(t.Context(), started, made.Add(time.Minute), time.Minute)
	require.Len(t, *told, 1)
}

func TestWhatAStepWaitsForIsNotToldAllTheTime(t *testing.T) {
	t.Parallel()
	made := time.Unix(1000, 0)
	f, told := waitingStep(made)
	for i, text := range []string{"a", "b", "c"} {
		f.tell(t.Context(), verdict{waiting: text}, made.Add(10*time.Second+time.Duration(i)*time.Second), time.Minute)
	}
	require.Equal(t, []string{"a"}, *told)
	again := f.tell(t.Context(), verdict{waiting: "c"}, made.Add(10*time.Second+consultEvery), time.Minute)
	require.Equal(t, []string{"a", "c"}, *told)
	require.LessOrEqual(t, again, consultEvery)
}

func TestTheEventsOfAStepThatDidNotEndByItselfAreInItsLog(t *testing.T) {
	t.Parallel()
	f, _ := waitingStep(time.Unix(1000, 0), warning("FailedMount", "no such secret\n"))
	f.logEvents(t.Context())
	require.Equal(t, "argosy: FailedMount: no such secret (3 times)\n", f.step.Log.(*executortest.Log).String())
	f.ask = func(context.Context, types.UID) ([]*corev1.Event, error) {
		return nil, errors.New("forbidden")
	}
	f.logEvents(t.Context())
}

func TestAPodThatDoesNotTellOfItsEndIsLost(t *testing.T) {
	t.Parallel()
	gone := time.Unix(1000, 0)
	pod := podIn(corev1.PodRunning, running, condition(corev1.DisruptionTarget, corev1.ConditionTrue, "DeletionByTaintManager", "node is away"))
	pod.DeletionTimestamp, pod.Spec.NodeName = &metav1.Time{Time: gone}, "n1"
	f, _ := waitingStep(gone)
	v, again := f.judge(classify(f.job, pod), f.job, pod, gone.Add(lostAfter/2))
	require.Equal(t, stageRunning, v.stage)
	require.LessOrEqual(t, again, lostAfter/2)
	v, _ = f.judge(classify(f.job, pod), f.job, pod, gone.Add(lostAfter))
	require.Equal(t, stageEnded, v.stage)
	require.True(t, v.remove)
	require.Equal(t, worker.ClassLost, v.fault.Class)
	require.EqualError(t, v.fault, "the pod was taken away (DeletionByTaintManager): node is away, and node n1 does not tell of its end")
}
