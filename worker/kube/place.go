package kube

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"argosy/worker"
	"argosy/worker/handover"
)

// existing returns the step's Job if the watch has shown one.
func (e *Executor) existing(s *worker.Step, name types.NamespacedName) *batchv1.Job {
	job, _ := e.hub.look(name)
	if job == nil || !isOf(job, s) || job.DeletionTimestamp != nil || ofBefore(job, s) {
		return nil
	}
	e.logAdoption(s, job)
	return job
}

func (e *Executor) logAdoption(s *worker.Step, job *batchv1.Job) {
	e.log.Info("Job adopted", "hop", "execute", "run", s.Run.ID, "node", string(s.Key),
		"job", job.Namespace+"/"+job.Name, "by", s.Delivery, "from", deliveryOf(job))
}

// place creates the step's Job, or returns the one that is there already.
func (e *Executor) place(ctx context.Context, s *worker.Step, name types.NamespacedName, job *batchv1.Job, changed <-chan struct{}) (*batchv1.Job, error) {
	var made *batchv1.Job
	tries := 0
	err := e.patiently(ctx, func() (err error) {
		made, err = e.client.BatchV1().Jobs(name.Namespace).Create(ctx, job, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			made, err = e.adopt(ctx, s, name)
		}
		if err != nil {
			tries++
			e.tellUnplaced(ctx, s, err, tries)
			e.log.Debug("the Job cannot be made yet", "hop", "execute", "run", s.Run.ID, "node", string(s.Key), "err", err)
		}
		return err
	}, changed)
	switch {
	case err == nil:
		return made, nil
	case ctx.Err() != nil:
		// It may have been made all the same.
		return nil, e.giveUpPlacing(ctx, s, name)
	}
	return nil, placeFault(err)
}

// tellUnplaced tells the run why a step's Job cannot be made for now: at once if that is a quota,
// which may last.
func (e *Executor) tellUnplaced(ctx context.Context, s *worker.Step, err error, tries int) {
	if s.Waits == nil || !passing(err) || errors.Is(err, errLeaving) || err.Error() == s.Waited || tries < 4 && !apierrors.IsForbidden(err) {
		return
	}
	if s.Waits(ctx, err.Error()) == nil {
		s.Waited = err.Error()
	}
}

// patiently repeats what failed for a reason that may pass, after a while or when something
// changed, until ctx ends.
func (e *Executor) patiently(ctx context.Context, do func() error, changed ...<-chan struct{}) error {
	var news <-chan struct{}
	if len(changed) > 0 {
		news = changed[0]
	}
	wait := 100 * time.Millisecond
	for {
		err := do()
		if err == nil || ctx.Err() != nil || !passing(err) {
			return err
		}
		if after, ok := apierrors.SuggestsClientDelay(err); ok {
			wait = max(wait, time.Duration(after)*time.Second)
		}
		select {
		case <-ctx.Done():
			return err
		case <-news:
		case <-time.After(wait/2 + rand.N(wait)):
		}
		wait = min(2*wait, 10*time.Second)
	}
}

// newJob is a Job to create, whose pod the gateway lets in.
type newJob struct {
	job   *batchv1.Job
	close func()
}

func (e *Executor) newJob(ctx context.Context, s *worker.Step) (*newJob, error) {
	now, made := time.Now(), &newJob{close: func() {}}
	var r *runner
	if worker.NeedsRunner(s) {
		plan, err := e.gateway.Plan(ctx, s)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("starting the step: %w", context.Cause(ctx))
		}
		if err != nil {
			return nil, err
		}
		token, err := e.gateway.Token(s, now)
		if err != nil {
			return nil, worker.Faultf(worker.ClassExecutor, "making the step's token: %w", err)
		}
		r = &runner{plan: plan, url: e.gateway.URL(), key: e.gateway.KeySum(), token: token}
		made.close = e.gateway.Open(s, plan)
	} else if setNeedsRunner(s.Template) {
		r = &runner{plan: &handover.Plan{}}
	}
	err := e.provideClaims(ctx, s)
	if err == nil {
		err = e.provideBudget(ctx, s)
	}
	if err != nil {
		made.close()
		return nil, err
	}
	if made.job, err = buildJob(e.cfg, s, r, now); err != nil {
		made.close()
		return nil, &worker.Fault{Class: worker.ClassInvalid, Err: err}
	}
	return made, nil
}

// errLeaving says that a Job of the name is there, but on its way out.
var errLeaving = errors.New("an earlier Job of the step is still being deleted")

// adopt returns the Job that has the step's name, if it is the step's.
func (e *Executor) adopt(ctx context.Context, s *worker.Step, name types.NamespacedName) (*batchv1.Job, error) {
	job, err := e.client.BatchV1().Jobs(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
	switch {
	case err != nil:
		return nil, err
	case !isOf(job, s):
		return nil, worker.Faultf(worker.ClassExecutor, "there is a Job %s that belongs to something else", name)
	case job.Labels[labelManaged] != e.cfg.Install:
		return nil, worker.Faultf(worker.ClassExecutor, "the Job %s belongs to install %q", name, job.Labels[labelManaged])
	case job.DeletionTimestamp != nil:
		return nil, errLeaving
	case ofBefore(job, s):
		err := e.client.BatchV1().Jobs(name.Namespace).Delete(ctx, name.Name, metav1.DeleteOptions{
			PropagationPolicy: new(metav1.DeletePropagationBackground), Preconditions: metav1.NewUIDPreconditions(string(job.UID)),
		})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return nil, err
		}
		return nil, errLeaving
	}
	e.logAdoption(s, job)
	return job, nil
}

// passing says that it is worth trying again.
func passing(err error) bool {
	switch {
	case errors.Is(err, errLeaving), apierrors.IsNotFound(err) && !strings.Contains(err.Error(), "namespaces"):
		return true
	case apierrors.IsForbidden(err):
		return strings.Contains(err.Error(), "exceeded quota")
	case apierrors.ReasonForError(err) == metav1.StatusReasonUnknown:
		_, fault := errors.AsType[*worker.Fault](err)
		return !fault // the API server cannot be reached
	}
	return apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) ||
		apierrors.IsInternalError(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsUnexpectedServerError(err)
}

func placeFault(err error) error {
	if f, ok := errors.AsType[*worker.Fault](err); ok {
		return f
	}
	if apierrors.IsForbidden(err) {
		return worker.Faultf(worker.ClassExecutor, "creating the step's Job: %w", err)
	}
	return worker.Faultf(worker.ClassInvalid, "creating the step's Job: %w", err)
}

// giveUpPlacing is for a context that ended while the Job was being made.
func (e *Executor) giveUpPlacing(ctx context.Context, s *worker.Step, name types.NamespacedName) error {
	cause := context.Cause(ctx)
	ended := fmt.Errorf("starting the step: %w", cause)
	if e.leaves(cause) {
		return ended
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	job, err := e.adopt(ctx, s, name)
	if err != nil {
		return ended
	}
	f := &following{Executor: e, step: s, name: name, job: job, changed: nil}
	if err := f.remove(ctx); err != nil {
		e.log.Warn("the Job of a step that was ended could not be removed", "hop", "execute", "job", name.String(), "err", err)
	}
	return ended
}

// remove deletes the Job and waits until its pod is gone.
func (f *following) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, f.cfg.Grace+30*time.Second)
	defer cancel()
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := f.client.BatchV1().Jobs(f.name.Namespace).Delete(ctx, f.name.Name, metav1.DeleteOptions{
			PropagationPolicy: new(metav1.DeletePropagationBackground),
			Preconditions:     &metav1.Preconditions{UID: &f.job.UID},
		})
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			break
		}
		if !passing(err) {
			return fmt.Errorf("deleting the Job: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("deleting the Job: %w", err)
		case <-time.After(wait):
		}
	}
	for {
		_, pod := f.look()
		if gone, _ := classifyLeaving(pod); pod == nil || containersEnded(pod) || !gone.IsZero() && time.Now().After(gone) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the end of the Job's pod: %w", ctx.Err())
		case <-f.changed:
		case <-time.After(5 * time.Second):
		}
	}
}

func ownedBy(pod *corev1.Pod, job *batchv1.Job) bool {
	owner := metav1.GetControllerOf(pod)
	return owner != nil && owner.UID == job.UID
}

// containersEnded says that nothing of the pod runs or will run. A busy node shows the ends of all
// containers many seconds before the pod's own.
func containersEnded(pod *corev1.Pod) bool {
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return true
	}
	runs := func(c corev1.ContainerStatus) bool { return c.State.Terminated == nil }
	return pod.Spec.RestartPolicy == corev1.RestartPolicyNever &&
		len(pod.Status.ContainerStatuses) > 0 && len(pod.Status.ContainerStatuses) == len(pod.Spec.Containers) &&
		!slices.ContainsFunc(pod.Status.ContainerStatuses, runs) && !slices.ContainsFunc(pod.Status.InitContainerStatuses, runs)
}

// Current says whether the step's delivery is the one whose Job there is: an error that wraps
// worker.ErrSuperseded if not. It is the fence of gateways for steps of other workers: the
// name makes the Job unique in the cluster, and its labels tell who made it.
func (e *Executor) Current(ctx context.Context, s *worker.Step) error {
	name := types.NamespacedName{Namespace: s.Run.Namespace, Name: JobName(s)}
	job, _ := e.hub.look(name)
	if job == nil {
		var err error
		job, err = e.client.BatchV1().Jobs(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return fmt.Errorf("the step has no Job: %w", worker.ErrSuperseded)
		}
		if err != nil {
			return fmt.Errorf("looking for the step's Job: %w", err)
		}
	}
	if !isOf(job, s) || deliveryOf(job) != s.Delivery || job.DeletionTimestamp != nil {
		return fmt.Errorf("the step's Job is another delivery's: %w", worker.ErrSuperseded)
	}
	return nil
}
