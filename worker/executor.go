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
	// Template is a container or script template (more kinds as they come), substituted.
	// Inputs.Parameters carry values, Inputs.Artifacts their locations; Outputs.Artifacts
	// carry the location to write to.
	Template *spec.Template
	// CaptureResult asks for outputs.result: the first 256 KiB of stdout.
	CaptureResult bool
	// Deadline ends the step as Failed; zero is none.
	Deadline time.Time
	// Log receives stdout and stderr as they come. Never nil.
	Log io.Writer
}

// Executor runs steps. Every implementation passes executortest.
//
// Execute returns when the step has ended and nothing of it is left running, also when ctx
// is cancelled (context.Cause(ctx) tells why: ErrStopped, ErrLeaseLost, ErrDeadline or the
// worker's shutdown). A nil error means that the step itself decided its outcome: Succeeded,
// or Failed by exit code, signal or deadline. A *Fault says that we failed the step: it ends
// as Error with the fault's class.
type Executor interface {
	Execute(ctx context.Context, s *Step) (workflow.Result, error)
}

// Causes with which a step's context ends.
var (
	ErrStopped   = errors.New("the run was stopped")
	ErrLeaseLost = errors.New("the lease on the step was lost")
	ErrDeadline  = errors.New("step exceeded its deadline")
)

// Fault is a failure of ours and not of the user's command.
type Fault struct {
	Class string // "image", "store", "lost", "evicted", "oom", "invalid", "executor", ...
	Err   error
}

func (f *Fault) Error() string { return f.Err.Error() }
func (f *Fault) Unwrap() error { return f.Err }

// Faultf makes a Fault of the given class; it wraps what %w names.
func Faultf(class, format string, args ...any) *Fault {
	return &Fault{Class: class, Err: fmt.Errorf(format, args...)}
}
