package queue

import (
	"context"
	"encoding/json"
	"fmt"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// Commit is what a turn decided.
type Commit struct {
	State *workflow.State // Finished != 0 ends the run
	Nodes []*workflow.Node
	Gone  []workflow.Key // records to remove
	// Wipe are chunked loops whose items' records are to be removed first, and Forget leaves
	// whose logs are.
	Wipe, Forget []workflow.Key
	// Send are first deliveries of nodes, and the next ones of lost ones (Lost.Again). One
	// that is not lost any more, reported or claimed meanwhile, is not sent anew.
	Send []Delivery
	// Drop are nodes whose delivery was lost and is given up: ErrFenced when it is not lost any
	// more.
	Drop   []workflow.Key
	Timers []workflow.Timer
	// Cancel ends everything in flight, but for what is in Send.
	Cancel *Cancel
	Late   []workflow.Key // ends these, as Failed for workflow.LateMessage
	End    []workflow.Key // ends these, which the run does not wait for
	// Orders are to be done next; nil is nothing.
	Orders *workflow.Orders
	// More asks for another turn at once.
	More bool
	// Expires is when a run that ends comes due once more, to be deleted; 0 is never.
	Expires workflow.Millis
}

// Cancel is how deliveries end that no worker has claimed. Workers end what they hold by
// themselves, when Tasks.Renew tells them.
type Cancel struct {
	Phase     spec.NodePhase
	Message   string
	SpareExit bool // leave what belongs to exit handlers alone
}

// Committed is what follows from a commit.
type Committed struct {
	Version int64
	// Next is what to settle with.
	Next workflow.Millis
	// Out are the deliveries to dispatch, those of an earlier turn that may not have
	// dispatched them included, and Orders what is to be done beside, in order.
	Out    []Delivery
	Orders []*workflow.Orders
	// Sent are those of Out that went out with the commit already.
	Sent map[Delivery]bool
}

// orders is the first argument of commit.lua.
type orders struct {
	Run      string    `json:"run"`
	Token    int64     `json:"tok"`
	Version  int64     `json:"ver"`
	Events   int       `json:"events"`
	Check    int64     `json:"check"`
	Finished bool      `json:"finished,omitempty"`
	More     bool      `json:"more,omitempty"`
	Expires  int64     `json:"exp,omitempty"`
	Fired    []string  `json:"fired,omitempty"`
	Timers   [][2]any  `json:"timers,omitempty"`
	Drop     [][2]any  `json:"drop,omitempty"`
	Gone     []string  `json:"gone,omitempty"`
	Loops    []string  `json:"loops,omitempty"`
	Wipe     []string  `json:"wipe,omitempty"`
	Logs     string    `json:"logs,omitempty"`
	Forget   []string  `json:"forget,omitempty"`
	First    int       `json:"first"`
	Send     [][3]any  `json:"send,omitempty"`
	Cancel   *ordersOf `json:"cancel,omitempty"`
	Late     *ordersOf `json:"late,omitempty"`
	End      []string  `json:"end,omitempty"`
	Locks    string    `json:"locks,omitempty"`
	Locked   bool      `json:"locked,omitempty"`
}

type ordersOf struct {
	Phase   string   `json:"p"`
	Message string   `json:"m"`
	Spare   bool     `json:"spare,omitempty"`
	Keys    []string `json:"keys,omitempty"`
}

// Commit writes what a turn decided, all or nothing: ErrFenced when the run has gone on
// without it. A turn commits once; to repeat a commit whose answer was lost is safe.
func (t *Turns) Commit(ctx context.Context, l *Loaded, c *Commit) (*Committed, error) {
	id := l.Run.ID
	o := orders{
		Run: id, Token: l.Token, Version: l.Version, Events: l.read, Check: t.opts.Check.Milliseconds(),
		Finished: c.State.Finished != 0, More: c.More, Fired: l.fired, Expires: int64(c.Expires), First: c.State.FirstDelivery(), Locked: c.State.Locked,
	}
	if c.Orders != nil && !o.Finished {
		data, err := json.Marshal(c.Orders)
		if err != nil {
			return nil, fmt.Errorf("committing a turn of run %s: encoding its orders: %w", id, err)
		}
		o.Locks = string(data)
	}
	for _, timer := range c.Timers {
		o.Timers = append(o.Timers, [2]any{timer.Name + "|" + string(timer.Key), int64(timer.At)})
	}
	if len(c.Drop) > 0 {
		lost := make(map[workflow.Key]int, len(l.Lost))
		for _, d := range l.Lost {
			lost[d.Key] = d.Number
		}
		for _, k := range c.Drop {
			o.Drop = append(o.Drop, [2]any{lost[k], string(k)})
		}
	}
	for _, k := range c.Gone {
		o.Gone = append(o.Gone, string(k))
	}
	for _, k := range c.Wipe {
		o.Wipe = append(o.Wipe, packedKey(id, k), extrasKey(id, k))
	}
	for _, k := range c.Forget {
		o.Logs, o.Forget = logsKey(id), append(o.Forget, logKey(id, k))
	}
	for _, n := range c.Nodes {
		if n.Call != nil { // it is written once, when the loop starts
			loop, _ := n.Key.Parent()
			o.Loops = append(o.Loops, packedKey(id, loop), extrasKey(id, loop))
		}
	}
	for _, d := range c.Send {
		o.Send = append(o.Send, [3]any{d.Number, d.queue(), string(d.Key)})
	}
	if c.Cancel != nil {
		o.Cancel = &ordersOf{Phase: string(c.Cancel.Phase), Message: c.Cancel.Message, Spare: c.Cancel.SpareExit}
	}
	if len(c.Late) > 0 {
		o.Late = &ordersOf{Phase: string(spec.NodeFailed), Message: workflow.LateMessage}
		for _, k := range c.Late {
			o.Late.Keys = append(o.Late.Keys, string(k))
		}
	}
	for _, k := range c.End {
		o.End = append(o.End, string(k))
	}
	args, err := commitArgs(o, c)
	if err != nil {
		return nil, fmt.Errorf("committing a turn of run %s: %w", id, err)
	}
	along, err := t.sendAlong(ctx, l, c)
	if err != nil {
		return nil, fmt.Errorf("committing a turn of run %s: %w", id, err)
	}
	cmds, _ := t.conn.inOrder(ctx, append([]step{call(t.conn.scripts.commit, runKeys(id), args...)}, along.steps...)...)
	if err := cmds[0].Err(); err != nil {
		return nil, fmt.Errorf("committing a turn of run %s: %w", id, err)
	}
	answer := asList(cmds[0].Val())
	if len(answer) != 3 {
		return nil, fmt.Errorf("committing a turn of run %s: %w", id, ErrFenced)
	}
	done := &Committed{Version: asInt(answer[0]), Next: workflow.Millis(asInt(answer[1])), Sent: along.sent(cmds[1:])}
	if done.Out, done.Orders, err = parseOuts(id, asList(answer[2])); err != nil {
		return nil, fmt.Errorf("committing a turn of run %s: %w", id, err)
	}
	return done, nil
}

func commitArgs(o orders, c *Commit) ([]any, error) {
	head, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("encoding the orders: %w", err)
	}
	state, err := json.Marshal(c.State)
	if err != nil {
		return nil, fmt.Errorf("encoding the state: %w", err)
	}
	args := make([]any, 0, 2+2*len(c.Nodes))
	args = append(args, head, state)
	for _, n := range c.Nodes {
		data, err := workflow.EncodeNode(n)
		if err != nil {
			return nil, fmt.Errorf("encoding node %q: %w", n.Key, err)
		}
		args = append(args, string(n.Key), data)
	}
	return args, nil
}

// Dispatch hands committed deliveries to the broker. Settle then takes them off the run.
func (t *Turns) Dispatch(ctx context.Context, deliveries []Delivery) error {
	if len(deliveries) == 0 {
		return nil
	}
	if err := t.broker.Send(ctx, deliveries); err != nil {
		return fmt.Errorf("dispatching %d deliveries of run %s: %w", len(deliveries), deliveries[0].Run, err)
	}
	return nil
}
