package kube

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"argosy/worker"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// Jobs end with their step, and go some time after. What is swept is the rest: those that still
// run though nobody waits for them, as their worker died when it should have ended them or as
// Redis lost their run; those that a podGC wants gone sooner; and those of deleted runs, as Argo's
// pods go with their workflow.

const (
	annotationPodGC = "argosy.dev/pod-gc" // when the Job goes: a strategy and a delay
	podGCDelay      = 5 * time.Second     // unless the workflow says otherwise, as in Argo
)

// Standing is how a run stands, and those of its nodes that were asked for.
type Standing struct {
	Gone     bool                  // it is not there
	Phase    spec.WorkflowPhase    // how it ended; "" if it goes on
	Finished time.Time             // when
	Ended    map[workflow.Key]bool // nodes of it that have, while it goes on
}

// Stands tells how a run stands.
type Stands func(ctx context.Context, run string, nodes []workflow.Key) (Standing, error)

func (s *Standing) over() bool { return s.Gone || s.Phase != "" }

// podGC is the value of annotationPodGC for the step's Job; "" is none.
func podGC(s *worker.Step, podLabels map[string]string) string {
	gc := s.Spec.PodGC
	if gc == nil || gc.Strategy == spec.PodGCOnPodNone {
		return ""
	}
	if gc.LabelSelector != nil {
		selector, err := metav1.LabelSelectorAsSelector(gc.LabelSelector)
		if err != nil || !selector.Matches(labels.Set(podLabels)) {
			return ""
		}
	}
	delay := podGCDelay
	if d, err := time.ParseDuration(gc.DeleteDelayDuration); err == nil && d >= 0 {
		delay = d
	}
	return string(gc.Strategy) + " " + delay.String()
}

// SweepJobs removes the Jobs that nobody needs any more, of this install with this Redis. It asks
// once for each run, and for those of its nodes of which it matters.
func (e *Executor) SweepJobs(ctx context.Context, stands Stands) error {
	jobs, nodes := map[string][]*batchv1.Job{}, map[string][]workflow.Key{}
	for _, obj := range e.hub.jobs.GetStore().List() {
		job, ok := obj.(*batchv1.Job)
		if !ok || !e.sweeps(job, time.Now()) {
			continue
		}
		run := job.Labels[labelRun]
		jobs[run] = append(jobs[run], job)
		if jobEnded(job) == nil || ofPod(job) {
			nodes[run] = append(nodes[run], nodeOf(job))
		}
	}
	var errs []error
	for run, jobs := range jobs {
		s, err := stands(ctx, run, nodes[run])
		if err != nil {
			return fmt.Errorf("looking at run %s, which has Jobs: %w", run, err)
		}
		for _, job := range jobs {
			if unneeded(job, &s, time.Now()) {
				errs = append(errs, e.sweep(ctx, job))
			}
		}
	}
	return errors.Join(errs...)
}

func (e *Executor) sweep(ctx context.Context, job *batchv1.Job) error {
	err := e.client.BatchV1().Jobs(job.Namespace).Delete(ctx, job.Name, metav1.DeleteOptions{
		PropagationPolicy: new(metav1.DeletePropagationBackground), Preconditions: metav1.NewUIDPreconditions(string(job.UID)),
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("removing Job %s/%s: %w", job.Namespace, job.Name, err)
	}
	e.log.Info("Job swept", "hop", "execute", "run", job.Labels[labelRun], "node", job.Annotations[annotationNode],
		"job", job.Namespace+"/"+job.Name, "ended", jobEnded(job) != nil)
	return nil
}

func nodeOf(job *batchv1.Job) workflow.Key { return workflow.Key(job.Annotations[annotationNode]) }

// gcOf is what podGC wrote.
func gcOf(job *batchv1.Job) (strategy spec.PodGCStrategy, delay time.Duration) {
	of, after, _ := strings.Cut(job.Annotations[annotationPodGC], " ")
	delay, err := time.ParseDuration(after)
	if err != nil {
		delay = podGCDelay
	}
	return spec.PodGCStrategy(of), delay
}

// ofPod says that an ended Job goes with its own end.
func ofPod(job *batchv1.Job) bool {
	strategy, _ := gcOf(job)
	return strategy == spec.PodGCOnPodCompletion || strategy == spec.PodGCOnPodSuccess
}

// ofWorkflow says that an ended Job goes with its run's end.
func ofWorkflow(job *batchv1.Job) bool {
	strategy, _ := gcOf(job)
	return strategy == spec.PodGCOnWorkflowCompletion || strategy == spec.PodGCOnWorkflowSuccess
}

// sweeps says that a Job is ours, and may be one to remove.
func (e *Executor) sweeps(job *batchv1.Job, now time.Time) bool {
	switch {
	case job.Labels[labelOwner] != e.cfg.Owner, job.Annotations[annotationNode] == "", job.DeletionTimestamp != nil:
		return false
	case jobEnded(job) != nil:
		return true
	}
	name := types.NamespacedName{Namespace: job.Namespace, Name: job.Name}
	if now.Sub(job.CreationTimestamp.Time) < e.cfg.SweepAfter || e.hub.watched(name) {
		return false
	}
	_, pod := e.hub.look(name)
	return pod == nil || !containersEnded(pod) // and else its Job will end
}

// unneeded says that a Job is to be removed.
func unneeded(job *batchv1.Job, s *Standing, now time.Time) bool {
	end := jobEnded(job)
	over := s.over() || s.Ended[nodeOf(job)]
	if end == nil {
		return over
	}
	strategy, delay := gcOf(job)
	since := end.LastTransitionTime.Time
	due := s.Gone
	switch strategy {
	case spec.PodGCOnPodCompletion:
		due = over
	case spec.PodGCOnPodSuccess:
		due = due || over && end.Type == batchv1.JobComplete
	case spec.PodGCOnWorkflowCompletion:
		due = s.over()
	case spec.PodGCOnWorkflowSuccess:
		due = due || s.Phase == spec.WorkflowSucceeded
	}
	if ofWorkflow(job) && s.Finished.After(since) {
		since = s.Finished
	}
	return due && now.Sub(since) >= delay
}

// watched says that somebody here follows the Job.
func (h *hub) watched(name types.NamespacedName) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.waits[name]) > 0
}

// avoiding adds to an affinity that a pod is not to run on some hosts.
func avoiding(a *corev1.Affinity, hosts []string) *corev1.Affinity {
	if len(hosts) == 0 {
		return a
	}
	if a = a.DeepCopy(); a == nil {
		a = &corev1.Affinity{}
	}
	if a.NodeAffinity == nil {
		a.NodeAffinity = &corev1.NodeAffinity{}
	}
	if a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{}
	}
	required := a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	if len(required.NodeSelectorTerms) == 0 {
		required.NodeSelectorTerms = make([]corev1.NodeSelectorTerm, 1)
	}
	for i := range required.NodeSelectorTerms { // any of which suffices
		term := &required.NodeSelectorTerms[i]
		term.MatchExpressions = append(term.MatchExpressions, corev1.NodeSelectorRequirement{
			Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpNotIn, Values: hosts,
		})
	}
	return a
}
