package kube

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"argosy/worker"
	"argosy/worker/warm"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// Steps of a template that asks for it run in pods that stay, one after the other: see package
// warm, and docs/adr/0013-warm-step-pods.md. Each of those pods has a Job of its own, which goes
// with it. A step that was ended, or whose worker died, is not adopted: it runs again, as another
// delivery, in another pod.

// executeWarm has a warm pod run the step.
func (e *Executor) executeWarm(ctx context.Context, s *worker.Step, limits *spec.Warm) (workflow.Result, error) {
	// Kubernetes keeps the time of pods, and not of steps in them.
	return worker.Deadline(worker.ExecutorFunc(func(ctx context.Context, s *worker.Step) (workflow.Result, error) {
		return e.inPool(ctx, s, limits)
	})).Execute(ctx, s)
}

func (e *Executor) inPool(ctx context.Context, s *worker.Step, limits *spec.Warm) (workflow.Result, error) {
	now := time.Now()
	shape, err := warmShape(e.cfg, s, now)
	if err != nil {
		return workflow.Result{}, &worker.Fault{Class: worker.ClassInvalid, Err: err}
	}
	plan, err := e.gateway.Plan(ctx, s)
	if ctx.Err() != nil {
		return workflow.Result{}, fmt.Errorf("starting the step: %w", context.Cause(ctx))
	}
	if err != nil {
		return workflow.Result{}, err
	}
	token, err := e.gateway.Token(s, now)
	if err != nil {
		return workflow.Result{}, worker.Faultf(worker.ClassExecutor, "making the step's token: %w", err)
	}
	defer e.gateway.Open(s, plan)()
	kind := warm.Kind{Key: shape.key(s), Limits: *limits, Launch: func(ctx context.Context, p warm.Pod) *worker.Fault {
		return e.launch(ctx, s, shape, p)
	}}
	done, err := e.pools.Run(ctx, kind, shape.item(e.cfg, plan, token), s.Log, s.PendingTimeout)
	if errors.Is(err, warm.ErrNotStarted) {
		return workflow.Result{Phase: spec.NodeFailed, Message: fmt.Sprintf("Pod was pending longer than pendingTimeout %s: %v", s.PendingTimeout, err)}, nil
	}
	var r workflow.Result
	if err == nil {
		s.Trace.Runner(done.Outcome)
		r, err = worker.FromOutcome(s, done.Outcome)
	}
	if !done.Started.IsZero() {
		s.Trace.Placed(done.Started)
		r.Started = workflow.At(done.Started)
	}
	if !done.Finished.IsZero() {
		r.Finished = workflow.At(done.Finished)
	}
	if _, pod := e.hub.look(warmName(s, done.Pod)); pod != nil {
		r.Host = pod.Spec.NodeName
	}
	return r, err
}

// warmName is the name of the Job of a pod that stays.
func warmName(s *worker.Step, pod string) types.NamespacedName {
	prefix := dnsLabel(s.Run.Name+"-"+s.Template.Name, 63-1-len(pod))
	if prefix == "" {
		prefix = "warm"
	}
	return types.NamespacedName{Namespace: s.Run.Namespace, Name: prefix + "-" + pod}
}

// launch makes the Job of a pod that stays, and follows it until it is gone.
func (e *Executor) launch(ctx context.Context, s *worker.Step, shape *warmPod, p warm.Pod) *worker.Fault {
	name := warmName(s, p.Name)
	token, err := e.gateway.PodToken(name.String(), time.Now())
	if err != nil {
		return worker.Faultf(worker.ClassExecutor, "making a warm pod's token: %w", err)
	}
	r := &runner{url: e.gateway.Own(), key: e.gateway.KeySum(), token: token}
	defer e.gateway.Admit(name.String(), p.Serve)()
	changed, stop := e.hub.watch(name)
	defer stop()
	if err := e.provideClaims(ctx, s); err != nil {
		return asFault(err)
	}
	var job *batchv1.Job
	err = e.patiently(ctx, func() (err error) {
		job, err = e.client.BatchV1().Jobs(name.Namespace).Create(ctx, shape.job(e.cfg, s, name, r), metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) { // our own: its answer was lost
			job, err = e.client.BatchV1().Jobs(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
		}
		return err
	}, changed)
	if err != nil && ctx.Err() == nil {
		return asFault(placeFault(err))
	}
	f := &following{
		Executor: e, step: &worker.Step{Run: s.Run, Template: s.Template}, name: name, job: job, changed: changed,
		log: e.log.With("hop", "execute", "run", s.Run.ID, "job", name.String()),
	}
	f.ask = e.warned.about
	var fault *worker.Fault
	if err == nil {
		fault = f.untilGone(ctx)
	} else {
		f.job = &batchv1.Job{} // it may have been made all the same
	}
	if err := e.discard(name); err != nil {
		f.log.Warn("the Job of a warm pod could not be removed", "err", err)
	}
	if ctx.Err() != nil && f.job.UID != "" {
		f.awaitEnd()
	}
	return fault
}

// untilGone waits until the pod has ended, or ctx has, and says what took it away.
func (f *following) untilGone(ctx context.Context) *worker.Fault {
	began := time.Now()
	for {
		job, pod := f.look()
		v := verdict{waiting: "the Job is not seen yet"}
		if f.seen || time.Since(began) > settleTime {
			v = f.consult(ctx, classify(job, pod), pod, time.Now())
		}
		v, again := f.judge(v, job, pod, time.Now())
		if v.stage == stageEnded {
			if v.fault == nil && v.result.Phase != spec.NodeSucceeded {
				return worker.Faultf(worker.ClassExecutor, "the warm pod ended: %s", v.result.Message)
			}
			return v.fault
		}
		timer := time.NewTimer(again)
		select {
		case <-ctx.Done():
			timer.Stop()
			if _, pod := f.look(); pod != nil { // what ended its connection may end it, too
				return takenBack(pod, 128+int(syscall.SIGTERM))
			}
			return nil
		case <-f.changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// awaitEnd waits until the pod of a Job that was removed has ended.
func (f *following) awaitEnd() {
	late := time.NewTimer(f.cfg.Grace + 30*time.Second)
	defer late.Stop()
	for {
		if _, pod := f.look(); pod == nil || containersEnded(pod) {
			return
		}
		select {
		case <-f.changed:
		case <-late.C:
			f.log.Warn("a warm pod that was removed does not end")
			return
		}
	}
}

// discard removes a Job of ours.
func (e *Executor) discard(name types.NamespacedName) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return e.patiently(ctx, func() error {
		err := e.client.BatchV1().Jobs(name.Namespace).Delete(ctx, name.Name, metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}

// SweepWarmPods removes the warm pods of runs that have ended, and those whose workers have not
// come to it.
func (e *Executor) SweepWarmPods(ctx context.Context, stands Stands) error {
	var errs []error
	over := map[string]bool{}
	for _, obj := range e.hub.jobs.GetStore().List() {
		job, ok := obj.(*batchv1.Job)
		if !ok || job.Labels[labelWarm] == "" || job.Labels[labelOwner] != e.cfg.Owner || job.DeletionTimestamp != nil {
			continue
		}
		run := job.Labels[labelRun]
		if _, known := over[run]; !known {
			s, err := stands(ctx, run, nil)
			if err != nil {
				return fmt.Errorf("looking at run %s, which has warm pods: %w", run, err)
			}
			over[run] = s.over()
		}
		if over[run] {
			errs = append(errs, e.sweep(ctx, job))
		}
	}
	return errors.Join(errs...)
}

// freshVolume is where a warm pod has what must not be in its image.
func freshVolume(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
}
