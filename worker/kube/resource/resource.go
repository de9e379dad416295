package resource

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"argosy/worker"
	"argosy/workflow"
)

// Executor carries out resource templates, and leaves the others to another executor.
type Executor struct {
	next    worker.Executor
	cluster *Cluster
	keeper  Keeper
	store   worker.ArtifactStore
	host    string
	poll    time.Duration // between looks at what cannot be watched
	patient time.Duration // with an API server that does not answer
}

// New puts an executor of resource templates before another. Without a cluster only objects of
// argoproj.io can be had. Host is where the worker runs.
func New(next worker.Executor, cluster *Cluster, keeper Keeper, store worker.ArtifactStore, host string) *Executor {
	return &Executor{next: next, cluster: cluster, keeper: keeper, store: store, host: host, poll: time.Second, patient: 2 * time.Minute}
}

// Execute implements worker.Executor.
func (e *Executor) Execute(ctx context.Context, s *worker.Step) (workflow.Result, error) {
	if s.Template.Resource == nil {
		return e.next.Execute(ctx, s)
	}
	started := time.Now()
	// What watches over the deadlines of steps elsewhere does not watch over this one.
	r, err := worker.Deadline(worker.ExecutorFunc(e.do)).Execute(ctx, s)
	r.Started, r.Finished, r.Host = workflow.At(started), workflow.At(time.Now()), e.host
	return r, err
}

// refusal is what the user's own request is answered with: the step is Failed.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

func refusef(format string, args ...any) error { return refusal{fmt.Errorf(format, args...)} }

// do carries out the template. What kubectl would have complained of is the step's failure.
func (e *Executor) do(ctx context.Context, s *worker.Step) (workflow.Result, error) {
	a := &action{Executor: e, step: s, t: s.Template.Resource}
	outputs, err := a.run(ctx)
	var status apierrors.APIStatus
	switch {
	case err == nil:
		r := worker.Exited(0, "")
		r.Outputs.Parameters = outputs
		return r, nil
	case ctx.Err() != nil:
		return workflow.Result{}, fmt.Errorf("ending the step: %w", context.Cause(ctx))
	}
	if fault, ok := errors.AsType[*worker.Fault](err); ok {
		return workflow.Result{}, fault
	}
	if _, ok := errors.AsType[refusal](err); ok {
		fmt.Fprintln(s.Log, err)
		return worker.Exited(worker.StartExitCode, err.Error()), nil
	}
	if errors.As(err, &status) {
		message := fmt.Sprintf("Error from server (%s): %s", apierrors.ReasonForError(err), err)
		fmt.Fprintln(s.Log, message)
		return worker.Exited(worker.StartExitCode, message), nil
	}
	return workflow.Result{}, worker.Faultf(worker.ClassExecutor, "acting on a Kubernetes object: %w", err)
}

// run acts, waits, and reads the outputs.
func (a *action) run(ctx context.Context) ([]workflow.Param, error) {
	out := a.step.Template.Outputs.Parameters
	if a.t.Action == "delete" && (a.t.SuccessCondition != "" || a.t.FailureCondition != "" || len(out) > 0) {
		return nil, refusef("successCondition, failureCondition and outputs are not supported for delete action")
	}
	until, err := parseConditions(a.t)
	if err != nil {
		return nil, err
	}
	if err := a.read(ctx); err != nil {
		return nil, err
	}
	on, object, err := a.act(ctx)
	if err != nil {
		return nil, err
	}
	if object != nil && !until.none() {
		if object, err = a.wait(ctx, on, object, until); err != nil {
			return nil, err
		}
	}
	return outputs(ctx, out, object)
}

// log tells what was done, as kubectl does.
func (a *action) log(object *unstructured.Unstructured, done string) {
	kind := object.GroupVersionKind().GroupKind()
	fmt.Fprintf(a.step.Log, "%s/%s %s\n", lower(kind.String()), object.GetName(), done)
}

// retry repeats what failed for a reason that may pass.
func (e *Executor) retry(ctx context.Context, f func() error) error {
	began := time.Now()
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := f()
		if err == nil || !passing(err) || time.Since(began) > e.patient {
			return err
		}
		pause := wait
		if after, ok := apierrors.SuggestsClientDelay(err); ok {
			pause = max(pause, time.Duration(after)*time.Second)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

// passing says that it is worth trying again.
func passing(err error) bool {
	if _, ok := errors.AsType[*worker.Fault](err); ok {
		return false
	}
	if _, ok := errors.AsType[refusal](err); ok {
		return false
	}
	if apierrors.ReasonForError(err) == "" { // the API server cannot be reached
		return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
	}
	return apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) ||
		apierrors.IsInternalError(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsUnexpectedServerError(err)
}

var _ worker.Executor = (*Executor)(nil)
