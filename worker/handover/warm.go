package handover

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// A pod that stays opens one connection to the worker that made it, and gets its items there:
//
//	pod    -- GET PathWarm, Upgrade ------------------------------> worker
//	pod    -- Ready ----------------------------------------------> worker
//	pod    <------------------------------------- Item, Cancel ---- worker   again and again
//	pod    -- Output, Output .. Ended, Ready ---------------------> worker
//	pod    <-------------------------------------------- Leave ---- worker
//
// Either side knows that the other one is gone when the connection ends, or is silent for long.

// PathWarm is where a pod that stays asks the gateway for items; WarmProtocol is what the
// connection is upgraded to.
const (
	PathWarm     = "/v1/warm" // GET
	WarmProtocol = "argosy-warm-1"
)

// Kind is what a message is.
type Kind byte

// Kinds of messages.
const (
	SayReady  Kind = 'r' // the pod is fresh
	SayOutput Kind = 'o' // what the item's command wrote
	SayEnded  Kind = 'e' // an Outcome
	SayRun    Kind = 'i' // an Item
	SayCancel Kind = 'c' // end the item of a number, if it has not ended
	SayLeave  Kind = 'l' // there will be no more items
	beat      Kind = 'b' // all is well
)

// Item is one step for a pod that stays.
type Item struct {
	// Number tells the items of a pod apart: a cancel may come when its item has ended.
	Number  int      `json:"number"`
	Command []string `json:"command"` // with $(NAME), as in a container
	Env     []Var    `json:"env,omitempty"`
	// EnvFrom says that the pod has more variables that $(NAME) may stand for.
	EnvFrom bool   `json:"envFrom,omitempty"`
	Dir     string `json:"dir,omitempty"` // empty: one of its own
	Plan    *Plan  `json:"plan"`
	Token   string `json:"token"` // for the item's files
	// Fresh are paths that are not there when an item starts, whatever those before it left.
	Fresh []string `json:"fresh,omitempty"`
	// Tidy are directories of which only what was there at first is kept.
	Tidy  []string `json:"tidy,omitempty"`
	Grace int64    `json:"grace"` // milliseconds between asking it to end and killing it
}

// Var is a variable of an item; without a value it is the pod's.
type Var struct {
	Name  string  `json:"name"`
	Value *string `json:"value,omitempty"`
}

const (
	// Silence is how long nothing may come from a side that is well.
	Silence = 20 * time.Second
	beats   = Silence / 4
	// maxMessage bounds a message.
	maxMessage = MaxOutcome + 1<<20
)

// Wire is a connection between a pod and its worker. One goroutine may Receive at a time; any
// may Send.
type Wire struct {
	conn net.Conn
	in   *bufio.Reader
	mu   sync.Mutex
	once sync.Once
	over chan struct{}
}

// NewWire speaks over a connection, whose first bytes may be in the reader already. It is to be
// closed.
func NewWire(conn net.Conn, in *bufio.Reader) *Wire {
	w := &Wire{conn: conn, in: in, over: make(chan struct{})}
	go w.beat()
	return w
}

func (w *Wire) beat() {
	tick := time.NewTicker(beats)
	defer tick.Stop()
	for {
		select {
		case <-w.over:
			return
		case <-tick.C:
			if w.Send(beat, nil) != nil {
				w.Close()
				return
			}
		}
	}
}

// Close ends the connection.
func (w *Wire) Close() {
	w.once.Do(func() {
		close(w.over)
		w.conn.Close()
	})
}

// Send sends a message.
func (w *Wire) Send(kind Kind, payload []byte) error {
	data := make([]byte, 5, 5+len(payload))
	data[0] = byte(kind)
	binary.BigEndian.PutUint32(data[1:], uint32(len(payload)))
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.conn.Write(append(data, payload...)); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	return nil
}

// SendJSON sends a message that is a value.
func (w *Wire) SendJSON(kind Kind, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding a message: %w", err)
	}
	return w.Send(kind, data)
}

// Receive waits for the next message.
func (w *Wire) Receive() (Kind, []byte, error) {
	for {
		if err := w.conn.SetReadDeadline(time.Now().Add(Silence)); err != nil {
			return 0, nil, fmt.Errorf("receiving: %w", err)
		}
		var head [5]byte
		if _, err := io.ReadFull(w.in, head[:]); err != nil {
			return 0, nil, fmt.Errorf("receiving: %w", err)
		}
		size := binary.BigEndian.Uint32(head[1:])
		if size > maxMessage {
			return 0, nil, fmt.Errorf("receiving: a message of %d bytes", size)
		}
		payload := make([]byte, size)
		if _, err := io.ReadFull(w.in, payload); err != nil {
			return 0, nil, fmt.Errorf("receiving: %w", err)
		}
		if Kind(head[0]) != beat {
			return Kind(head[0]), payload, nil
		}
	}
}

// Expand replaces $(NAME) by the variable's value and $$ by $, as Kubernetes does in commands,
// arguments and variables; a reference to an unknown variable stays as it is.
func Expand(s string, value func(name string) (string, bool)) string {
	if !strings.Contains(s, "$") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '$' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		switch s[i+1] {
		case '$':
			b.WriteByte('$')
			i++
		case '(':
			end := strings.IndexByte(s[i:], ')')
			if end < 0 {
				b.WriteByte('$')
				continue
			}
			if v, ok := value(s[i+2 : i+end]); ok {
				b.WriteString(v)
			} else {
				b.WriteString(s[i : i+end+1])
			}
			i += end
		default:
			b.WriteByte('$')
		}
	}
	return b.String()
}
