package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// slot is the worker's side of one helper. One goroutine at a time may call it; signal and
// kill may be called by any.
type slot struct {
	cmd    *exec.Cmd
	sock   *net.UnixConn
	ctl    *conn // over sock
	sig    *os.File
	stderr bytes.Buffer  // read after done only
	done   chan struct{} // closed when the helper has ended
	hello  hello
	dir    string // of its scratch on disk
	seq    uint32
	stale  bool // failed: never to be used again
}

// setupTime bounds how long a helper may take to set itself up.
const setupTime = 30 * time.Second

func startSlot(cfg helperConfig, privileged bool) (s *slot, err error) {
	arg, err := json.Marshal(cfg)
	if err != nil {
		return nil, fmt.Errorf("encoding the helper's configuration: %w", err)
	}
	ctl, ctlChild, err := socketpair(unix.SOCK_STREAM)
	if err != nil {
		return nil, fmt.Errorf("making the control socket: %w", err)
	}
	defer ctlChild.Close()
	sig, sigChild, err := socketpair(unix.SOCK_SEQPACKET)
	if err != nil {
		ctl.Close()
		return nil, fmt.Errorf("making the signal socket: %w", err)
	}
	defer sigChild.Close()
	s = &slot{sig: sig, done: make(chan struct{})}
	sock, err := net.FileConn(ctl)
	ctl.Close()
	if err != nil {
		sig.Close()
		return nil, fmt.Errorf("opening the control socket: %w", err)
	}
	s.sock = sock.(*net.UnixConn)
	s.ctl = &conn{socket: polledSocket{s.sock}}

	attr := &syscall.SysProcAttr{
		// A session of its own, or Ctrl-C in the worker's terminal would reach it.
		Setsid:     true,
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC,
	}
	if !privileged {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	s.cmd = &exec.Cmd{
		Path:        "/proc/self/exe",
		Args:        []string{helperName, string(arg)},
		Env:         []string{"GOMAXPROCS=2", "GOTRACEBACK=none"},
		ExtraFiles:  []*os.File{ctlChild, sigChild},
		Stderr:      &s.stderr,
		SysProcAttr: attr,
	}
	if err := s.cmd.Start(); err != nil {
		s.sock.Close()
		s.sig.Close()
		return nil, fmt.Errorf("starting a sandbox helper: %w", err)
	}
	go func() {
		s.cmd.Wait() //nolint:errcheck // how it ended shows in the control connection
		close(s.done)
	}()
	if err := s.greet(); err != nil {
		s.kill()
		return nil, err
	}
	return s, nil
}

func (s *slot) greet() error {
	if err := s.sock.SetReadDeadline(time.Now().Add(setupTime)); err != nil {
		return fmt.Errorf("awaiting a sandbox helper: %w", err)
	}
	rep, fds, err := s.receive()
	closeFDs(fds)
	if err != nil {
		return fmt.Errorf("awaiting a sandbox helper: %w", err)
	}
	if rep.Hello == nil {
		return errors.New("awaiting a sandbox helper: its first message is not a greeting")
	}
	if rep.Fault != "" {
		return fmt.Errorf("setting up a sandbox: %s", rep.Fault)
	}
	s.hello = *rep.Hello
	return s.sock.SetReadDeadline(time.Time{})
}

// socketpair returns two connected sockets that no other child inherits.
func socketpair(kind int) (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "sandbox"), os.NewFile(uintptr(fds[1]), "sandbox-helper"), nil
}

// polledSocket is the worker's end.
type polledSocket struct{ *net.UnixConn }

func (s polledSocket) recv(p, oob []byte) (int, int, error) {
	n, oobn, _, _, err := s.ReadMsgUnix(p, oob)
	return n, oobn, err
}

func (s polledSocket) send(p, oob []byte) (int, error) {
	n, _, err := s.WriteMsgUnix(p, oob, nil)
	return n, err
}

// call sends a request and awaits its reply.
func (s *slot) call(req request, fds ...int) (reply, []int, error) {
	if err := s.post(req, fds...); err != nil {
		return reply{}, nil, err
	}
	rep, got, err := s.receive()
	if err == nil && rep.Fault != "" {
		err = errors.New(rep.Fault)
		s.stale = true
	}
	if err != nil {
		closeFDs(got)
		return reply{}, nil, err
	}
	return rep, got, nil
}

// post sends a request that has no reply.
func (s *slot) post(req request, fds ...int) error {
	if err := s.ctl.sendMessage(req, fds...); err != nil {
		return s.lost(err)
	}
	return nil
}

func (s *slot) receive() (reply, []int, error) {
	var rep reply
	fds, err := s.ctl.receive(&rep)
	if err != nil {
		return reply{}, fds, s.lost(err)
	}
	return rep, fds, nil
}

// lost explains a broken connection by what the helper said last.
func (s *slot) lost(err error) error {
	s.stale = true
	s.kill()
	if said := strings.TrimSpace(s.stderr.String()); said != "" {
		return fmt.Errorf("%w: %s", ErrLost, said)
	}
	if errors.Is(err, io.EOF) {
		return ErrLost
	}
	return fmt.Errorf("%w: %w", ErrLost, err)
}

// signal sends a signal to the processes of step seq, if it is still the running one.
func (s *slot) signal(seq uint32, sig unix.Signal) {
	f := makeSignal(seq, sig)
	s.sig.Write(f[:]) //nolint:errcheck // a helper that is gone has no step to signal
}

// kill ends the helper, and with it every process of its pid namespace, and waits for that.
func (s *slot) kill() {
	s.cmd.Process.Kill() //nolint:errcheck // it may have ended by itself
	<-s.done
	s.sock.Close()
	s.sig.Close()
}

// hangUp lets the helper finish tearing its last step down, and waits for its end.
func (s *slot) hangUp(patience time.Duration) {
	s.sock.CloseWrite() //nolint:errcheck // then it is gone already
	select {
	case <-s.done:
	case <-time.After(patience):
	}
	s.kill()
}
