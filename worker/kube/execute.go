package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"argosy/worker"
	"argosy/workflow"
	"argosy/workflow/spec"
)

const (
	// settleTime is how long the watches may take to agree.
	settleTime = 5 * time.Second
	// deadlineSlack is how late Kubernetes may be with a pod's deadline before we see to it.
	deadlineSlack = 10 * time.Second
)

// Execute runs the step as a Job, or takes over the Job that an earlier delivery made.
func (e *Executor) Execute(ctx context.Context, s *worker.Step) (workflow.Result, error) {
	if ctx.Err() != nil {
		return workflow.Result{}, fmt.Errorf("starting the step: %w", context.Cause(ctx))
	}
	if err := supported(s.Template); err != nil {
		return workflow.Result{}, &worker.Fault{Class: worker.ClassInvalid, Err: err}
	}
	if e.cfg.Namespace != "" && s.Run.Namespace != e.cfg.Namespace {
		return workflow.Result{}, worker.Faultf(worker.ClassInvalid, "this worker runs steps in namespace %q only, and not in %q", e.cfg.Namespace, s.Run.Namespace)
	}
	switch limits, err := s.Template.Warm(); {
	case err != nil:
		return workflow.Result{}, &worker.Fault{Class: worker.ClassInvalid, Err: err}
	case limits != nil:
		return e.executeWarm(ctx, s, limits)
	}
	name := types.NamespacedName{Namespace: s.Run.Namespace, Name: JobName(s)}
	changed, stop := e.hub.watch(name)
	defer stop()
	for restarts := 0; ; restarts++ {
		r, err := e.run(ctx, s, name, changed, restarts)
		if !errors.Is(err, errNotStarted) {
			return r, err
		}
	}
}

// run runs the step as a Job, which was made anew as often before since its pod never started.
func (e *Executor) run(ctx context.Context, s *worker.Step, name types.NamespacedName, changed <-chan struct{}, restarts int) (workflow.Result, error) {
	var job *batchv1.Job
	if restarts == 0 {
		job = e.existing(s, name)
	}
	if job == nil {
		made, err := e.newJob(ctx, s)
		if err != nil {
			return workflow.Result{}, err
		}
		if restarts > 0 {
			made.job.Annotations[annotationRestarts] = strconv.Itoa(restarts)
		}
		defer made.close()
		placing, cancel := ctx, context.CancelFunc(func() {})
		if s.PendingTimeout > 0 {
			placing, cancel = context.WithTimeoutCause(ctx, s.PendingTimeout, errPending)
		}
		job, err = e.place(placing, s, name, made.job, changed)
		cancel()
		if errors.Is(err, errPending) {
			return pendedTooLong(s, s.Waited), nil
		}
		if err != nil {
			return workflow.Result{}, err
		}
	}
	s = s.AsDelivery(deliveryOf(job))
	if worker.NeedsRunner(s) {
		defer e.gateway.Open(s, nil)()
	}
	f := &following{
		Executor: e, step: s, name: name, job: job, changed: changed, waited: s.Waited, uids: []types.UID{job.UID},
		log: e.log.With("hop", "execute", "run", s.Run.ID, "node", string(s.Key), "job", name.String()),
	}
	f.ask = e.warned.about
	return f.follow(ctx)
}

// following is one step's Job until its end.
type following struct {
	*Executor
	step    *worker.Step
	name    types.NamespacedName
	job     *batchv1.Job // as we made or found it
	changed <-chan struct{}
	log     *slog.Logger

	ask    func(ctx context.Context, uid types.UID) ([]*corev1.Event, error)
	asked  time.Time // when Kubernetes was asked why the step waits
	why    string    // what it said
	toldAt time.Time
	waited string // what the run was told that the step waits for
	uids   []types.UID

	last *corev1.Pod // as it was last seen
	ran  bool        // its main container was seen to run

	seen    bool   // the watch has shown the Job
	serves  bool   // it is a daemon that is ready, and that was told
	waiting string // what it was last seen waiting for
	logs    logCopies
	shared  *lockedLog // of a set's containers

	unclearSince time.Time
	stuckSince   time.Time
}

// follow waits for the step's end.
func (f *following) follow(ctx context.Context) (workflow.Result, error) {
	began := time.Now()
	for {
		job, pod := f.look()
		v := verdict{waiting: "the Job is not seen yet"}
		if f.seen || time.Since(began) > settleTime {
			v = f.consult(ctx, f.classify(job, pod), pod, time.Now())
		}
		v, again := f.judge(v, job, pod, time.Now())
		again = f.tell(ctx, v, time.Now(), again)
		f.ran = f.ran || v.stage == stageRunning
		if v.stage == stageRunning || v.stage == stageEnded {
			f.followLogs(pod)
		}
		if v.stage == stageEnded {
			return f.finish(ctx, v, pod)
		}
		if f.step.Ready != nil && !f.serves && v.stage == stageRunning && ready(pod) {
			f.serves = true
			f.step.Ready(ctx, workflow.Ready{Address: pod.Status.PodIP, Host: pod.Spec.NodeName})
			continue // what happened meanwhile was not seen
		}
		if v.waiting != "" && v.waiting != f.waiting {
			f.waiting = v.waiting
			f.log.Debug("step waits", "for", v.waiting)
		}
		timer := time.NewTimer(again)
		select {
		case <-ctx.Done():
			timer.Stop()
			return f.end(context.Cause(ctx))
		case <-f.changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// errPending is the cause with which the making of a Job ends that takes too long.
var errPending = errors.New("the step did not start in time")

func pendedTooLong(s *worker.Step, waiting string) workflow.Result {
	return workflow.Result{
		Phase: spec.NodeFailed, Message: fmt.Sprintf("Pod was pending longer than pendingTimeout %s: %s", s.PendingTimeout, waiting),
	}
}

// ready says that all of a pod's containers are, and that it can be reached.
func ready(pod *corev1.Pod) bool {
	return pod != nil && pod.Status.PodIP != "" && len(pod.Status.ContainerStatuses) > 0 &&
		!slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return !s.Ready })
}

// classify reads what is seen, of a set or of one main container.
func (f *following) classify(job *batchv1.Job, pod *corev1.Pod) verdict {
	if set := f.step.Template.ContainerSet; set != nil {
		return classifySet(job, pod, set)
	}
	return classify(job, pod)
}

// look returns our Job and its pod as last seen, and none of a namesake's.
func (f *following) look() (*batchv1.Job, *corev1.Pod) {
	job, pod := f.hub.look(f.name)
	if job != nil && job.UID != f.job.UID {
		job = nil
	}
	if pod != nil && !ownedBy(pod, f.job) {
		pod = nil
	}
	f.seen = f.seen || job != nil
	if pod != nil {
		f.last = pod
		if !slices.Contains(f.uids, pod.UID) {
			f.uids = append(f.uids, pod.UID)
		}
	}
	return job, pod
}

// judge adds what follows from time to a verdict, and says when to look again at the latest.
func (f *following) judge(v verdict, job *batchv1.Job, pod *corev1.Pod, now time.Time) (verdict, time.Duration) {
	again := time.Minute
	if v.stage != stageUnclear {
		f.unclearSince = time.Time{}
	} else {
		if f.unclearSince.IsZero() {
			f.unclearSince = now
		}
		if left := settleTime - now.Sub(f.unclearSince); left > 0 {
			again = left
		} else {
			v = classifyVanished(job)
		}
	}
	if limit := f.step.PendingTimeout; limit > 0 && v.stage == stagePending {
		// From the Job's own time, so that who takes over counts on.
		if left := f.job.CreationTimestamp.Add(limit).Sub(now); left > 0 {
			again = min(again, left)
		} else {
			return verdict{stage: stageEnded, remove: true, result: pendedTooLong(f.step, v.waiting)}, again
		}
	}
	if end, left := classifyLeaving(pod); !end.IsZero() && v.stage != stageEnded {
		if wait := end.Sub(now); wait > 0 {
			again = min(again, wait)
		} else {
			v = left
		}
	}
	if v.giveUp == nil {
		f.stuckSince = time.Time{}
	} else {
		if f.stuckSince.IsZero() {
			f.stuckSince = now
		}
		if left := f.cfg.ImageDeadline - now.Sub(f.stuckSince); left > 0 {
			again = min(again, left)
		} else {
			v.stage, v.fault, v.remove = stageEnded, v.giveUp, true
		}
	}
	if end := deadline(pod); !end.IsZero() && v.stage != stageEnded {
		if left := end.Add(deadlineSlack).Sub(now); left > 0 {
			again = min(again, left)
		} else {
			v = verdict{stage: stageEnded, remove: true, result: workflow.Result{Phase: spec.NodeFailed, Message: worker.DeadlineMessage}}
		}
	}
	if !f.seen {
		again = min(again, settleTime)
	}
	return v, again
}

// deadline is when Kubernetes should end the pod; it counts from when a node took it.
func deadline(pod *corev1.Pod) time.Time {
	if pod == nil || pod.Spec.ActiveDeadlineSeconds == nil || pod.Status.StartTime == nil {
		return time.Time{}
	}
	return pod.Status.StartTime.Add(time.Duration(*pod.Spec.ActiveDeadlineSeconds) * time.Second)
}

// errNotStarted says that the step's pod was taken away before it started, and may be made anew.
var errNotStarted = errors.New("the pod was taken away before it started")

// restarts says that the pod that a verdict is on never started, and may be made anew.
func (f *following) restarts(v verdict) bool {
	never := v.unstarted || v.vanished && f.last != nil && f.last.Spec.NodeName == ""
	if v.fault == nil || !never || f.ran {
		return false
	}
	n, _ := strconv.Atoi(f.job.Annotations[annotationRestarts]) // without any it is 0
	return n < f.cfg.Restarts
}

// finish turns the verdict into the step's result, once its log is complete.
func (f *following) finish(ctx context.Context, v verdict, pod *corev1.Pod) (workflow.Result, error) {
	f.logs.complete(ctx)
	r := v.result
	if r.Started != 0 {
		f.step.Trace.Placed(r.Started.Time())
	}
	if v.outcome != nil && v.fault == nil {
		told, err := f.told(ctx, v)
		if err != nil {
			v.fault = asFault(err)
		}
		if r.Containers != nil { // of a set, whose outputs are main's
			r.Outputs = told.Outputs
		} else {
			told.Started, told.Finished = r.Started, r.Finished
			r = told
		}
	}
	if pod != nil {
		r.Host, r.Resources = pod.Spec.NodeName, resourcesOf(pod)
	}
	if v.fault != nil || v.remove {
		f.logEvents(context.WithoutCancel(ctx))
	}
	if f.restarts(v) {
		f.log.Warn("the step's pod never started, and is made anew", "why", v.fault)
		if err := f.remove(ctx); err == nil {
			return workflow.Result{}, errNotStarted
		}
	}
	if v.remove {
		if err := f.remove(context.WithoutCancel(ctx)); err != nil {
			f.log.Warn("the Job of a step that was given up could not be removed", "err", err)
		}
	}
	if v.fault != nil {
		return r, v.fault
	}
	return r, nil
}

// told reads what the runner left.
func (f *following) told(ctx context.Context, v verdict) (workflow.Result, error) {
	o := v.outcome
	if o.Elsewhere != "" {
		var err error
		if o, err = f.gateway.Outcome(ctx, f.step, o.Elsewhere); err != nil {
			return workflow.Result{}, &worker.Fault{Class: worker.ClassStore, Err: err}
		}
	}
	f.step.Trace.Runner(o)
	return worker.FromOutcome(f.step, o)
}

func asFault(err error) *worker.Fault {
	if f, ok := errors.AsType[*worker.Fault](err); ok {
		return f
	}
	return &worker.Fault{Class: worker.ClassExecutor, Err: err}
}

// leaves says that a step whose context ended for the cause is left running.
func (e *Executor) leaves(cause error) bool {
	return errors.Is(cause, worker.ErrLeaseLost) || (errors.Is(cause, worker.ErrShutdown) && !e.cfg.EndOnShutdown)
}

// end ends the step for the cause with which its context did. A lost lease and a shutdown
// leave the Job to whoever has or takes over the step.
func (f *following) end(cause error) (workflow.Result, error) {
	if f.leaves(cause) {
		f.logs.stop()
		return workflow.Result{}, fmt.Errorf("leaving the Job running: %w", cause)
	}
	if err := f.remove(context.Background()); err != nil {
		f.log.Warn("the Job of a step that was ended could not be removed", "err", err)
	}
	f.logs.complete(context.Background())
	return workflow.Result{}, fmt.Errorf("ending the step: %w", cause)
}
