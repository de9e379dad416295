package queue

import (
	"fmt"
	"strconv"
	"strings"

	"argosy/workflow"
)

// Delivery is one sending of one node to a pool. Its number counts from 1 and grows when
// the node has to be sent again.
type Delivery struct {
	Run    string       `json:"run"`
	Key    workflow.Key `json:"key"`
	Number int          `json:"n"`
	Pool   string       `json:"pool"`
	Class  Class        `json:"class,omitempty"`
}

// queue is the asynq queue that the delivery goes through.
func (d Delivery) queue() string { return queueOf(d.Pool, d.Class) }

// ID names the delivery: run/hash of the key/number. It is the id of the asynq task.
func (d Delivery) ID() string {
	return fmt.Sprintf("%s/%016x/%d", d.Run, hash64(string(d.Key)), d.Number)
}

// out is the delivery's form in a run's out list.
func (d Delivery) out() string {
	return strconv.Itoa(d.Number) + "|" + d.queue() + "|" + string(d.Key)
}

func parseOut(run, entry string) (Delivery, error) {
	number, rest, ok1 := strings.Cut(entry, "|")
	queue, key, ok2 := strings.Cut(rest, "|")
	n, err := strconv.Atoi(number)
	if !ok1 || !ok2 || err != nil {
		return Delivery{}, fmt.Errorf("malformed entry %q in the out list of run %s", entry, run)
	}
	pool, class := splitQueue(queue)
	return Delivery{Run: run, Key: workflow.Key(key), Number: n, Pool: pool, Class: class}, nil
}

// FlightState is where a delivery stands.
type FlightState string

// The states of a delivery that has not ended.
const (
	FlightSent   FlightState = "sent"   // no worker has claimed it
	FlightHeld   FlightState = "held"   // a worker holds it
	FlightReady  FlightState = "ready"  // a worker holds it, and has told that the daemon is ready
	FlightCancel FlightState = "cancel" // a worker holds it and was asked to end it
)

// Flight is a delivery that has not ended.
type Flight struct {
	Delivery
	State   FlightState
	Expires workflow.Millis // of the lease; for a sent one, when to look after it
	Worker  string
}

func parseFlight(run, key, entry string) (Flight, error) {
	f := strings.SplitN(entry, "|", 5)
	if len(f) != 5 {
		return Flight{}, fmt.Errorf("malformed entry %q in the fly hash of run %s", entry, run)
	}
	n, err := strconv.Atoi(f[1])
	if err != nil {
		return Flight{}, fmt.Errorf("reading the number of %q in the fly hash of run %s: %w", entry, run, err)
	}
	expires, err := strconv.ParseInt(f[2], 10, 64)
	if err != nil {
		return Flight{}, fmt.Errorf("reading the expiry of %q in the fly hash of run %s: %w", entry, run, err)
	}
	pool, class := splitQueue(f[3])
	return Flight{
		Delivery: Delivery{Run: run, Key: workflow.Key(key), Number: n, Pool: pool, Class: class},
		State:    FlightState(f[0]), Expires: workflow.Millis(expires), Worker: f[4],
	}, nil
}
