package kube

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"argosy/worker"
	"argosy/worker/handover"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// podIn makes a pod of a phase.
func podIn(phase corev1.PodPhase, adjust ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{Status: corev1.PodStatus{Phase: phase}}
	for _, a := range adjust {
		a(p)
	}
	return p
}

func terminated(code int32, reason, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: mainContainer, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: code, Reason: reason, Message: message,
			StartedAt: metav1.Unix(100, 0), FinishedAt: metav1.Unix(103, 0),
		}}}}
	}
}

func waitingFor(container, reason, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		c := corev1.ContainerStatus{Name: container, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
		if container == mainContainer {
			p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, c)
		} else {
			p.Status.InitContainerStatuses = append(p.Status.InitContainerStatuses, c)
		}
	}
}

func running(p *corev1.Pod) {
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: mainContainer, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
}

func reason(reason, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Status.Reason, p.Status.Message = reason, message }
}

func condition(kind corev1.PodConditionType, status corev1.ConditionStatus, reason, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: kind, Status: status, Reason: reason, Message: message})
	}
}

func deleted(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: time.Unix(102, 0)} }

func jobWith(kind batchv1.JobConditionType, message string) *batchv1.Job {
	j := &batchv1.Job{}
	if kind != "" {
		j.Status.Conditions = []batchv1.JobCondition{{Type: kind, Status: corev1.ConditionTrue, Message: message}}
	}
	return j
}

func TestClassify(t *testing.T) {
	t.Parallel()
	const (
		failed    = corev1.PodFailed
		pending   = corev1.PodPending
		succeeded = corev1.PodSucceeded
	)

	for _, c := range []struct {
		name    string
		job     *batchv1.Job
		pod     *corev1.Pod
		stage   stage
		phase   spec.NodePhase
		message string // of the result, the fault, what is waited for
		class   string
		giveUp  string // class
		code    *int
	}{
		{name: "no pod yet", job: jobWith("", ""), message: "the Job has no pod yet", giveUp: worker.ClassExecutor},
		{name: "nothing left", stage: stageEnded, class: worker.ClassLost, message: "the step's Job was deleted"},
		{name: "ended Job without a pod", job: jobWith(batchv1.JobFailed, "x"), stage: stageUnclear},
		{name: "complete Job, pod not seen to end", job: jobWith(batchv1.JobComplete, ""), pod: podIn(pending), stage: stageUnclear},
		{name: "pending", job: jobWith("", ""), pod: podIn(pending), message: "the pod is pending"},
		{name: "creating", pod: podIn(pending, waitingFor(mainContainer, "ContainerCreating", "")), message: "the pod is pending"},
		{name: "unschedulable", pod: podIn(pending, condition(corev1.PodScheduled, corev1.ConditionFalse, "Unschedulable", "0/1 nodes are available: 1 Insufficient cpu.")),
			message: "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu."},
		{name: "image pull fails", pod: podIn(pending, waitingFor(mainContainer, "ErrImagePull", "not found")),
			message: "ErrImagePull: not found", giveUp: worker.ClassImage},
		{name: "runner image pull backs off", pod: podIn(pending, waitingFor(initContainer, "ImagePullBackOff", "x"), waitingFor(mainContainer, "PodInitializing", "")),
			message: "ImagePullBackOff: x", giveUp: worker.ClassImage},
		{name: "image name is invalid", pod: podIn(pending, waitingFor(mainContainer, "InvalidImageName", "bad")),
			stage: stageEnded, class: worker.ClassImage, message: "main: InvalidImageName: bad"},
		{name: "image may not be pulled", pod: podIn(pending, waitingFor(mainContainer, "ErrImageNeverPull", "absent")),
			stage: stageEnded, class: worker.ClassImage, message: "main: ErrImageNeverPull: absent"},
		{name: "secret missing", pod: podIn(pending, waitingFor(mainContainer, "CreateContainerConfigError", `secret "s" not found`)),
			message: `CreateContainerConfigError: secret "s" not found`, giveUp: worker.ClassInvalid},
		{name: "running", pod: podIn(corev1.PodRunning, running), stage: stageRunning},
		{name: "running and being deleted", pod: podIn(corev1.PodRunning, running, deleted), stage: stageRunning, message: "the pod is being deleted"},
		{name: "success", pod: podIn(succeeded, terminated(0, "Completed", "")), stage: stageEnded, phase: spec.NodeSucceeded, code: new(0)},
		{name: "success before the pod's phase says so", pod: podIn(corev1.PodRunning, terminated(0, "Completed", "")), stage: stageEnded, phase: spec.NodeSucceeded, code: new(0)},
		{name: "success of a pod that was deleted", pod: podIn(succeeded, terminated(0, "Completed", ""), deleted), stage: stageEnded, phase: spec.NodeSucceeded, code: new(0)},
		{name: "exit code", pod: podIn(failed, terminated(3, "Error", "")), stage: stageEnded, phase: spec.NodeFailed, message: "main: Error (exit code 3)", code: new(3)},
		{name: "exit code with message", pod: podIn(failed, terminated(1, "Error", "no disk\n")), stage: stageEnded, phase: spec.NodeFailed, message: "main: Error (exit code 1): no disk", code: new(1)},
		{name: "signal", pod: podIn(failed, terminated(143, "Error", "")), stage: stageEnded, phase: spec.NodeFailed, message: "main: Error (exit code 143)", code: new(143)},
		{name: "command not found", pod: podIn(failed, terminated(128, "StartError", notFound)), stage: stageEnded, phase: spec.NodeFailed,
			message: `main: Error (exit code 64): failed to find name in PATH: exec: "nope": executable file not found in $PATH`, code: new(64)},
		{name: "command not there", pod: podIn(failed, terminated(128, "StartError", noFile)), stage: stageEnded, phase: spec.NodeFailed,
			message: `main: Error (exit code 64): failed to find name in PATH: exec: "/no/such": stat /no/such: no such file or directory`, code: new(64)},
		{name: "start error of another kind", pod: podIn(failed, terminated(128, "StartError", "mount failed")), stage: stageEnded, phase: spec.NodeFailed,
			message: "main: Error (exit code 64): mount failed", code: new(64)},
		{name: "container gone before its start", pod: podIn(failed, terminated(128, "StartError", stopped)), stage: stageEnded, class: worker.ClassLost, message: "main: StartError: " + stopped},
		{name: "sandbox gone before the start", pod: podIn(failed, terminated(128, "StartError", noSandbox)), stage: stageEnded, class: worker.ClassLost, message: "main: StartError: " + noSandbox},
		{name: "out of memory", pod: podIn(failed, terminated(137, "OOMKilled", "")), stage: stageEnded, class: worker.ClassOOM, message: "main: OOMKilled (exit code 137)", code: new(137)},
		{name: "deadline", pod: podIn(failed, terminated(143, "Error", ""), reason("DeadlineExceeded", worker.DeadlineMessage)), stage: stageEnded, phase: spec.NodeFailed, message: worker.DeadlineMessage},
		{name: "deadline before the start", pod: podIn(failed, reason("DeadlineExceeded", "")), stage: stageEnded, phase: spec.NodeFailed, message: worker.DeadlineMessage},
		{name: "evicted", pod: podIn(failed, terminated(137, "Error", ""), reason("Evicted", "The node was low on resource: memory.")), stage: stageEnded, class: worker.ClassEvicted, message: "The node was low on resource: memory."},
		{name: "node shut down", pod: podIn(failed, terminated(137, "Error", ""), reason("Terminated", "Pod was terminated in response to imminent node shutdown.")), stage: stageEnded, class: worker.ClassEvicted, message: "Pod was terminated in response to imminent node shutdown."},
		{name: "node deleted", pod: podIn(failed, running, condition(corev1.DisruptionTarget, corev1.ConditionTrue, "DeletionByPodGC", "PodGC: node no longer exists")),
			stage: stageEnded, class: worker.ClassLost, message: "the pod was taken away (DeletionByPodGC): PodGC: node no longer exists"},
		{name: "preempted before the start", pod: podIn(failed, condition(corev1.DisruptionTarget, corev1.ConditionTrue, "PreemptionByScheduler", "by a higher priority")),
			stage: stageEnded, class: worker.ClassEvicted, message: "the pod was taken away (PreemptionByScheduler): by a higher priority"},
		{name: "the user's init container failed", pod: podIn(failed, waitingFor(mainContainer, "PodInitializing", ""), func(p *corev1.Pod) {
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "fetch", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 2, Reason: "Error"}}}}
		}), stage: stageEnded, phase: spec.NodeFailed, message: "fetch: Error (exit code 2)"},
		{name: "evicted before the start", pod: podIn(failed, reason("Evicted", "The node had condition: [DiskPressure].")), stage: stageEnded, class: worker.ClassEvicted, message: "The node had condition: [DiskPressure]."},
		{name: "preempted", pod: podIn(failed, terminated(143, "Error", ""), condition(corev1.DisruptionTarget, corev1.ConditionTrue, "PreemptionByScheduler", "by a higher priority")),
			stage: stageEnded, class: worker.ClassEvicted, message: "the pod was taken away (PreemptionByScheduler): by a higher priority"},
		{name: "deleted by hand", pod: podIn(failed, terminated(143, "Error", ""), deleted), stage: stageEnded, class: worker.ClassLost, message: "pod deleted"},
		{name: "no room on the node", pod: podIn(failed, reason("OutOfcpu", "Node didn't have enough resource: cpu")), stage: stageEnded, class: worker.ClassEvicted, message: "Node didn't have enough resource: cpu"},
		{name: "node lost", pod: podIn(failed, terminated(137, "ContainerStatusUnknown", "could not be located")), stage: stageEnded, class: worker.ClassLost, message: "main: ContainerStatusUnknown (exit code 137): could not be located"},
		{name: "node says nothing", pod: podIn(failed), stage: stageEnded, class: worker.ClassLost, message: "the pod failed and does not say why"},
		{name: "init failed", pod: podIn(failed, waitingFor(mainContainer, "PodInitializing", ""), func(p *corev1.Pod) {
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "init", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 2, Reason: "Error", Message: "no space"}}}}
		}), stage: stageEnded, class: worker.ClassExecutor, message: "init: Error (exit code 2): no space"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := classify(c.job, c.pod)
			require.Equal(t, c.stage, v.stage)
			if v.fault == nil {
				require.Equal(t, c.phase, v.result.Phase)
			}
			message, class, giveUp := v.waiting, "", ""
			if v.stage == stageEnded {
				message = v.result.Message
			}
			if v.fault != nil {
				message, class = v.fault.Error(), v.fault.Class
			}
			if v.giveUp != nil {
				giveUp = v.giveUp.Class
			}
			require.Equal(t, c.message, message)
			require.Equal(t, c.class, class)
			require.Equal(t, c.giveUp, giveUp)
			if c.code != nil {
				require.Equal(t, *c.code, *v.result.Outputs.ExitCode)
				require.Equal(t, workflow.Millis(100_000), v.result.Started)
				require.Equal(t, workflow.Millis(103_000), v.result.Finished)
			}
		})
	}
}

func TestClassifyReadsTheRunnersOutcome(t *testing.T) {
	t.Parallel()
	message, _, err := (&handover.Outcome{Code: 4, Parameters: map[string]string{"p": "v"}}).Encode()
	require.NoError(t, err)

	v := classify(nil, podIn(corev1.PodFailed, terminated(4, "Error", string(message))))
	require.Equal(t, stageEnded, v.stage)
	require.Nil(t, v.fault)
	require.Equal(t, "v", v.outcome.Parameters["p"])

	v = classify(nil, podIn(corev1.PodFailed, terminated(4, "Error", string(message)), reason("Evicted", "low")))
	require.Equal(t, worker.ClassEvicted, v.fault.Class, "the platform's word goes first")

	v = classify(nil, podIn(corev1.PodFailed, terminated(137, "OOMKilled", string(message))))
	require.Equal(t, worker.ClassOOM, v.fault.Class)
	require.Nil(t, v.outcome)
}

func TestAStepMayWaitAsLongAsItsPendingTimeoutSays(t *testing.T) {
	t.Parallel()
	made := time.Unix(1000, 0)
	unscheduled := podIn(corev1.PodPending, condition(corev1.PodScheduled, corev1.ConditionFalse, "Unschedulable", "no node"))
	for name, tt := range map[string]struct {
		limit time.Duration
		after time.Duration
		pod   *corev1.Pod
		ends  bool
	}{
		"no limit":      {after: time.Hour, pod: unscheduled},
		"within it":     {limit: time.Minute, after: 59 * time.Second, pod: unscheduled},
		"longer":        {limit: time.Minute, after: time.Minute, pod: unscheduled, ends: true},
		"once it runs":  {limit: time.Minute, after: time.Hour, pod: podIn(corev1.PodRunning, running)},
		"without a pod": {limit: time.Minute, after: time.Hour, ends: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(made)}}
			f := &following{
				Executor: &Executor{cfg: Config{ImageDeadline: 10 * time.Hour}.withDefaults()}, job: job, seen: true,
				step: &worker.Step{PendingTimeout: tt.limit},
			}
			now := made.Add(tt.after)
			v, again := f.judge(classify(job, tt.pod), job, tt.pod, now)
			require.Equal(t, tt.ends, v.stage == stageEnded)
			if !tt.ends {
				require.True(t, tt.limit == 0 || v.stage == stageRunning || again <= tt.limit-tt.after)
				return
			}
			require.True(t, v.remove)
			require.Equal(t, spec.NodeFailed, v.result.Phase)
			require.Contains(t, v.result.Message, "pending longer than pendingTimeout 1m0s: ")
		})
	}
}

// What containerd says of containers that did not start.
const (
	notFound  = `failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: "nope": executable file not found in $PATH: unknown`
	noFile    = `failed to create shim task: OCI runtime create failed: container_linux.go:380: starting container process caused: exec: "/no/such": stat /no/such: no such file or directory: unknown`
	stopped   = `failed to start containerd task "08bd": OCI runtime start failed: cannot start a container that has stopped: unknown`
	noSandbox = `sandbox container "1924" is not running`
)
