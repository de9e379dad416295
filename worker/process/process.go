package process

import (
	"bytes"
	"cmp"
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
	Images worker.Images
	// Volumes is a directory for what steps share: the volumes of their templates and runs.
	// It comes to be if it is not there. "" refuses volumes that are to be shared.
	Volumes string
	// Objects are what volumes and variables may come from; nil refuses those.
	Objects worker.Objects
	// Address is where the steps' ports are to be reached, the host's own; "" means 127.0.0.1, for
	// which all of a run's steps have to be on one host.
	Address string
	// Grace is the time between SIGTERM and SIGKILL; 0 means Argo's 30 seconds.
	Grace time.Duration
	// Look is how often the progress is looked at of steps that tell it; 0 means 3 seconds.
	Look time.Duration
	Log  *slog.Logger
}

// Executor runs steps as local processes.
type Executor struct {
	pool    *sandbox.Pool
	tools   string
	images  worker.Images
	volumes string
	objects worker.Objects
	grace   time.Duration
	look    time.Duration
	host    string
	address string
	log     *slog.Logger
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
	if cfg.Volumes != "" {
		if err := prepareVolumes(cfg.Volumes); err != nil {
			return nil, err
		}
	}
	pool, err := sandbox.NewPool(ctx, sandbox.Config{
		Volumes: cfg.Volumes,
		Scratch: cfg.Scratch,
		Memory:  cfg.Memory,
		Hide:    cfg.Hide,
		Log:     cfg.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("starting the process executor: %w", err)
	}
	return &Executor{
		pool: pool, tools: cfg.Tools, images: cfg.Images, volumes: cfg.Volumes, objects: cfg.Objects,
		grace: cfg.Grace, look: cmp.Or(cfg.Look, lookProgress), host: host, address: cmp.Or(cfg.Address, "127.0.0.1"), log: cfg.Log,
	}, nil
}

// Close ends whatever still runs and leaves nothing behind.
func (e *Executor) Close() error { return e.pool.Close() }

// RunHelper is what main calls before anything else: the executor starts the program anew,
// as the helper that makes sandboxes, and then ok is true and code is what to exit with.
func RunHelper(args []string) (code int, ok bool) { return sandbox.RunHelper(args) }

// Execute runs a step, each of its containers in a sandbox of its own.
func (e *Executor) Execute(ctx context.Context, s *worker.Step) (workflow.Result, error) {
	p, err := e.open(s)
	if err != nil {
		return workflow.Result{}, err
	}
	r, err := p.run(ctx)
	r.Host = e.host
	if cerr := p.close(); cerr != nil {
		e.log.WarnContext(ctx, "a step's volumes are left", "hop", "execute", "run", s.Run.ID, "node", string(s.Key), "err", cerr)
	}
	return r, err
}

// outcome words how a command ended.
func (e *Executor) outcome(ctx context.Context, s *worker.Step, name string, exit sandbox.Exit, err error) (workflow.Result, error) {
	if lost, ok := errors.AsType[*sandbox.OutputError](err); ok {
		e.log.WarnContext(ctx, "the step's log is cut", "hop", "execute", "run", s.Run.ID, "node", string(s.Key), "err", lost)
		err = nil
	}
	if not, ok := errors.AsType[*sandbox.NotStartedError](err); ok {
		if not.NotFound {
			return worker.Named(name, worker.NotStarted(not)), nil
		}
		return worker.Named(name, worker.Exited(worker.StartExitCode, not.Reason)), nil
	}
	if err != nil {
		return workflow.Result{}, fault(ctx, err)
	}
	r := worker.Named(name, worker.Exited(exit.Code, ""))
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
