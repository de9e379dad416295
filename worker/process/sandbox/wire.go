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
	Mounts  []Mount  `json:"m,omitempty"`
	Close   bool     `json:"c,omitempty"` // after the reply, tear the step's root down
}

// command is what to run. The descriptors for its output travel beside it: none, one for
// both, or one for each, as Outputs says.
type command struct {
	Args    []string `json:"a"`
	Env     []string `json:"e"`
	Dir     string   `json:"d"`
	Outputs [2]int   `json:"o"` // for stdout and stderr: 0 discards, n is the nth descriptor
	// Side is the descriptor, counted as those, on which others are asked for beside it; 0 is none.
	Side int `json:"b,omitempty"`
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

const maxMessage = 64 << 20

// socket is either end of the control connection. The helper's end blocks in the kernel,
// because its thread has nothing else to do and a wake-up through the runtime's poller
// would be paid on every step; the worker's end parks on the poller.
type socket interface {
	recv(p, oob []byte) (n, oobn int, err error)
	send(p, oob []byte) (n int, err error)
}

// conn carries messages over a socket: their length, how many descriptors come along, and
// JSON. What it has read too much it keeps for the next message.
type conn struct {
	socket
	in  []byte // read, not yet consumed
	fds []int  // received, not yet consumed
}

const headSize = 5

// sendMessage writes one message; its descriptors travel with the first byte.
func (c *conn) sendMessage(v any, fds ...int) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding a message: %w", err)
	}
	frame := binary.LittleEndian.AppendUint32(make([]byte, 0, headSize+len(body)), uint32(len(body)))
	frame = append(append(frame, byte(len(fds))), body...)
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	for len(frame) > 0 {
		n, err := c.send(frame, oob)
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

// receive reads one message into v and returns the descriptors that came with it. At the
// end of the connection it returns io.EOF.
func (c *conn) receive(v any) ([]int, error) {
	if err := c.fill(headSize); err != nil {
		return nil, err
	}
	size, n := binary.LittleEndian.Uint32(c.in), int(c.in[4])
	if size > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes is over the limit of %d", size, maxMessage)
	}
	if err := c.fill(headSize + int(size)); err != nil {
		return nil, err
	}
	if n > len(c.fds) {
		return nil, fmt.Errorf("a message came with %d descriptors instead of %d", len(c.fds), n)
	}
	fds := c.fds[:n:n]
	c.fds = c.fds[n:]
	err := json.Unmarshal(c.in[headSize:headSize+int(size)], v)
	c.in = c.in[headSize+int(size):]
	if err != nil {
		return fds, fmt.Errorf("decoding a message: %w", err)
	}
	return fds, nil
}

// fill reads until there are n bytes.
func (c *conn) fill(n int) error {
	var oob [64]byte // room for the descriptors of one message, where each read ends
	for len(c.in) < n {
		if cap(c.in)-len(c.in) < max(512, n-len(c.in)) {
			c.in = append(make([]byte, 0, max(4096, n+512)), c.in...)
		}
		got, oobn, err := c.recv(c.in[len(c.in):cap(c.in)], oob[:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if got == 0 && len(c.in) > 0 {
			return io.ErrUnexpectedEOF
		}
		if got == 0 {
			return io.EOF
		}
		c.in = c.in[:len(c.in)+got]
		fds, err := parseFDs(oob[:oobn])
		c.fds = append(c.fds, fds...)
		if err != nil {
			return err
		}
	}
	return nil
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
