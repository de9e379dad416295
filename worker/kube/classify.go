package kube

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"argosy/worker"
	"argosy/worker/handover"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// verdict is what a Job's and its pod's state mean for the step.
type verdict struct {
	stage   stage
	waiting string // why it has not started, in Kubernetes' words

	// giveUp is set while the step waits for something that it may never get: the fault that
	// it ends with if that lasts.
	giveUp *worker.Fault
	// remove says that the Job would not end by itself.
	remove bool
	// unstarted says that the pod ended and its main container had not started; vanished that
	// there is no pod to tell.
	unstarted, vanished bool

	// Of an ended step: its result, or the fault that ended it.
	result workflow.Result
	fault  *worker.Fault
	// outcome is what the runner left, if the step had one and it came to that.
	outcome *handover.Outcome
}

type stage int

const (
	stagePending stage = iota // nothing of the user's runs yet
	stageRunning              // the main container has started
	stageEnded
	// stageUnclear is an ended Job whose pod we do not see, or not as ended: the watches of
	// the two do not keep step with each other.
	stageUnclear
)

// classify reads the state of a Job and its pod; either may be nil, for not there. The words
// are Argo's where Argo has some.
func classify(job *batchv1.Job, pod *corev1.Pod) verdict {
	if pod == nil {
		return classifyJob(job)
	}
	main := containerStatus(pod.Status.ContainerStatuses, mainContainer)
	switch {
	case pod.Status.Reason == "DeadlineExceeded":
		return ended(main, workflow.Result{Phase: spec.NodeFailed, Message: firstText(pod.Status.Message, worker.DeadlineMessage)}, nil)
	case main != nil && main.State.Terminated != nil:
		return classifyEnd(pod, main)
	case pod.Status.Phase == corev1.PodFailed:
		return classifyUnstarted(pod, main)
	case pod.DeletionTimestamp != nil:
		// It is on its way out. Its containers may still tell how they ended.
		return verdict{stage: stageRunning, waiting: "the pod is being deleted"}
	case main != nil && main.State.Running != nil:
		return verdict{stage: stageRunning}
	case jobEnded(job) != nil:
		return verdict{stage: stageUnclear}
	}
	if main == nil {
		return classifyWaiting(pod, nil)
	}
	return classifyWaiting(pod, []corev1.ContainerStatus{*main})
}

// classifyJob is for a Job without a pod.
func classifyJob(job *batchv1.Job) verdict {
	if job == nil {
		return verdict{stage: stageEnded, fault: worker.Faultf(worker.ClassLost, "the step's Job was deleted")}
	}
	if jobEnded(job) != nil {
		return verdict{stage: stageUnclear}
	}
	return verdict{waiting: waitsForPod, giveUp: worker.Faultf(worker.ClassExecutor, "no pod was created for the step's Job")}
}

// What a step waits for that Kubernetes gives no reason for.
const (
	waitsForPod = "the Job has no pod yet"
	podIs       = "the pod is "
)

// jobEnded returns the condition that says so.
func jobEnded(job *batchv1.Job) *batchv1.JobCondition {
	if job == nil {
		return nil
	}
	for i := range job.Status.Conditions {
		c := &job.Status.Conditions[i]
		if c.Status == corev1.ConditionTrue && (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) {
			return c
		}
	}
	return nil
}

// classifyVanished is for an ended Job whose pod stays out of sight.
func classifyVanished(job *batchv1.Job) verdict {
	text := "the step's pod was deleted before its result could be read"
	if c := jobEnded(job); c != nil && c.Message != "" {
		text += ": " + c.Message
	}
	return verdict{stage: stageEnded, fault: worker.Faultf(worker.ClassLost, "%s", text), vanished: true}
}

// classifyEnd is for a pod whose main container has ended.
func classifyEnd(pod *corev1.Pod, main *corev1.ContainerStatus) verdict {
	t := main.State.Terminated
	code := int(t.ExitCode)
	if o, ok := handover.Decode(t.Message); ok && (code == 0 || t.Reason != "OOMKilled") {
		v := ended(main, workflow.Result{}, takenBack(pod, code))
		v.outcome = o
		return v
	}
	if fault := takenBack(pod, code); fault != nil {
		return ended(main, worker.Exited(code, ""), fault)
	}
	switch {
	case code == 0:
		return ended(main, worker.Exited(0, ""), nil)
	case t.Reason == "OOMKilled":
		r := worker.Exited(code, "")
		return ended(main, r, worker.Faultf(worker.ClassOOM, "%s: OOMKilled (exit code %d)", mainContainer, code))
	case t.Reason == "StartError" && neverBegun.MatchString(t.Message):
		v := ended(main, workflow.Result{}, worker.Faultf(worker.ClassLost, "%s: %s: %s", mainContainer, t.Reason, strings.TrimSpace(t.Message)))
		v.unstarted = true
		return v
	case t.Reason == "StartError" || t.Reason == "ContainerCannotRun":
		return ended(main, startError(t.Message), nil)
	case t.Reason == "ContainerStatusUnknown":
		return ended(main, workflow.Result{}, worker.Faultf(worker.ClassLost, "%s: %s (exit code %d): %s", mainContainer, t.Reason, code, t.Message))
	}
	return ended(main, worker.Exited(code, strings.TrimSpace(t.Message)), nil)
}

// takenBack says that the platform or somebody else ended the pod: nil if the command did.
func takenBack(pod *corev1.Pod, code int) *worker.Fault {
	if code == 0 {
		return nil
	}
	if class := reasonClass(pod.Status.Reason); class != "" {
		return worker.Faultf(class, "%s", firstText(pod.Status.Message, pod.Status.Reason))
	}
	if fault := disrupted(pod); fault != nil {
		return fault
	}
	if pod.DeletionTimestamp != nil && (code == 137 || code == 143) {
		return worker.Faultf(worker.ClassLost, "pod deleted")
	}
	return nil
}

// reasonClass is the class of the reasons with which nodes and controllers end pods; "" for
// others.
func reasonClass(reason string) string {
	switch {
	case reason == "NodeLost":
		return worker.ClassLost
	case reason == "Evicted", reason == "Preempting", reason == "Terminated", reason == "NodeShutdown", reason == "Shutdown",
		reason == "NodeAffinity", reason == "UnexpectedAdmissionError", strings.HasPrefix(reason, "OutOf"):
		return worker.ClassEvicted
	}
	return ""
}

// disrupted says that Kubernetes took the pod away: preempted it, drained its node, gave its
// node up.
func disrupted(pod *corev1.Pod) *worker.Fault {
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		if c.Type != corev1.DisruptionTarget || c.Status != corev1.ConditionTrue {
			continue
		}
		class := worker.ClassEvicted
		if c.Reason == "DeletionByPodGC" || c.Reason == "DeletionByTaintManager" { // its node is gone, or does not answer
			class = worker.ClassLost
		}
		return worker.Faultf(class, "the pod was taken away (%s): %s", c.Reason, c.Message)
	}
	return nil
}

// lostAfter is how long after its grace period a pod may take to end that was deleted. What takes
// longer runs on a node that does not answer.
const lostAfter = time.Minute

// classifyLeaving is for a pod that should be gone by now, if there is one.
func classifyLeaving(pod *corev1.Pod) (at time.Time, v verdict) {
	if pod == nil || pod.DeletionTimestamp == nil || containersEnded(pod) {
		return time.Time{}, v
	}
	fault := worker.Faultf(worker.ClassLost, "pod deleted: node %s does not tell of its end", pod.Spec.NodeName)
	if why := disrupted(pod); why != nil {
		fault = worker.Faultf(why.Class, "%w, and node %s does not tell of its end", why.Err, pod.Spec.NodeName)
	}
	return pod.DeletionTimestamp.Add(lostAfter), verdict{stage: stageEnded, fault: fault, remove: true}
}

// classifyUnstarted is for a pod that failed while its main container never ended.
func classifyUnstarted(pod *corev1.Pod, main *corev1.ContainerStatus) verdict {
	if c := failedInit(pod); c != nil {
		t := c.State.Terminated
		text := fmt.Sprintf("%s: %s (exit code %d)", c.Name, t.Reason, t.ExitCode)
		if t.Message != "" {
			text += ": " + strings.TrimSpace(t.Message)
		}
		if c.Name != initContainer { // the user's own
			return ended(main, workflow.Result{Phase: spec.NodeFailed, Message: text}, takenBack(pod, int(t.ExitCode)))
		}
		return ended(main, workflow.Result{}, worker.Faultf(worker.ClassExecutor, "%s", text))
	}
	class := firstText(reasonClass(pod.Status.Reason), worker.ClassLost)
	if fault := disrupted(pod); fault != nil && pod.Status.Reason == "" {
		v := ended(main, workflow.Result{}, fault)
		v.unstarted = !started(main)
		return v
	}
	text := firstText(pod.Status.Message, pod.Status.Reason)
	if text == "" {
		text = "the pod failed and does not say why"
	}
	v := ended(main, workflow.Result{}, worker.Faultf(class, "%s", text))
	v.unstarted = !started(main)
	return v
}

// started says that a container runs or ran.
func started(c *corev1.ContainerStatus) bool {
	return c != nil && (c.State.Running != nil || c.State.Terminated != nil || c.LastTerminationState.Terminated != nil)
}

func failedInit(pod *corev1.Pod) *corev1.ContainerStatus {
	for i := range pod.Status.InitContainerStatuses {
		c := &pod.Status.InitContainerStatuses[i]
		if c.State.Terminated != nil && c.State.Terminated.ExitCode != 0 {
			return c
		}
	}
	return nil
}

// classifyWaiting is for a pod that has not come to its main containers.
func classifyWaiting(pod *corev1.Pod, mains []corev1.ContainerStatus) verdict {
	v := verdict{waiting: podIs + strings.ToLower(string(pod.Status.Phase))}
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			v.waiting = c.Reason + ": " + c.Message
			return v
		}
	}
	statuses := slices.Concat(pod.Status.InitContainerStatuses, mains)
	for i := range statuses {
		w := statuses[i].State.Waiting
		if w == nil || w.Reason == "" || w.Reason == "PodInitializing" || w.Reason == "ContainerCreating" {
			continue
		}
		v.waiting = w.Reason
		if w.Message != "" {
			v.waiting += ": " + w.Message
		}
		text := fmt.Sprintf("%s: %s", statuses[i].Name, v.waiting)
		switch w.Reason {
		case "InvalidImageName", "ErrImageNeverPull":
			v.stage, v.fault, v.remove = stageEnded, worker.Faultf(worker.ClassImage, "%s", text), true
		case "ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed":
			v.giveUp = worker.Faultf(worker.ClassImage, "%s", text)
		case "CreateContainerConfigError", "CreateContainerError":
			v.giveUp = worker.Faultf(worker.ClassInvalid, "%s", text)
		}
		return v
	}
	return v
}

func containerStatus(statuses []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	for i := range statuses {
		if statuses[i].Name == name {
			return &statuses[i]
		}
	}
	return nil
}

// ended makes the verdict on a step that has ended, with its times.
func ended(main *corev1.ContainerStatus, r workflow.Result, fault *worker.Fault) verdict {
	if main != nil && main.State.Terminated != nil {
		t := main.State.Terminated
		r.Started, r.Finished = at(t.StartedAt.Time), at(t.FinishedAt.Time)
	}
	return verdict{stage: stageEnded, result: r, fault: fault}
}

// at converts a time that may not have been set: runtimes also write the epoch for that.
func at(t time.Time) workflow.Millis {
	if t.Unix() <= 0 {
		return 0
	}
	return workflow.At(t)
}

// execError finds what runtimes say of a command that they cannot start, which is what Go's
// os/exec says.
var execError = regexp.MustCompile(`exec: "(?:[^"\\]|\\.)*": (?:executable file not found in \$PATH|.*?)(?:: unknown)?$`)

// neverBegun is what containerd says when a container, or its pod's sandbox, was gone before the
// command was reached: on a busy node, not because of the command, which fails when it is created.
var neverBegun = regexp.MustCompile(`cannot start a container that has stopped|^sandbox container "[^"]*" is not running`)

// startError is the result of a command that the runtime could not start, as Argo's own
// runner would word it.
func startError(message string) workflow.Result {
	message = strings.TrimSpace(message)
	found := execError.FindString(message)
	if found == "" {
		return worker.Exited(worker.StartExitCode, message)
	}
	return worker.Exited(worker.StartExitCode, "failed to find name in PATH: "+strings.TrimSuffix(found, ": unknown"))
}
