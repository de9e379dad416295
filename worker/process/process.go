package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"argosy/worker"
	"argosy/worker/process/sandbox"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// Config says how steps run.
type Config struct {
	// Scratch is where steps write; see sandbox.Config. "" is the memory.
	Scratch string
	// Memory bounds what one step may write when that is in memory.
	Memory int64
	// Hide names directories of the host that steps must not see: ours.
	Hide []string
	// Tools is a directory of programs that steps find first on their PATH: what their images
	// would bring. "" is none.
	Tools string
	// Images are what images start where a template gives no command.
	Images Images
	// Grace is the time between SIGTERM and SIGKILL; 0 means Argo's 30 seconds.
	Grace time.Duration
	Log   *slog.Logger
}

// Executor runs steps as local processes.
type Executor struct {
	pool   *sandbox.Pool
	tools  string
	images Images
	grace  time.Duration
	host   string
	log    *slog.Logger
}

var _ worker.Executor = (*Executor)(nil)

// New returns an executor, or an error that says precisely why steps cannot be isolated on
// this machine. Close ends it.
func New(ctx context.Context, cfg Config) (*Executor, error) {
	if cfg.Grace == 0 {
		cfg.Grace = 30 * time.Second
	}
	for _, private := range []string{"/tmp", "/var/tmp"} {
		if strings.HasPrefix(cfg.Tools+"/", private+"/") {
			return nil, fmt.Errorf("steps have a %s of their own, and would not find the tools of %s", private, cfg.Tools)
		}
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("reading the host's name: %w", err)
	}
	pool, err := sandbox.NewPool(ctx, sandbox.Config{
		Scratch: cfg.Scratch,
		Memory:  cfg.Memory,
		Hide:    cfg.Hide,
		Log:     cfg.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("starting the process executor: %w", err)
	}
	return &Executor{pool: pool, tools: cfg.Tools, images: cfg.Images, grace: cfg.Grace, host: host, log: cfg.Log}, nil
}

// Close ends whatever still runs and leaves nothing behind.
func (e *Executor) Close() error { return e.pool.Close() }

// RunHelper is what main calls before anything else: the executor starts the program anew,
// as the helper that makes sandboxes, and then ok is true and code is what to exit with.
func RunHelper(args []string) (code int, ok bool) { return sandbox.RunHelper(args) }

// Execute runs a step in a sandbox of its own.
func (e *Executor) Execute(ctx context.Context, s *worker.Step) (workflow.Result, error) {
	s, err := patched(s)
	if err != nil {
		return workflow.Result{}, &worker.Fault{Class: worker.ClassInvalid, Err: err}
	}
	cmd, err := e.command(s)
	if err != nil {
		return workflow.Result{}, &worker.Fault{Class: worker.ClassInvalid, Err: err}
	}
	dirs, err := emptyDirs(s)
	if err != nil {
		return workflow.Result{}, &worker.Fault{Class: worker.ClassInvalid, Err: err}
	}
	cmd.Grace = e.grace
	cmd.Last = s.After == nil

	box, err := e.pool.Get(ctx)
	if err != nil {
		return workflow.Result{}, fault(ctx, err)
	}
	defer box.Close()
	box.Private = dirs
	if s.Before != nil {
		if err := stage(ctx, box, s.Before); err != nil {
			return workflow.Result{}, err
		}
	}

	log := &lockedLog{to: s.Log}
	var captured *head
	if cmd.Stdout, cmd.Stderr = log, log; s.CaptureResult {
		captured = &head{}
		cmd.Stdout = io.MultiWriter(captured, log)
	}
	started := time.Now()
	exit, err := box.Run(ctx, *cmd)
	finished := time.Now()
	r, err := e.outcome(ctx, s, exit, err)
	r.Started, r.Finished, r.Host = workflow.At(started), workflow.At(finished), e.host
	if err != nil {
		return r, err
	}
	if captured != nil {
		result := captured.result()
		r.Outputs.Result = &result
	}
	if s.After != nil {
		if err := keep(ctx, box, s.After, &r); err != nil && r.Phase == spec.NodeSucceeded {
			return r, err
		}
	}
	return r, nil
}

// outcome words how a command ended.
func (e *Executor) outcome(ctx context.Context, s *worker.Step, exit sandbox.Exit, err error) (workflow.Result, error) {
	if lost, ok := errors.AsType[*sandbox.OutputError](err); ok {
		e.log.WarnContext(ctx, "the step's log is cut", "hop", "execute", "run", s.Run.ID, "node", string(s.Key), "err", lost)
		err = nil
	}
	if not, ok := errors.AsType[*sandbox.NotStartedError](err); ok {
		if not.NotFound {
			return worker.NotStarted(not), nil
		}
		return worker.Exited(worker.StartExitCode, not.Reason), nil
	}
	if err != nil {
		return workflow.Result{}, fault(ctx, err)
	}
	r := worker.Exited(exit.Code, "")
	if exit.Ended {
		return r, fmt.Errorf("ending the step: %w", context.Cause(ctx))
	}
	return r, nil
}

// stage calls Before with the sandbox's files.
func stage(ctx context.Context, box *sandbox.Sandbox, before func(context.Context, worker.Files) error) error {
	view, err := box.View()
	if err != nil {
		return fault(ctx, err)
	}
	return before(ctx, view)
}

// keep calls After with the sandbox's files.
func keep(ctx context.Context, box *sandbox.Sandbox, after func(context.Context, worker.Files, *workflow.Result) error, r *workflow.Result) error {
	view, err := box.View()
	if err != nil {
		return fault(ctx, err)
	}
	return after(ctx, view, r)
}

// fault classes a failure of ours. A failure that only follows from the context's end is
// that end, whatever it looks like here.
func fault(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("ending the step: %w", context.Cause(ctx))
	}
	if errors.Is(err, sandbox.ErrLost) {
		return &worker.Fault{Class: worker.ClassLost, Err: err}
	}
	return &worker.Fault{Class: worker.ClassExecutor, Err: err}
}

// lockedLog lets stdout and stderr share a log.
type lockedLog struct {
	mu sync.Mutex
	to io.Writer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Write(p)
}

// head keeps the first MaxResult bytes.
type head struct{ buf bytes.Buffer }

func (h *head) Write(p []byte) (int, error) {
	h.buf.Write(p[:min(len(p), worker.MaxResult-h.buf.Len())])
	return len(p), nil
}

// result is outputs.result: without the newline that it ends with.
func (h *head) result() string {
	return string(bytes.TrimSuffix(h.buf.Bytes(), []byte("\n")))
}
