package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"argosy/workflow"
)

// Loaded is what a turn starts from.
type Loaded struct {
	Run     *workflow.Run
	Digest  string
	State   workflow.State
	Token   int64
	Version int64
	Now     workflow.Millis // Redis's clock; what Advance gets as now
	// Events are what came in, oldest first, then the timers that came due.
	Events []workflow.Event
	// Unread says that more may have come in than one turn reads.
	Unread bool
	// Nodes holds every node when Complete, else those that were asked for (nil: there is
	// no such node).
	Nodes    map[workflow.Key]*workflow.Node
	Complete bool
	// Lost are deliveries that nobody will report: commit each as Redeliver or Drop.
	Lost []Lost
	// Out was committed by an earlier turn that may not have dispatched it. Unless this turn
	// commits (Committed.Out holds these too), dispatch them before Settle.
	// Orders likewise.
	Out    []Delivery
	Orders []*workflow.Orders
	// Next is what to settle with when this turn commits nothing.
	Next workflow.Millis

	read  int      // entries of the in list that Events came from
	fired []string // members of the timers that Events came from
}

// Lost is a delivery that has to be sent anew, or given up.
type Lost struct {
	Delivery
	// Worker held it and let its lease pass; empty when no worker claimed it, or when the
	// one that had released it.
	Worker string
}

// Again is the delivery to send in its place.
func (l Lost) Again() Delivery {
	d := l.Delivery
	d.Number++
	return d
}

// Begin takes the run's fencing token and reads what the turn needs, and of the nodes of a
// run that is too large to be read whole those of hint. ErrNotFound says that there is no turn
// to take; the ticket is settled then. So does ErrFinished, and LeaveEnded is to settle it. ErrExpired
// says that the run is to be deleted.
func (t *Turns) Begin(ctx context.Context, ticket *Ticket, hint ...workflow.Key) (*Loaded, error) {
	id := ticket.Run
	v, err := t.read(ctx, ticket, hint)
	if err != nil {
		return nil, fmt.Errorf("beginning a turn of run %s: %w", id, err)
	}
	if n, ok := v.(int64); ok {
		if n < 0 { // it had locks
			n = -n
			if err := t.locks.Drop(ctx, id); err != nil {
				return nil, err
			}
		}
		switch n {
		case 0:
			err = t.Settle(ctx, ticket, Settlement{})
			return nil, errors.Join(fmt.Errorf("beginning a turn of run %s: %w", id, ErrNotFound), err)
		case 1:
			n = 0
		case 2:
			return nil, fmt.Errorf("beginning a turn of run %s: %w", id, ErrExpired)
		}
		ticket.expires = workflow.Millis(n)
		return nil, fmt.Errorf("beginning a turn of run %s: %w", id, ErrFinished)
	}
	l, overdue, err := t.decode(id, asList(v), hint)
	if err != nil {
		return nil, fmt.Errorf("beginning a turn of run %s: %w", id, err)
	}
	if l.Lost, err = t.lost(ctx, id, overdue); err != nil {
		return nil, fmt.Errorf("looking after what run %s has in flight: %w", id, err)
	}
	return l, nil
}

// LeaveEnded settles a ticket for which Begin found that the run has finished.
func (t *Turns) LeaveEnded(ctx context.Context, ticket *Ticket) error {
	return t.Settle(ctx, ticket, Settlement{Next: ticket.expires, Later: true})
}

// reads are begin.lua's arguments, but for a hint.
func (t *Turns) reads() []any {
	return []any{t.opts.WholeNodes, t.opts.Events, t.opts.Check.Milliseconds()}
}

// read is what begin.lua answers, unless it was asked with the claim.
func (t *Turns) read(ctx context.Context, ticket *Ticket, hint []workflow.Key) (any, error) {
	if begun := ticket.begun; begun != nil && len(hint) == 0 {
		ticket.begun = nil
		return begun, nil
	}
	args := t.reads()
	for _, k := range hint {
		args = append(args, string(k))
	}
	return t.conn.run(ctx, t.conn.scripts.begin, runKeys(ticket.Run), args...)
}

// runKeys are the keys that commit.lua takes, and all but the last begin.lua.
func runKeys(id string) []string {
	return []string{metaKey(id), nodesKey(id), inKey(id), outKey(id), flyKey(id), timersKey(id), runKey(id), stateKey(id), loopsKey(id)}
}

func (t *Turns) decode(id string, answer []any, hint []workflow.Key) (*Loaded, []entry, error) {
	if len(answer) != 13 {
		return nil, nil, fmt.Errorf("unexpected answer of %d parts", len(answer))
	}
	l := &Loaded{
		Now: workflow.Millis(asInt(answer[0])), Token: asInt(answer[1]), Version: asInt(answer[2]),
		Next: workflow.Millis(asInt(answer[3])), Complete: asInt(answer[10]) == 1,
		Nodes: map[workflow.Key]*workflow.Node{},
	}
	var err error
	if l.Run, l.Digest, err = decodeRun(id, answer[4]); err != nil {
		return nil, nil, err
	}
	if l.State, _, err = decodeState(answer[5]); err != nil {
		return nil, nil, err
	}
	events := asList(answer[6])
	l.read = len(events)
	l.Unread = l.read >= t.opts.Events
	for _, e := range events {
		var event workflow.Event
		if err := json.Unmarshal([]byte(asString(e)), &event); err != nil {
			// It would come back at every turn and stop the run for good.
			t.conn.log.Error("an event cannot be read and is dropped", "run", id, "error", err)
			continue
		}
		l.Events = append(l.Events, event)
	}
	for _, m := range asList(answer[7]) {
		member := asString(m)
		l.fired = append(l.fired, member)
		name, key, _ := strings.Cut(member, "|")
		l.Events = append(l.Events, workflow.Event{Kind: workflow.EventTimer, Key: workflow.Key(key), Timer: name})
	}
	if l.Out, l.Orders, err = parseOuts(id, asList(answer[8])); err != nil {
		return nil, nil, err
	}
	var overdue []entry
	for fly := asList(answer[9]); len(fly) >= 2; fly = fly[2:] {
		f, err := parseFlight(id, asString(fly[0]), asString(fly[1]))
		if err != nil {
			return nil, nil, err
		}
		overdue = append(overdue, entry{Flight: f, text: asString(fly[1])})
	}
	for nodes := asList(answer[11]); len(nodes) >= 2; nodes = nodes[2:] {
		if err := addNode(l.Nodes, workflow.Key(asString(nodes[0])), nodes[1]); err != nil {
			return nil, nil, err
		}
	}
	for i, node := range asList(answer[12]) {
		if err := addNode(l.Nodes, hint[i], node); err != nil {
			return nil, nil, err
		}
	}
	return l, overdue, nil
}

func addNode(nodes map[workflow.Key]*workflow.Node, k workflow.Key, data any) error {
	if data == nil {
		nodes[k] = nil
		return nil
	}
	n, err := workflow.DecodeNode(k, []byte(asString(data)))
	if err != nil {
		return err
	}
	nodes[k] = n
	return nil
}

func parseOuts(id string, entries []any) (out []Delivery, locks []*workflow.Orders, err error) {
	for _, e := range entries {
		text := asString(e)
		if strings.HasPrefix(text, "{") {
			orders := &workflow.Orders{}
			if err := json.Unmarshal([]byte(text), orders); err != nil {
				return nil, nil, fmt.Errorf("malformed entry %q in the out list of run %s: %w", text, id, err)
			}
			locks = append(locks, orders)
			continue
		}
		d, err := parseOut(id, text)
		if err != nil {
			return nil, nil, err
		}
		out = append(out, d)
	}
	return out, locks, nil
}

// Nodes reads more nodes of a run; nil: there is no such node.
func (t *Turns) Nodes(ctx context.Context, run string, keys []workflow.Key) (map[workflow.Key]*workflow.Node, error) {
	return t.conn.nodes(ctx, run, keys)
}

// Whole reads every node of a run.
func (t *Turns) Whole(ctx context.Context, run string) (map[workflow.Key]*workflow.Node, error) {
	records, err := t.conn.client.HGetAll(ctx, nodesKey(run)).Result()
	if err != nil {
		return nil, fmt.Errorf("reading the nodes of run %s: %w", run, err)
	}
	nodes := make(map[workflow.Key]*workflow.Node, len(records))
	for k, data := range records {
		if err := addNode(nodes, workflow.Key(k), data); err != nil {
			return nil, fmt.Errorf("reading the nodes of run %s: %w", run, err)
		}
	}
	return nodes, nil
}

func (c *Conn) nodes(ctx context.Context, run string, keys []workflow.Key) (map[workflow.Key]*workflow.Node, error) {
	nodes := make(map[workflow.Key]*workflow.Node, len(keys))
	if len(keys) == 0 {
		return nodes, nil
	}
	fields := make([]string, len(keys))
	for i, k := range keys {
		fields[i] = string(k)
	}
	records, err := c.client.HMGet(ctx, nodesKey(run), fields...).Result()
	if err != nil {
		return nil, fmt.Errorf("reading nodes of run %s: %w", run, err)
	}
	for i, r := range records {
		if err := addNode(nodes, keys[i], r); err != nil {
			return nil, fmt.Errorf("reading nodes of run %s: %w", run, err)
		}
	}
	return nodes, nil
}

// entry is a flight with the text that it was read from.
type entry struct {
	Flight
	text string
}

// A queue may be long, and a delivery that a worker took is about to be claimed: when to
// look again after what the broker has.
const (
	lookAgainQueued = 10 // times Check
	lookAgainTaken  = 1
)

// markTaken is the worker field of a sent delivery that was found taken but unclaimed.
const markTaken = "taken"

// lost says which of the overdue deliveries nobody will report, and puts off the next look
// after the others.
func (t *Turns) lost(ctx context.Context, run string, overdue []entry) ([]Lost, error) {
	var lost []Lost
	var unclaimed []entry
	var sent []Delivery
	for _, e := range overdue {
		if e.State == FlightSent {
			unclaimed = append(unclaimed, e)
			sent = append(sent, e.Delivery)
		} else {
			lost = append(lost, Lost{Delivery: e.Delivery, Worker: e.Worker})
		}
	}
	if len(sent) == 0 {
		return lost, nil
	}
	states, err := t.broker.States(ctx, sent)
	if err != nil {
		return nil, err
	}
	var queued, taken []any
	for i, e := range unclaimed {
		switch {
		case states[i] == TaskQueued:
			queued = append(queued, string(e.Key), e.text, "")
		case states[i] == TaskTaken && e.Worker != markTaken:
			taken = append(taken, string(e.Key), e.text, markTaken)
		default:
			lost = append(lost, Lost{Delivery: e.Delivery})
		}
	}
	var steps []step
	every := t.opts.Check.Milliseconds()
	if len(queued) > 0 {
		steps = append(steps, call(t.conn.scripts.touch, []string{flyKey(run)}, append([]any{lookAgainQueued * every}, queued...)...))
	}
	if len(taken) > 0 {
		steps = append(steps, call(t.conn.scripts.touch, []string{flyKey(run)}, append([]any{lookAgainTaken * every}, taken...)...))
	}
	if len(steps) == 0 {
		return lost, nil
	}
	if _, err := t.conn.inOrder(ctx, steps...); err != nil {
		return nil, err
	}
	return lost, nil
}
