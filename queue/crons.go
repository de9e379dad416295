package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"argosy/workflow"
	"argosy/workflow/cron"
	"argosy/workflow/spec"
)

// Crons is what a coordinator does with CronWorkflows. They come due like runs, by an id that
// is none of a run, and wait for their next tick in later:
//
//	Objects.Put -> ring -> due -> Claim -> Load, Commit, .. -> Settle -> later -> due -> ..
//
// What is known of one is in the slot of its object. A commit is fenced by the versions of
// both: of any number of coordinators one commits a tick.
type Crons struct{ conn *Conn }

// NewCrons makes the side of coordinators.
func NewCrons(c *Conn) *Crons { return &Crons{c} }

const cronPrefix = "cron:"

// goneFor is how long a deleted run of a CronWorkflow cannot be submitted again.
const goneFor = time.Hour

// CronID is by what a CronWorkflow comes due.
func CronID(namespace, name string) string { return cronPrefix + namespace + "/" + name }

// Cron says which CronWorkflow the ticket is for, if it is for one.
func (t *Ticket) Cron() (namespace, name string, ok bool) {
	rest, ok := strings.CutPrefix(t.Run, cronPrefix)
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, "/")
}

// CronState is a CronWorkflow as it is at one moment.
type CronState struct {
	Cron  *spec.CronWorkflow // nil if it was deleted
	State cron.State
	Known bool // there is a state
	Now   workflow.Millis

	name            string
	namespace       string
	object, version int64
}

// Load reads a CronWorkflow.
func (c *Crons) Load(ctx context.Context, namespace, name string) (*CronState, error) {
	s := &CronState{namespace: namespace, name: name}
	objects, states, _ := schedulesKey(namespace)
	v, err := c.conn.run(ctx, c.conn.scripts.cronload, []string{objects, states}, name)
	if err == nil {
		err = s.decode(asList(v))
	}
	if err != nil {
		return nil, fmt.Errorf("loading cron workflow %s/%s: %w", namespace, name, err)
	}
	return s, nil
}

func (s *CronState) decode(answer []any) error {
	if len(answer) == 0 {
		return errors.New("malformed answer")
	}
	s.Now = workflow.Millis(asInt(answer[0]))
	// What is nil at the end of a Lua table is cut off.
	for i, into := range []func(*Object) error{
		func(o *Object) error { s.object = o.Version; return json.Unmarshal(o.JSON, &s.Cron) },
		func(o *Object) error { s.version, s.Known = o.Version, true; return json.Unmarshal(o.JSON, &s.State) },
	} {
		if i+1 >= len(answer) || answer[i+1] == nil {
			continue
		}
		o, err := decodeObject(s.namespace, s.name, asString(answer[i+1]))
		if err == nil {
			err = into(o)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Commit writes what was decided from what was loaded, once what that wanted is done, or with nil that
// nothing is kept any more: ErrFenced when the object or the state has changed since, or Redis has
// lost what was done.
func (c *Crons) Commit(ctx context.Context, s *CronState, state *cron.State) error {
	var data []byte
	if state != nil {
		var err error
		if data, err = json.Marshal(state); err != nil {
			return fmt.Errorf("encoding the state of cron workflow %s/%s: %w", s.namespace, s.name, err)
		}
	}
	objects, states, done := schedulesKey(s.namespace)
	count := int64(0)
	if s.State.Out != nil {
		// If Redis loses what was done, it loses this.
		var err error
		if count, err = c.conn.client.HIncrBy(ctx, done, s.name, 1).Result(); err != nil {
			return fmt.Errorf("noting what cron workflow %s/%s wanted: %w", s.namespace, s.name, err)
		}
	}
	v, err := c.conn.run(ctx, c.conn.scripts.croncommit, []string{objects, states, done}, s.name, s.object, s.version, data, count)
	if err == nil && asInt(v) != 1 {
		err = ErrFenced
	}
	if err != nil {
		return fmt.Errorf("committing cron workflow %s/%s: %w", s.namespace, s.name, err)
	}
	return nil
}

// States reads what is known of the CronWorkflows of a namespace, by name.
func (c *Crons) States(ctx context.Context, namespace string) (map[string]*cron.State, error) {
	_, states, _ := schedulesKey(namespace)
	all, err := c.conn.client.HGetAll(ctx, states).Result()
	if err != nil {
		return nil, fmt.Errorf("reading the states of cron workflows: %w", err)
	}
	out := make(map[string]*cron.State, len(all))
	for name, text := range all {
		o, err := decodeObject(namespace, name, text)
		s := &cron.State{}
		if err == nil {
			err = json.Unmarshal(o.JSON, s)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the state of cron workflow %s/%s: %w", namespace, name, err)
		}
		out[name] = s
	}
	return out, nil
}

// Fates finds what became of runs.
func (c *Crons) Fates(ctx context.Context, runs []string) (map[string]cron.Fate, error) {
	looks := make([]step, len(runs))
	for i, id := range runs {
		looks[i] = command("mget", runKey(id), stateKey(id))
	}
	fates := make(map[string]cron.Fate, len(runs))
	if len(runs) == 0 {
		return fates, nil
	}
	cmds, err := c.conn.together(ctx, looks...)
	if err != nil {
		return nil, fmt.Errorf("looking at %d runs: %w", len(runs), err)
	}
	for i, id := range runs {
		s, err := decodeHead(id, asList(cmds[i].Val()))
		switch {
		case errors.Is(err, ErrNotFound):
			fates[id] = cron.Fate{Gone: true}
		case err != nil:
			return nil, fmt.Errorf("looking at run %s: %w", id, err)
		default:
			fates[id] = cron.Fate{Phase: s.State.Phase, Finished: s.State.Finished}
		}
	}
	return fates, nil
}

// remind has every CronWorkflow looked at: a crash of one slot of a cluster may have lost when
// it was due.
func (c *Crons) remind(ctx context.Context) error {
	all, err := NewObjects(c.conn).Everywhere(ctx, spec.KindCronWorkflow)
	if err != nil {
		return err
	}
	var rings []step
	for _, o := range all {
		rings = append(rings, c.conn.ring(CronID(o.Namespace, o.Name)))
	}
	if len(rings) == 0 {
		return nil
	}
	if _, err := c.conn.together(ctx, rings...); err != nil {
		return fmt.Errorf("ringing for cron workflows: %w", err)
	}
	return nil
}

// Bar keeps a run from being submitted by SubmitOnce, and deletes it if it was.
func (r *Runs) Bar(ctx context.Context, id string) error {
	if err := r.conn.client.Do(ctx, "set", goneKey(id), 1, "ex", int(goneFor.Seconds())).Err(); err != nil {
		return fmt.Errorf("barring run %s: %w", id, err)
	}
	if err := r.Delete(ctx, id); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}

// SubmitOnce is Submit for a run whose id follows from what it is for: one that was submitted
// before is left alone, also when it is not there any more.
func (r *Runs) SubmitOnce(ctx context.Context, run *workflow.Run, specJSON []byte) error {
	created, err := r.submit(ctx, run, specJSON, func(record string) step {
		return call(r.conn.scripts.once, []string{runKey(run.ID), goneKey(run.ID)}, record)
	})
	if err != nil || asInt(created) == 1 {
		return err
	}
	_, err = r.conn.inOrder(ctx,
		command("zrem", indexKey(run.Namespace), run.ID),
		call(r.conn.scripts.takename, []string{namesKey(run.Namespace)}, run.Name, run.ID, ""))
	if err != nil {
		return fmt.Errorf("leaving run %s, which is gone: %w", run.ID, err)
	}
	return nil
}
