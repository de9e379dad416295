package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Sandbox is one step's place to run. It is used by one goroutine.
type Sandbox struct {
	pool *Pool
	slot *slot
	seq  uint32
	view *View
	// Private names directories that the step finds empty and has for itself, beside /tmp
	// and /dev/shm. It is to be set before anything else is done.
	Private []string
	// Mounts are volumes that the step sees, as Private.
	Mounts []Mount

	done bool // torn down already, or asked to be
}

// Command is what to run in a sandbox.
type Command struct {
	Args []string
	Env  []string // complete: nothing of the worker's environment is added
	Dir  string   // "" means "/"; made when missing
	// Stdout and Stderr get what the command writes; nil discards it. The same writer in
	// both keeps the order; two writers are used concurrently.
	Stdout, Stderr io.Writer
	// Grace is the time between SIGTERM and SIGKILL when the context ends.
	Grace time.Duration
	// Attend is called once the command has started, beside it; its context ends with the command,
	// which is not over before it returns.
	Attend func(ctx context.Context, a *Attended)
	// Last says that nobody will look at the sandbox after the command.
	Last bool
}

// Exit is how a command ended.
type Exit struct {
	Code   int // 128+n after signal n
	Signal unix.Signal
	User   time.Duration
	System time.Duration
	MaxRSS int64 // bytes
	// Ended says that the context had ended before the command did.
	Ended bool
}

// NotStartedError says that the command could not be started, which is the step's own
// fault: a program that does not exist, a file that is not executable.
type NotStartedError struct {
	Reason   string
	NotFound bool // there is no such program
}

func (e *NotStartedError) Error() string { return e.Reason }

// OutputError says that a command ran and ended, but that not all it wrote was kept.
type OutputError struct{ Err error }

func (e *OutputError) Error() string { return "keeping a command's output: " + e.Err.Error() }
func (e *OutputError) Unwrap() error { return e.Err }

// View opens the step's file system, as the step itself sees it, for staging inputs before
// the command and collecting outputs after it. It ends with the sandbox.
func (s *Sandbox) View() (*View, error) {
	if s.view != nil {
		return s.view, nil
	}
	_, fds, err := s.slot.call(request{Seq: s.seq, Root: true, Private: s.Private, Mounts: s.Mounts})
	if err != nil {
		return nil, fmt.Errorf("opening a step's root: %w", err)
	}
	if len(fds) != 1 {
		closeFDs(fds)
		return nil, fmt.Errorf("opening a step's root: got %d descriptors", len(fds))
	}
	s.view = &View{root: fds[0]}
	return s.view, nil
}

const (
	// killTime is how long killed processes may take to go; after that the helper itself
	// is killed, which the kernel carries out for the whole namespace.
	killTime = 5 * time.Second
	// drainTime is how long output may keep flowing after all processes have ended: longer
	// only if the step passed its output to somebody outside.
	drainTime = 2 * time.Second
)

// Run runs a command and returns when it and every process that it started have ended. When
// ctx ends first, the command gets SIGTERM and, after its grace, SIGKILL; how it ended then
// is in Exit as ever, and why is the caller's to ask of ctx. Outputs that cannot be written
// are discarded, for a step must not block or end because of its log; their errors are
// returned beside Exit.
func (s *Sandbox) Run(ctx context.Context, c Command) (Exit, error) {
	if c.Dir == "" {
		c.Dir = "/"
	}
	out, err := newOutputs(c.Stdout, c.Stderr)
	if err != nil {
		return Exit{}, fmt.Errorf("opening a step's outputs: %w", err)
	}
	side := 0
	if c.Attend != nil {
		fd, done, err := c.attend(ctx)
		if err != nil {
			out.finish(0) //nolint:errcheck // the first error is the one to tell
			return Exit{}, err
		}
		defer done()
		out.theirs = append(out.theirs, fd)
		side = len(out.theirs)
	}
	end := s.endWith(ctx, c.Grace)
	rep, fds, err := s.slot.call(request{
		Seq:     s.seq,
		Private: s.Private,
		Mounts:  s.Mounts,
		Run:     &command{Args: c.Args, Env: c.Env, Dir: c.Dir, Outputs: out.of, Side: side},
		Close:   c.Last && s.view == nil,
	}, out.theirs...)
	s.done = c.Last && s.view == nil
	closeFDs(fds)
	ended := end()
	outErr := out.finish(drainTime)
	switch {
	case err != nil:
		return Exit{}, fmt.Errorf("running a command: %w", err)
	case rep.NotStart != "":
		return Exit{}, &NotStartedError{rep.NotStart, rep.NotFound}
	}
	if outErr != nil {
		outErr = &OutputError{outErr}
	}
	return Exit{
		Code:   rep.Code,
		Signal: unix.Signal(rep.Signal),
		User:   time.Duration(rep.UserUs) * time.Microsecond,
		System: time.Duration(rep.SystemUs) * time.Microsecond,
		MaxRSS: rep.MaxRSSKB << 10,
		Ended:  ended,
	}, outErr
}

// endWith ends the running command when ctx does, until the returned function is called,
// which tells whether that has happened.
func (s *Sandbox) endWith(ctx context.Context, grace time.Duration) (stop func() (ended bool)) {
	if ctx.Done() == nil {
		return func() bool { return false }
	}
	var (
		mu       sync.Mutex
		finished bool
		timers   []*time.Timer
	)
	after := func(d time.Duration, f func()) {
		mu.Lock()
		defer mu.Unlock()
		if !finished {
			timers = append(timers, time.AfterFunc(d, f))
		}
	}
	slot, seq := s.slot, s.seq // they are the command's also when the sandbox is closed meanwhile
	detach := context.AfterFunc(ctx, func() {
		if grace > 0 {
			slot.signal(seq, unix.SIGTERM)
		}
		after(grace, func() { slot.signal(seq, unix.SIGKILL) })
		after(grace+killTime, func() {
			slot.cmd.Process.Kill() //nolint:errcheck // it may have ended by itself
		})
	})
	return func() bool {
		mu.Lock()
		defer mu.Unlock()
		finished = true
		for _, t := range timers {
			t.Stop()
		}
		return !detach()
	}
}

// Close gives the sandbox back; all that the step wrote is gone then.
func (s *Sandbox) Close() {
	if s.slot == nil {
		return
	}
	if s.view != nil {
		s.view.close()
	}
	if !s.done && !s.slot.stale {
		s.slot.post(request{Seq: s.seq, Close: true}) //nolint:errcheck // post marks the slot, and put ends it
	}
	s.pool.put(s.slot)
	s.slot = nil
}

// outputs connect a command's descriptors with the caller's writers.
type outputs struct {
	of     [2]int // see command.Outputs
	theirs []int  // the command's ends
	pumps  []*pump
}

type pump struct {
	from *os.File
	done chan struct{}
	err  error
}

func newOutputs(stdout, stderr io.Writer) (*outputs, error) {
	o := &outputs{}
	for i, w := range []io.Writer{stdout, stderr} {
		switch {
		case w == nil:
		case i == 1 && same(w, stdout):
			o.of[i] = o.of[0]
		default:
			if err := o.pipe(w); err != nil {
				o.finish(0) //nolint:errcheck // the first error is the one to tell
				return nil, err
			}
			o.of[i] = len(o.theirs)
		}
	}
	return o, nil
}

// same compares writers; of a kind that cannot be compared, none are.
func same(a, b io.Writer) bool {
	return b != nil && reflect.TypeOf(a).Comparable() && reflect.TypeOf(b).Comparable() && a == b
}

// pipe opens one more descriptor for the command and copies to w what is written to it.
func (o *outputs) pipe(w io.Writer) error {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	o.theirs = append(o.theirs, fds[1])
	// Only our end must not block: the flag belongs to the end, and programs are not
	// prepared to find it on theirs.
	if err := unix.SetNonblock(fds[0], true); err != nil {
		unix.Close(fds[0])
		return err
	}
	p := &pump{from: os.NewFile(uintptr(fds[0]), "output"), done: make(chan struct{})}
	o.pumps = append(o.pumps, p)
	go func() {
		defer close(p.done)
		_, p.err = io.Copy(w, p.from)
		if p.err != nil {
			// The step must not block because its log cannot be kept.
			io.Copy(io.Discard, p.from) //nolint:errcheck // the first error is the one to tell
		}
	}()
	return nil
}

// finish closes the command's ends and waits for what is still in the pipes.
func (o *outputs) finish(patience time.Duration) error {
	closeFDs(o.theirs)
	o.theirs = nil
	var errs []error
	for _, p := range o.pumps {
		p.from.SetReadDeadline(time.Now().Add(patience)) //nolint:errcheck // a pipe of ours takes deadlines
		<-p.done
		p.from.Close()
		if p.err != nil && !errors.Is(p.err, os.ErrDeadlineExceeded) {
			errs = append(errs, p.err)
		}
	}
	return errors.Join(errs...)
}
