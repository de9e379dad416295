package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// Step is one delivery of one leaf, resolved: nothing in it needs substitution any more.
type Step struct {
	Run      *workflow.Run
	Key      workflow.Key
	PodName  string
	Delivery int // counts from 1; grows when a lost worker's step is sent anew
	// Spec is the run's spec, for what holds for all of its pods: that is substituted.
	Spec *spec.WorkflowSpec
	// Repository is where the run's artifacts are; nil: in the fleet's own store.
	Repository *spec.ArtifactRepository
	// Template is a container or script template (more kinds as they come), substituted.
	// Inputs.Parameters carry values, Inputs.Artifacts their locations; Outputs.Artifacts
	// carry the location to write to.
	Template *spec.Template
	// CaptureResult asks for outputs.result: the first 256 KiB of stdout, without the
	// newline it ends with.
	CaptureResult bool
	// Deadline ends the step as Failed; zero is none. The Deadline decorator enforces it
	// through the context; an executor whose platform has deadlines of its own may too.
	Deadline time.Time
	// Ready is set for a daemon: to be called once it can be used, with its address, and only
	// then. It may take long, while the daemon runs on. The daemon's end is that of any step.
	Ready func(ctx context.Context, r workflow.Ready)
	// Waits is for executors whose steps wait for something to run on: it tells what for, in words
	// for users, and "" once the step has started. Nil: nobody asks. Waited is what was told of
	// the step before this worker had it.
	Waits  func(ctx context.Context, message string) error
	Waited string
	// Tells is called with the progress that the step tells while it runs, which is only worth
	// doing when that changes. Nil: nobody asks.
	Tells func(ctx context.Context, p spec.Progress) error
	// Aside is for a step that waits for something elsewhere: from the first call on it takes no
	// slot of the worker's. Nil: it keeps its slot.
	Aside func()
	// Avoid are hosts on which the step is not to run.
	Avoid []string
	// PendingTimeout is how long the step may take to start; zero is any time. It is for
	// executors whose steps wait for something to run on.
	PendingTimeout time.Duration
	// Counts asks the queue whether this delivery still is the one whose results count:
	// ErrSuperseded if not. Nil: nobody else can have the step. It is for what cannot be taken back.
	Counts func(ctx context.Context) error
	// Trace follows what the step's time goes into; nil: nobody does.
	Trace *Trace
	// Log receives stdout and stderr as they come. Never nil.
	Log io.Writer

	// Before and After stage the step's files; nil when there is nothing to stage. An
	// executor that runs steps in a file system which the worker can reach calls Before
	// when that is ready and the command has not started, and After when the command has
	// ended by itself (with whatever exit code), with its result for After to complete,
	// while the files are still there. Their errors are Faults, to be returned as they are;
	// After's only if the command succeeded.
	// Executors whose steps run elsewhere ignore both and stage by their own means.
	Before func(ctx context.Context, f Files) error
	After  func(ctx context.Context, f Files, r *workflow.Result) error
}

// Files gives the worker a step's file system, from outside of the step.
type Files interface {
	// HostPath returns where the worker finds the step's absolute path. The path need not
	// exist. A symbolic link in it is followed as the step would follow it, so that the
	// answer never leaves the step's own tree.
	HostPath(path string) (string, error)
}

// Executor runs steps. Every implementation passes executortest.
//
// Execute returns when the step has ended and nothing of it is left running. A nil error
// means that the step itself decided its outcome: Succeeded, or Failed by exit code or
// signal. A *Fault says that we failed the step: it ends as Error with the fault's class.
//
// When ctx is cancelled Execute ends the step, politely first, and returns an error that
// wraps context.Cause(ctx): ErrStopped, ErrLeaseLost, ErrDeadline or ErrShutdown. The one
// exception is an executor that another worker can take over from: on ErrShutdown it leaves
// the step running.
type Executor interface {
	Execute(ctx context.Context, s *Step) (workflow.Result, error)
}

// Causes with which a step's context ends.
var (
	ErrStopped   = errors.New("the run was stopped")
	ErrLeaseLost = errors.New("the lease on the step was lost")
	ErrDeadline  = errors.New("the step exceeded its deadline")
	ErrShutdown  = errors.New("the worker is shutting down")
)

// Fault is a failure of ours and not of the user's command.
type Fault struct {
	Class string // see the Class constants
	Err   error
}

// Classes of faults.
const (
	ClassImage    = "image"    // the image cannot be had
	ClassStore    = "store"    // the artifact store failed us
	ClassOutput   = "output"   // the step did not write an output that it must
	ClassInput    = "input"    // a required input artifact is not there
	ClassLost     = "lost"     // the step vanished: node lost, pod deleted
	ClassEvicted  = "evicted"  // the platform took its resources back
	ClassOOM      = "oom"      // out of memory
	ClassInvalid  = "invalid"  // what was asked for cannot be run
	ClassExecutor = "executor" // the executor's own trouble
	ClassPanic    = "panic"    // a bug in an executor
)

func (f *Fault) Error() string { return f.Err.Error() }
func (f *Fault) Unwrap() error { return f.Err }

// Faultf makes a Fault of the given class; it wraps what %w names.
func Faultf(class, format string, args ...any) *Fault {
	return &Fault{Class: class, Err: fmt.Errorf(format, args...)}
}
