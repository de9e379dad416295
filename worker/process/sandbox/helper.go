package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// helperName is the argv[0] by which a program knows that it was started as a helper.
const helperName = "argosy-sandbox"

// Descriptors that a helper is started with.
const (
	controlFD = 3
	signalFD  = 4
)

// helperConfig is the helper's argument, as JSON.
type helperConfig struct {
	Scratch string   `json:"scratch,omitempty"` // directory on disk; empty: a tmpfs for each step
	Memory  int64    `json:"memory,omitempty"`  // bytes that one step may write to its tmpfs
	Hide    []string `json:"hide,omitempty"`    // host paths that steps find empty
	Volumes string   `json:"volumes,omitempty"` // directory whose subdirectories can be mounted
}

func (c helperConfig) tmpfsOptions() string {
	return fmt.Sprintf("mode=0700,size=%d", c.Memory)
}

// RunHelper turns this process into a sandbox helper if it was started as one; main calls
// it before anything else and exits with the code. Otherwise ok is false.
func RunHelper(args []string) (code int, ok bool) {
	if len(args) != 2 || args[0] != helperName {
		return 0, false
	}
	if err := helperMain(args[1]); err != nil {
		fmt.Fprintf(os.Stderr, "argosy-sandbox: %v\n", err)
		return 1, true
	}
	return 0, true
}

// helper is the first process of a pid namespace and runs one step at a time in it.
type helper struct {
	base *base
	ctl  *conn
	null int  // what discards
	open bool // the thread stands in a step's root
	next bool // the thread stands in one that no step was given yet

	mu    sync.Mutex
	seq   uint32      // the newest step that signals concerned or that was opened
	pid   int         // its process, 0 when there is none to signal
	early unix.Signal // a signal that came before the process
}

func helperMain(arg string) error {
	// The thread changes namespaces, so it belongs to this goroutine until the process ends.
	runtime.LockOSThread()
	var cfg helperConfig
	if err := json.Unmarshal([]byte(arg), &cfg); err != nil {
		return fmt.Errorf("parsing the configuration: %w", err)
	}
	unix.CloseOnExec(controlFD)
	unix.CloseOnExec(signalFD)
	// A step may signal its pid 1. Caught, not ignored: children would inherit the latter.
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM,
		unix.SIGPIPE, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM)
	unix.Umask(0o022)

	h := &helper{ctl: &conn{socket: rawSocket(controlFD)}}
	b, err := setupBase(cfg)
	if err == nil {
		h.base = b
		err = boundCapabilities()
	}
	if err == nil {
		h.null, err = unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return h.ctl.sendMessage(reply{Fault: err.Error(), Hello: &hello{}})
	}
	if err := h.ctl.sendMessage(reply{Hello: &hello{Layout: b.layout, Warnings: b.warnings}}); err != nil {
		return err
	}
	go h.watchSignals()
	if err := h.prepare(); err != nil {
		return err
	}
	return h.serve()
}

// watchSignals delivers signals to the running step. When the worker's end of the socket
// closes, which its death does too, the helper ends at once, and with it as its pid
// namespace's first process ends every process of the step.
func (h *helper) watchSignals() {
	for {
		var f signalFrame
		n, err := unix.Read(signalFD, f[:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n != len(f) {
			os.Exit(0)
		}
		h.deliver(f.parse())
	}
}

func (h *helper) deliver(seq uint32, sig unix.Signal) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case seq < h.seq:
		// Too late: that step has ended.
	case h.pid == 0 || seq > h.seq:
		// Its request is still on the way.
		h.seq = seq
		h.early = sig
	case sig == unix.SIGKILL:
		unix.Kill(-1, sig)
	default:
		unix.Kill(-h.pid, sig)
	}
}

// begin takes note of a new step, but keeps a signal that overtook it.
func (h *helper) begin(seq uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seq != seq {
		h.seq, h.early = seq, 0
	}
}

// serve answers requests until the worker hangs up.
func (h *helper) serve() error {
	for {
		var req request
		fds, err := h.ctl.receive(&req)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("receiving a request: %w", err)
		}
		if err := h.handle(req, fds); err != nil {
			return err
		}
	}
}

// handle does what a request names. An error ends the helper: after a failure to leave a
// step's root no further step may run here.
func (h *helper) handle(req request, fds []int) error {
	defer closeFDs(fds)
	if req.Root || req.Run != nil {
		if err := h.answer(req, fds); err != nil {
			return err
		}
	}
	if !req.Close || !h.open {
		return nil
	}
	h.open = false
	if err := h.base.leave(req.Seq); err != nil {
		return err
	}
	if len(req.Private)+len(req.Mounts) > 0 {
		return nil // the next step is like this one, most often
	}
	return h.prepare()
}

// prepare puts the next step's root together while nobody waits for it. What fails here the
// step that needs it will find, and say.
func (h *helper) prepare() error {
	if h.base.cfg.Scratch != "" {
		return nil // a place on the disk has its step's number
	}
	if err := h.base.open(anyStep, nil, nil); err != nil {
		return h.base.leave(anyStep)
	}
	h.next = true
	return nil
}

// anyStep stands for a step's number where none is needed.
const anyStep = 1

// enter has the thread stand in the root of a step.
func (h *helper) enter(req request) error {
	if h.next {
		h.next = false
		if len(req.Private)+len(req.Mounts) == 0 {
			return nil
		}
		if err := h.base.leave(anyStep); err != nil {
			return err
		}
	}
	return h.base.open(req.Seq, req.Private, req.Mounts)
}

func (h *helper) answer(req request, fds []int) error {
	var (
		rep reply
		out []int
		err error
	)
	if !h.open {
		h.open = true
		h.begin(req.Seq)
		err = h.enter(req)
	}
	if err == nil && req.Root {
		var root int
		if root, err = unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
			out = []int{root}
		}
	}
	if err == nil && req.Run != nil {
		rep, err = h.run(req.Run, fds)
	}
	if err != nil {
		rep = reply{Fault: err.Error()}
	}
	// The step's ends of its pipes close before the reply, so that whoever gets the reply
	// finds the end of the output.
	closeFDs(fds)
	for i := range fds {
		fds[i] = -1
	}
	err = h.ctl.sendMessage(rep, out...)
	closeFDs(out)
	return err
}

// run starts the command, waits for it, and leaves no process behind.
func (h *helper) run(cmd *command, fds []int) (reply, error) {
	files := []uintptr{uintptr(h.null), uintptr(h.null), uintptr(h.null)}
	if cmd.Side > len(fds) {
		return reply{}, fmt.Errorf("a command came with %d descriptors and needs the %dth", len(fds), cmd.Side)
	}
	for i, n := range cmd.Outputs {
		if n > len(fds) {
			return reply{}, fmt.Errorf("a command came with %d descriptors and needs the %dth", len(fds), n)
		}
		if n > 0 {
			files[1+i] = uintptr(fds[n-1])
		}
	}
	if err := os.MkdirAll(cmd.Dir, 0o755); err != nil {
		return reply{NotStart: fmt.Sprintf("making the working directory: %v", err)}, nil
	}
	file, err := lookPath(cmd)
	if err != nil {
		return reply{NotStart: err.Error(), NotFound: true}, nil
	}
	// Signals wait meanwhile: one comes either before the process or meets it.
	h.mu.Lock()
	if early := h.early; early != 0 {
		h.mu.Unlock()
		return reply{Code: 128 + int(early), Signal: int(early)}, nil
	}
	pid, err := syscall.ForkExec(file, cmd.Args, &syscall.ProcAttr{
		Dir:   cmd.Dir,
		Env:   cmd.Env,
		Files: files,
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err == nil {
		h.pid = pid
	}
	h.mu.Unlock()
	if err != nil {
		return reply{NotStart: fmt.Sprintf("fork/exec %s: %v", file, err)}, nil
	}
	if cmd.Side > 0 {
		return h.waitBeside(pid, fds[cmd.Side-1])
	}
	return h.wait(pid)
}

// wait reaps, as a pid namespace's first process must, until the step's process has ended
// and everything that it left behind has been killed.
func (h *helper) wait(pid int) (reply, error) {
	var (
		status unix.WaitStatus
		usage  unix.Rusage
	)
	for {
		exited, err := unix.Wait4(-1, &status, 0, &usage)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return reply{}, fmt.Errorf("waiting for the step: %w", err)
		}
		if exited == pid {
			return h.ended(&status, &usage)
		}
	}
}

// ended says how the step's process ended, and kills everything that it left behind.
func (h *helper) ended(status *unix.WaitStatus, usage *unix.Rusage) (reply, error) {
	// A signal that still comes for the number that was just freed can only meet processes
	// of this same step: nobody else lives in the namespace.
	h.mu.Lock()
	h.pid = 0
	h.mu.Unlock()
	if err := killRest(); err != nil {
		return reply{}, err
	}
	rep := reply{UserUs: usage.Utime.Nano() / 1000, SystemUs: usage.Stime.Nano() / 1000, MaxRSSKB: usage.Maxrss}
	if status.Signaled() {
		rep.Signal = int(status.Signal())
		rep.Code = 128 + rep.Signal
	} else {
		rep.Code = status.ExitStatus()
	}
	return rep, nil
}

// killRest ends every other process of the pid namespace and reaps it.
func killRest() error {
	for {
		err := unix.Kill(-1, unix.SIGKILL)
		if errors.Is(err, unix.ESRCH) {
			err = nil
		}
		if err != nil {
			return fmt.Errorf("killing what the step left: %w", err)
		}
		for {
			_, err := unix.Wait4(-1, nil, 0, nil)
			if errors.Is(err, unix.ECHILD) {
				return nil
			}
			if err != nil && !errors.Is(err, unix.EINTR) {
				return fmt.Errorf("reaping what the step left: %w", err)
			}
		}
	}
}

// lookPath finds the command's program in the step's root, along the step's own PATH.
func lookPath(cmd *command) (string, error) {
	name := cmd.Args[0]
	if strings.Contains(name, "/") {
		file := name
		if !filepath.IsAbs(file) {
			file = filepath.Join(cmd.Dir, file)
		}
		if err := executable(file); err != nil {
			return "", fmt.Errorf("exec: %q: %w", name, err)
		}
		return file, nil
	}
	for _, dir := range filepath.SplitList(getenv(cmd.Env, "PATH")) {
		file := filepath.Join(dir, name)
		if !filepath.IsAbs(file) {
			file = filepath.Join(cmd.Dir, file)
		}
		if executable(file) == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("exec: %q: executable file not found in $PATH", name)
}

func executable(file string) error {
	var st unix.Stat_t
	if err := unix.Stat(file, &st); err != nil {
		return fmt.Errorf("stat %s: %w", file, err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return unix.EISDIR
	}
	return unix.Access(file, unix.X_OK)
}

// getenv returns the last value given for a name, as a process started with env sees it.
func getenv(env []string, name string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(env[i], name+"="); ok {
			return v
		}
	}
	return ""
}
