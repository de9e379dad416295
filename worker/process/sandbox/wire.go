package sandbox

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// A request asks a helper to do, in this order, whatever it names. Every request that does
// more than close has exactly one reply.
type request struct {
	Seq     uint32   `json:"s"`           // numbers the steps of a helper, so that a late signal hits nobody else
	Root    bool     `json:"r,omitempty"` // hand out a descriptor of the step's root
	Run     *command `json:"x,omitempty"` // run the step's command; its descriptors come along
	Private []string `json:"p,omitempty"` // directories that start empty, beside the usual ones
	Close   bool     `json:"c,omitempty"` // after the reply, tear the step's root down
}

// command is what to run; descriptors 0, 1 and 2 travel beside it.
type command struct {
	Args []string `json:"a"`
	Env  []string `json:"e"`
	Dir  string   `json:"d"`
}

// reply is a helper's answer.
type reply struct {
	Fault    string `json:"f,omitempty"`  // the helper failed: ours, not the step's
	NotStart string `json:"n,omitempty"`  // the command could not be started: the step's own
	NotFound bool   `json:"nf,omitempty"` // because there is no such program
	Code     int    `json:"x,omitempty"`
	Signal   int    `json:"g,omitempty"`
	UserUs   int64  `json:"u,omitempty"`
	SystemUs int64  `json:"y,omitempty"`
	MaxRSSKB int64  `json:"m,omitempty"`
	// Hello is set in the first message only.
	Hello *hello `json:"h,omitempty"`
}

// hello tells what a helper found when it set itself up.
type hello struct {
	Layout   string   `json:"layout"`
	Warnings []string `json:"warnings,omitempty"`
}

// signalFrame is what travels on the signal socket: the step's number and the signal.
type signalFrame [8]byte

func makeSignal(seq uint32, sig unix.Signal) (f signalFrame) {
	binary.LittleEndian.PutUint32(f[:4], seq)
	binary.LittleEndian.PutUint32(f[4:], uint32(sig))
	return f
}

func (f signalFrame) parse() (seq uint32, sig unix.Signal) {
	return binary.LittleEndian.Uint32(f[:4]), unix.Signal(binary.LittleEndian.Uint32(f[4:]))
}

const (
	maxFrame = 64 << 20
	maxFDs   = 4
)

// socket is either end of the control connection. The helper's end blocks in the kernel,
// because its thread has nothing else to do and a wake-up through the runtime's poller
// would be paid on every step; the worker's end parks on the poller.
type socket interface {
	recv(p, oob []byte) (n, oobn int, err error)
	send(p, oob []byte) (n int, err error)
}

// sendFrame writes one length-prefixed message; the descriptors travel with its first byte.
func sendFrame(s socket, v any, fds ...int) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding a message: %w", err)
	}
	frame := append(binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body))), body...)
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	for len(frame) > 0 {
		n, err := s.send(frame, oob)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("sending a message: %w", err)
		}
		frame, oob = frame[n:], nil
	}
	return nil
}

// recvFrame reads one message into v and returns the descriptors that came with it. At the
// end of the connection it returns io.EOF.
func recvFrame(s socket, v any) ([]int, error) {
	var (
		head [4]byte
		oob  = make([]byte, unix.CmsgSpace(4*maxFDs))
		fds  []int
	)
	// The descriptors end the read that delivers them, so the head is read with room for
	// them and the body without.
	for got := 0; got < len(head); {
		n, oobn, err := s.recv(head[got:], oob)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fds, err
		}
		if n == 0 {
			return fds, io.EOF
		}
		got += n
		more, err := parseFDs(oob[:oobn])
		fds = append(fds, more...)
		if err != nil {
			return fds, err
		}
	}
	size := binary.LittleEndian.Uint32(head[:])
	if size > maxFrame {
		return fds, fmt.Errorf("a message of %d bytes is over the limit of %d", size, maxFrame)
	}
	body := make([]byte, size)
	for got := 0; got < len(body); {
		n, _, err := s.recv(body[got:], nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fds, err
		}
		if n == 0 {
			return fds, io.ErrUnexpectedEOF
		}
		got += n
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fds, fmt.Errorf("decoding a message: %w", err)
	}
	return fds, nil
}

func parseFDs(oob []byte) ([]int, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("parsing control messages: %w", err)
	}
	var fds []int
	for i := range msgs {
		got, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			return fds, fmt.Errorf("parsing descriptors: %w", err)
		}
		fds = append(fds, got...)
	}
	return fds, nil
}

func closeFDs(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// rawSocket is the helper's end.
type rawSocket int

func (s rawSocket) recv(p, oob []byte) (int, int, error) {
	n, oobn, _, _, err := unix.Recvmsg(int(s), p, oob, unix.MSG_CMSG_CLOEXEC)
	return n, oobn, err
}

func (s rawSocket) send(p, oob []byte) (int, error) {
	return unix.SendmsgN(int(s), p, oob, nil, unix.MSG_NOSIGNAL)
}
