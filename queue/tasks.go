package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// Tasks is a worker's side: claim, renew, report. What it claims is the worker's own, by
// the name it was made with, which no other worker may have, nor this one's successor.
type Tasks struct {
	*Specs
	conn   *Conn
	worker string
	lease  time.Duration
}

// DefaultTaskLease is how long a claim lasts that is not renewed. Renew every third of it.
const DefaultTaskLease = 6 * time.Second

// NewTasks makes a worker's side; a lease of 0 is DefaultTaskLease.
func NewTasks(c *Conn, worker string, lease time.Duration) *Tasks {
	if lease == 0 {
		lease = DefaultTaskLease
	}
	return &Tasks{Specs: c.specs, conn: c, worker: worker, lease: lease}
}

// Lease is how long a claim lasts that is not renewed.
func (t *Tasks) Lease() time.Duration { return t.lease }

// Claimed is what a worker needs to run a delivery, beside the spec.
type Claimed struct {
	Run    *workflow.Run
	Digest string
	Node   *workflow.Node
	Now    workflow.Millis // Redis's clock
}

// Claim takes a delivery for this worker. To repeat a claim whose answer was lost is safe, so
// no two may work on one delivery in one worker. A *Refused error says to drop it.
func (t *Tasks) Claim(ctx context.Context, d Delivery) (*Claimed, error) {
	keys := []string{runKey(d.Run), nodesKey(d.Run), flyKey(d.Run)}
	v, err := t.conn.run(ctx, t.conn.scripts.hold, keys, string(d.Key), d.Number, t.worker, t.lease.Milliseconds())
	if err != nil {
		return nil, fmt.Errorf("claiming delivery %s: %w", d.ID(), err)
	}
	if reason, ok := v.(string); ok {
		return nil, &Refused{Delivery: d, Reason: Refusal(reason)}
	}
	answer := asList(v)
	if len(answer) != 3 {
		return nil, fmt.Errorf("claiming delivery %s: unexpected answer of %d parts", d.ID(), len(answer))
	}
	c := &Claimed{Now: workflow.Millis(asInt(answer[2]))}
	if c.Run, c.Digest, err = decodeRun(d.Run, answer[0]); err != nil {
		return nil, fmt.Errorf("claiming delivery %s: %w", d.ID(), err)
	}
	if c.Node, err = workflow.DecodeNode(d.Key, []byte(asString(answer[1]))); err != nil {
		return nil, fmt.Errorf("claiming delivery %s: %w", d.ID(), err)
	}
	return c, nil
}

// Renewal is what has become of a lease.
type Renewal int

// The answers of Renew.
const (
	RenewalLost   Renewal = iota // the delivery is not ours: end it, and do not report
	RenewalOK                    // extended
	RenewalCancel                // extended; the run was asked to stop: end it, and report
	RenewalOver                  // the run has ended, or was deleted: end it, for nobody else has it
	RenewalReady                 // extended; the run was told that the daemon is ready
)

// Renew extends the leases of all deliveries that the worker holds, in one round trip, and
// answers in their order.
func (t *Tasks) Renew(ctx context.Context, deliveries []Delivery) ([]Renewal, error) {
	byRun := map[string][]int{}
	var runs []string
	for i, d := range deliveries {
		if byRun[d.Run] == nil {
			runs = append(runs, d.Run)
		}
		byRun[d.Run] = append(byRun[d.Run], i)
	}
	steps := make([]step, 0, len(runs))
	for _, run := range runs {
		args := []any{t.worker, t.lease.Milliseconds()}
		for _, i := range byRun[run] {
			args = append(args, string(deliveries[i].Key), deliveries[i].Number)
		}
		steps = append(steps, call(t.conn.scripts.renew, []string{flyKey(run), runKey(run), metaKey(run)}, args...))
	}
	cmds, err := t.conn.together(ctx, steps...)
	if err != nil {
		return nil, fmt.Errorf("renewing %d leases: %w", len(deliveries), err)
	}
	renewals := make([]Renewal, len(deliveries))
	for n, run := range runs {
		answers := asList(cmds[n].Val())
		for j, i := range byRun[run] {
			if j < len(answers) {
				renewals[i] = Renewal(asInt(answers[j]))
			}
		}
	}
	return renewals, nil
}

// Report hands in the result of a delivery that the worker holds and rings for its run.
// ErrFenced says that it was not accepted: another delivery counts, this one was reported
// before, or it was ended as the run had asked and Redis has lost that.
func (t *Tasks) Report(ctx context.Context, d Delivery, r workflow.Result) error {
	event, err := json.Marshal(workflow.Event{Kind: workflow.EventResult, Key: d.Key, Result: &r})
	if err != nil {
		return fmt.Errorf("encoding the result of delivery %s: %w", d.ID(), err)
	}
	return t.report(ctx, d, call(t.conn.scripts.report, []string{flyKey(d.Run), inKey(d.Run)}, string(d.Key), d.Number, t.worker, event, r.Stopped))
}

// Ready tells the run that a daemon is ready whose delivery the worker holds, and rings; the
// delivery goes on. To repeat it is safe. ErrFenced is as of Report.
func (t *Tasks) Ready(ctx context.Context, d Delivery, r workflow.Ready) error {
	event, err := json.Marshal(workflow.Event{Kind: workflow.EventReady, Key: d.Key, Ready: &r})
	if err != nil {
		return fmt.Errorf("encoding that delivery %s is ready: %w", d.ID(), err)
	}
	return t.report(ctx, d, call(t.conn.scripts.ready, []string{flyKey(d.Run), inKey(d.Run)}, string(d.Key), d.Number, t.worker, event, "ready"))
}

// Waits tells the run what a delivery that the worker holds waits for before it starts, "" once it
// does, and rings. ErrFenced is as of Report.
func (t *Tasks) Waits(ctx context.Context, d Delivery, message string) error {
	event, err := json.Marshal(workflow.Event{Kind: workflow.EventWaits, Key: d.Key, Message: message})
	if err != nil {
		return fmt.Errorf("encoding what delivery %s waits for: %w", d.ID(), err)
	}
	return t.report(ctx, d, call(t.conn.scripts.ready, []string{flyKey(d.Run), inKey(d.Run)}, string(d.Key), d.Number, t.worker, event, ""))
}

// Tells tells the run what a leaf that is under way says of its progress, and rings. ErrFenced says
// that it is not under way. It does not matter which delivery it is of, for the last one counts.
func (t *Tasks) Tells(ctx context.Context, run string, key workflow.Key, progress spec.Progress) error {
	event, err := json.Marshal(workflow.Event{Kind: workflow.EventTells, Key: key, Message: string(progress)})
	if err != nil {
		return fmt.Errorf("encoding the progress of %s: %w", key, err)
	}
	return t.report(ctx, Delivery{Run: run, Key: key}, call(t.conn.scripts.ready, []string{flyKey(run), inKey(run)}, string(key), 0, "", event, ""))
}

// report takes the step that hands results in, and rings.
func (t *Tasks) report(ctx context.Context, d Delivery, s step) error {
	cmds, err := t.conn.inOrder(ctx, s, t.conn.ring(d.Run))
	if err != nil && (cmds[0].Err() != nil || asInt(cmds[0].Val()) != 1) {
		return fmt.Errorf("reporting delivery %s: %w", d.ID(), err)
	}
	// Once accepted, a ring that failed only delays: the run is looked after anyway.
	if asInt(cmds[0].Val()) != 1 {
		return fmt.Errorf("reporting delivery %s: %w", d.ID(), ErrFenced)
	}
	return nil
}

// Release gives up a delivery that the worker holds and will not report, so that it is sent
// anew at once. It does not count as lost by its worker.
func (t *Tasks) Release(ctx context.Context, d Delivery) error {
	_, err := t.conn.inOrder(ctx,
		call(t.conn.scripts.release, []string{flyKey(d.Run), metaKey(d.Run)}, string(d.Key), d.Number, t.worker),
		t.conn.ring(d.Run))
	if err != nil {
		return fmt.Errorf("releasing delivery %s: %w", d.ID(), err)
	}
	return nil
}
