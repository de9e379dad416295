package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// While a command runs that is attended, its helper also runs others beside it, one at a time, in
// the same root and among the same processes. They are asked for on a socket of their own:
//
//	helper: started          worker: attend begins
//	worker: sideRequest      helper: runs it, to its end or until its time is up
//	helper: sideReply        ..
//
// The command's end closes the socket.

// sideRequest is what to run beside the command.
type sideRequest struct {
	Args   []string `json:"a"`
	Env    []string `json:"e"`
	Dir    string   `json:"d"`
	Millis int64    `json:"t"` // that it may take
}

// sideReply tells how that ended; the first one only that the command has started.
type sideReply struct {
	Code     int    `json:"x,omitempty"`
	NotStart string `json:"n,omitempty"`
	Late     bool   `json:"l,omitempty"`
}

// Attended is a command that runs.
type Attended struct {
	ctl *conn
	cmd *Command
}

// Exec runs a program beside the command, in its directory and with its environment, and returns
// its exit code. One that takes longer than timeout is killed, which is an error. Its output is
// discarded. It is used by one goroutine.
func (a *Attended) Exec(args []string, timeout time.Duration) (int, error) {
	req := sideRequest{Args: args, Env: a.cmd.Env, Dir: a.cmd.Dir, Millis: timeout.Milliseconds()}
	if err := a.ctl.sendMessage(req); err != nil {
		return 0, fmt.Errorf("running a program beside a command: %w", err)
	}
	var rep sideReply
	fds, err := a.ctl.receive(&rep)
	closeFDs(fds)
	switch {
	case err != nil:
		return 0, fmt.Errorf("running a program beside a command: %w", err)
	case rep.NotStart != "":
		return 0, &NotStartedError{Reason: rep.NotStart}
	case rep.Late:
		return 0, fmt.Errorf("the program took longer than %v", timeout)
	}
	return rep.Code, nil
}

// attend has Command.Attend called when the command has started. The descriptor is for the
// helper; end is to be called when the command has ended.
func (c *Command) attend(ctx context.Context) (fd int, end func(), err error) {
	ours, theirs, err := socketpair(unix.SOCK_STREAM)
	if err != nil {
		return 0, nil, fmt.Errorf("making a socket beside a command: %w", err)
	}
	file, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		theirs.Close()
		return 0, nil, fmt.Errorf("opening a socket beside a command: %w", err)
	}
	if fd, err = unix.FcntlInt(theirs.Fd(), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		file.Close()
		theirs.Close()
		return 0, nil, fmt.Errorf("opening a socket beside a command: %w", err)
	}
	theirs.Close()
	sock := file.(*net.UnixConn)
	a := &Attended{ctl: &conn{socket: polledSocket{sock}}, cmd: c}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		var started sideReply
		if fds, err := a.ctl.receive(&started); err != nil { // it could not be started
			closeFDs(fds)
			return
		}
		c.Attend(ctx, a)
	})
	return fd, func() {
		cancel()
		sock.Close()
		wg.Wait()
	}, nil
}

// side is the helper's end.
type side struct {
	h        *helper
	ctl      *conn // nil once the worker has hung up
	fd       int
	pid      int // what runs beside the command; 0 is nothing
	deadline time.Time
	late     bool
}

// orphansEvery is how often the helper looks for processes to reap that nobody told it of.
const orphansEvery = time.Second

// waitBeside is wait for a command that is attended.
func (h *helper) waitBeside(pid int, fd int) (reply, error) {
	s := &side{h: h, fd: fd, ctl: &conn{socket: rawSocket(fd)}}
	if err := s.ctl.sendMessage(sideReply{}); err != nil {
		s.ctl = nil
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return reply{}, fmt.Errorf("watching the step: %w", err)
	}
	defer unix.Close(pidfd)
	for {
		if err := s.poll(pidfd); err != nil {
			return reply{}, err
		}
		for {
			var status unix.WaitStatus
			var usage unix.Rusage
			exited, err := unix.Wait4(-1, &status, unix.WNOHANG, &usage)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil {
				return reply{}, fmt.Errorf("waiting for the step: %w", err)
			}
			if exited == pid {
				return h.ended(&status, &usage)
			}
			if exited == 0 {
				break
			}
			if exited == s.pid {
				s.ended(&status)
			}
		}
	}
}

// poll waits until there is something to do, and takes what the worker asks for.
func (s *side) poll(pidfd int) error {
	wait := orphansEvery
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	if s.ctl != nil && s.pid == 0 {
		fds = append(fds, unix.PollFd{Fd: int32(s.fd), Events: unix.POLLIN})
	}
	if s.pid != 0 {
		own, err := unix.PidfdOpen(s.pid, 0)
		if err != nil {
			return fmt.Errorf("watching what runs beside the step: %w", err)
		}
		defer unix.Close(own)
		fds = append(fds, unix.PollFd{Fd: int32(own), Events: unix.POLLIN})
		if wait = min(wait, time.Until(s.deadline)); wait <= 0 && !s.late {
			s.late = true
			unix.Kill(-s.pid, unix.SIGKILL) //nolint:errcheck // it may have ended by itself
		}
		if s.late {
			wait = orphansEvery
		}
	}
	_, err := unix.Poll(fds, int(max(1, wait.Milliseconds())))
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("waiting for the step: %w", err)
	}
	if err == nil && s.ctl != nil && s.pid == 0 && fds[1].Revents != 0 {
		s.take()
	}
	return nil
}

// take starts what the worker asks for.
func (s *side) take() {
	var req sideRequest
	fds, err := s.ctl.receive(&req)
	closeFDs(fds)
	if err != nil {
		s.ctl = nil
		return
	}
	file, err := lookPath(&command{Args: req.Args, Env: req.Env, Dir: req.Dir})
	if err == nil {
		null := uintptr(s.h.null)
		s.pid, err = syscall.ForkExec(file, req.Args, &syscall.ProcAttr{
			Dir: req.Dir, Env: req.Env, Files: []uintptr{null, null, null}, Sys: &syscall.SysProcAttr{Setsid: true},
		})
	}
	if err != nil {
		s.pid = 0
		s.tell(sideReply{NotStart: err.Error()})
		return
	}
	s.deadline, s.late = time.Now().Add(time.Duration(req.Millis)*time.Millisecond), false
}

func (s *side) ended(status *unix.WaitStatus) {
	s.pid = 0
	rep := sideReply{Late: s.late, Code: status.ExitStatus()}
	if status.Signaled() {
		rep.Code = 128 + int(status.Signal())
	}
	s.tell(rep)
}

func (s *side) tell(rep sideReply) {
	if s.ctl != nil && s.ctl.sendMessage(rep) != nil {
		s.ctl = nil
	}
}
