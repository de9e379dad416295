package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"argosy/workflow"
	"argosy/workflow/cron"
)

// Runs is the side of whoever submits and looks at runs: the server and the CLI.
type Runs struct {
	*Specs
	conn *Conn
}

// NewRuns makes the side of the server and the CLI.
func NewRuns(c *Conn) *Runs { return &Runs{Specs: c.specs, conn: c} }

// submitGuard makes a run due for a first look before anything of it is written, so that a
// crash in the middle of a submit leaves either nothing or a run that starts.
const submitGuardMillis = 5000

// Submit creates a run and has it started. To repeat it with the same run is safe.
// ErrExists: another run has the name.
func (r *Runs) Submit(ctx context.Context, run *workflow.Run, specJSON []byte) error {
	_, err := r.submit(ctx, run, specJSON, func(record string) step {
		return command("set", runKey(run.ID), record, "nx")
	})
	return err
}

// submit returns the answer to create.
func (r *Runs) submit(ctx context.Context, run *workflow.Run, specJSON []byte, create func(record string) step) (any, error) {
	digest := Digest(specJSON)
	record, err := encodeRun(run, digest)
	if err != nil {
		return nil, err
	}
	if err := r.reserve(ctx, run); err != nil {
		return nil, fmt.Errorf("reserving the name %s/%s: %w", run.Namespace, run.Name, err)
	}
	if err := r.mark(ctx, run.ID, specJSON); err != nil {
		return nil, err
	}
	cmds, err := r.conn.inOrder(ctx,
		command("del", unusedKey(digest)), // first, or a sweep could take what is set next
		command("set", specKey(digest), specJSON, "nx"),
		create(record),
		command("zadd", indexKey(run.Namespace), int64(run.Created), run.ID),
		command("sadd", namespacesKey, run.Namespace),
		command("sadd", specsKey, digest),
		r.conn.ring(run.ID))
	if err != nil {
		return nil, fmt.Errorf("creating run %s: %w", run.ID, err)
	}
	return cmds[2].Val(), r.born(ctx, run.ID, specJSON)
}

func (r *Runs) reserve(ctx context.Context, run *workflow.Run) error {
	names := namesKey(run.Namespace)
	for {
		cmds, err := r.conn.inOrder(ctx,
			r.conn.ringIn(run.ID, submitGuardMillis),
			command("hsetnx", names, run.Name, run.ID),
			command("hget", names, run.Name))
		if err != nil {
			return err
		}
		owner := asString(cmds[2].Val())
		switch owner {
		case run.ID:
			return nil
		case "":
			continue // freed between the two commands
		}
		stale, err := r.abandoned(ctx, owner)
		if err != nil {
			return err
		}
		if !stale {
			// The guard finds no run and goes by itself.
			return ErrExists
		}
		v, err := r.conn.run(ctx, r.conn.scripts.takename, []string{names}, run.Name, owner, run.ID)
		if err != nil {
			return err
		}
		if asInt(v) == 1 {
			return nil
		}
	}
}

// abandoned says that a run's submit died after taking the name: it was not created, and
// nobody is about to, since its guard is gone.
func (r *Runs) abandoned(ctx context.Context, id string) (bool, error) {
	cmds, err := r.conn.inOrder(ctx,
		command("zscore", dueKey(shardOf(id)), id),
		command("exists", runKey(id)))
	if err != nil {
		return false, err
	}
	return errors.Is(cmds[0].Err(), redis.Nil) && asInt(cmds[1].Val()) == 0, nil
}

// RunID finds a run by its name.
func (r *Runs) RunID(ctx context.Context, namespace, name string) (string, error) {
	id, err := r.conn.client.HGet(ctx, namesKey(namespace), name).Result()
	if errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("finding run %s/%s: %w", namespace, name, ErrNotFound)
	} else if err != nil {
		return "", fmt.Errorf("finding run %s/%s: %w", namespace, name, err)
	}
	return id, nil
}

// Snapshot is a run at one moment.
type Snapshot struct {
	Run     *workflow.Run
	Digest  string
	State   workflow.State
	Version int64 // grows with every commit
	// Nodes, Complete and Flights are Load's: Nodes holds all of the run's, or, with Complete
	// false, none, since they are too many.
	Nodes    map[workflow.Key]*workflow.Node
	Complete bool
	Flights  map[workflow.Key]Flight // deliveries that have not ended
	// Archived says that the run is in the archive only, and Nodes is none of it.
	Archived bool
}

// Load reads a run as it is at one moment, with its nodes if it has at most so many records
// of them. What is in flight is bounded by what workers have slots for.
func (r *Runs) Load(ctx context.Context, id string, most int) (*Snapshot, error) {
	v, err := r.conn.run(ctx, r.conn.scripts.look, []string{runKey(id), stateKey(id), nodesKey(id), flyKey(id)}, most)
	if err != nil {
		return nil, fmt.Errorf("loading run %s: %w", id, err)
	}
	answer := asList(v)
	if len(answer) != 5 {
		return nil, fmt.Errorf("loading run %s: malformed answer", id)
	}
	s, err := decodeHead(id, answer[:2])
	if err != nil {
		return nil, fmt.Errorf("loading run %s: %w", id, err)
	}
	fly, nodes := asList(answer[3]), asList(answer[4])
	s.Complete = len(nodes) == 2*int(asInt(answer[2]))
	s.Nodes = make(map[workflow.Key]*workflow.Node, len(nodes)/2)
	for i := 0; i+1 < len(nodes); i += 2 {
		if err := addNode(s.Nodes, workflow.Key(asString(nodes[i])), nodes[i+1]); err != nil {
			return nil, fmt.Errorf("loading run %s: %w", id, err)
		}
	}
	s.Flights = make(map[workflow.Key]Flight, len(fly)/2)
	for i := 0; i+1 < len(fly); i += 2 {
		f, err := parseFlight(id, asString(fly[i]), asString(fly[i+1]))
		if err != nil {
			return nil, fmt.Errorf("loading run %s: %w", id, err)
		}
		if f.State == FlightSent {
			f.Worker = "" // a mark of ours, see markTaken
		}
		s.Flights[f.Key] = f
	}
	return s, nil
}

// Head reads a run without its nodes and flights.
func (r *Runs) Head(ctx context.Context, id string) (*Snapshot, error) {
	values, err := r.conn.client.MGet(ctx, headKeys(id)...).Result()
	if err != nil {
		return nil, fmt.Errorf("loading run %s: %w", id, err)
	}
	s, err := decodeHead(id, values)
	if err != nil {
		return nil, fmt.Errorf("loading run %s: %w", id, err)
	}
	return s, nil
}

// Nodes reads some nodes of a run; nil: there is no such node.
func (r *Runs) Nodes(ctx context.Context, id string, keys []workflow.Key) (map[workflow.Key]*workflow.Node, error) {
	return r.conn.nodes(ctx, id, keys)
}

// Signal hands an event from outside to a run: ErrNotFound, ErrFinished.
func (r *Runs) Signal(ctx context.Context, id string, event workflow.Event) error {
	data, err := json.Marshal(event)
	if err != nil {
		return fmt.Errorf("encoding a signal to run %s: %w", id, err)
	}
	cmds, err := r.conn.inOrder(ctx,
		call(r.conn.scripts.signal, []string{runKey(id), inKey(id), metaKey(id)}, data),
		r.conn.ring(id))
	if err != nil {
		return fmt.Errorf("signalling run %s: %w", id, err)
	}
	switch asInt(cmds[0].Val()) {
	case 0:
		return fmt.Errorf("signalling run %s: %w", id, ErrNotFound)
	case -1:
		return fmt.Errorf("signalling run %s: %w", id, ErrFinished)
	}
	return nil
}

// Delete removes everything of a run, in whatever phase, as Remove does: at once, or, if there
// are artifacts to be deleted with it, after those.
func (r *Runs) Delete(ctx context.Context, id string) error {
	if held, err := r.held(ctx, id); held || err != nil {
		return err
	}
	return r.Remove(ctx, id)
}

// Expire is Delete for a run whose time has come, by Redis's clock, which is returned; 0 when that
// is not so any more: it was taken up again.
func (r *Runs) Expire(ctx context.Context, id string) (workflow.Millis, error) {
	return r.deleteEnded(ctx, id, "")
}

// deleteEnded is Delete for a run that has ended and is of a version still.
func (r *Runs) deleteEnded(ctx context.Context, id, version string) (workflow.Millis, error) {
	v, err := r.conn.run(ctx, r.conn.scripts.doom, []string{metaKey(id)}, version)
	if err != nil {
		return 0, fmt.Errorf("deleting run %s: %w", id, err)
	}
	now := workflow.Millis(asInt(v))
	if now == 0 {
		return 0, nil
	}
	return now, r.Delete(ctx, id)
}

// Remove removes everything of a run at once. What its workers still run they lose at their next
// renewal; stop a run first to have it end in order. One that is to be archived first is removed
// by whoever does that. To repeat it is safe; ErrNotFound when there is nothing of it.
func (r *Runs) Remove(ctx context.Context, id string) error {
	s, err := NewArchive(r.conn).reserve(ctx, id)
	if s == nil || err != nil {
		return err
	}
	return r.remove(ctx, s)
}

// Discard is Remove that does not wait for the archive, where the run may be missing then.
func (r *Runs) Discard(ctx context.Context, id string) error {
	s, err := r.Head(ctx, id)
	if err != nil {
		return err
	}
	if err := r.remove(ctx, s); err != nil {
		return err
	}
	return NewArchive(r.conn).Dismiss(ctx, id)
}

func (r *Runs) remove(ctx context.Context, s *Snapshot) error {
	id := s.Run.ID
	if err := r.deleteLogs(ctx, id); err != nil {
		return fmt.Errorf("deleting the logs of run %s: %w", id, err)
	}
	k := shardOf(id)
	keys := []string{
		loopsKey(id), runKey(id), stateKey(id), metaKey(id), nodesKey(id), inKey(id), outKey(id), flyKey(id),
		timersKey(id), hostsKey(id), logsKey(id),
	}
	// The run itself goes last and at once: without it nobody could repeat this, and half of
	// it could be taken for a run.
	var steps []step
	if s.Run.Labels[cron.LabelCronWorkflow] != "" {
		// Who was about to submit it, and stood still for a while, must not do so now.
		steps = append(steps, command("set", goneKey(id), 1, "ex", int(goneFor.Seconds())))
	}
	steps = append(steps,
		call(r.conn.scripts.takename, []string{namesKey(s.Run.Namespace)}, s.Run.Name, id, ""),
		command("zrem", indexKey(s.Run.Namespace), id),
		command("zrem", dueKey(k), id),
		command("zrem", laterKey(k), id),
		command("hdel", takenKey(k), id),
		command("hdel", heldKey, id),
		command("zrem", garbageKey, id),
		call(r.conn.scripts.remove, keys))
	removal := len(steps) - 1
	steps = append(steps, command("publish", changedChannel(id), "deleted"))
	if s.State.Finished != 0 {
		steps = append(steps, command("zrem", keptKey(s.State.Phase), id))
	}
	done, err := r.conn.inOrder(ctx, steps...)
	locked := s.State.Locked
	if err == nil && !locked {
		// A turn may have asked for locks or a place since.
		var last workflow.State
		last, _, err = decodeState(done[removal].Val())
		locked = last.Locked
	}
	if err == nil && locked {
		err = NewLocks(r.conn).Drop(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("deleting run %s: %w", id, err)
	}
	return nil
}

// deleteLogs deletes the live logs of a run, which may be as many as it has steps.
func (r *Runs) deleteLogs(ctx context.Context, id string) error {
	for {
		some, err := r.conn.client.SRandMemberN(ctx, logsKey(id), 500).Result()
		if err != nil || len(some) == 0 {
			return err
		}
		names := make([]any, len(some))
		for i, name := range some {
			names[i] = name
		}
		pipe := r.conn.client.Pipeline()
		pipe.Unlink(ctx, some...) // before its name is forgotten: what was only half done is done again
		pipe.SRem(ctx, logsKey(id), names...)
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
	}
}
