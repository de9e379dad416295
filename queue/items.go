package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"argosy/workflow"
)

// Chunk is what a worker needs to run a chunk that it has claimed.
type Chunk struct {
	Loop *workflow.Node
	// Needs are the records that opening the chunk's items takes: workflow.ItemNeeds.
	Needs map[workflow.Key]*workflow.Node
	// Recorded are the items' records that an earlier delivery left.
	Recorded workflow.Packed
	// HostIndex is the position of the worker's host in the run's list, 0 if it is full.
	HostIndex byte
}

// Chunk reads what running a claimed chunk takes. host is where the worker is.
func (t *Tasks) Chunk(ctx context.Context, d Delivery, chunk *workflow.ChunkState, host string) (*Chunk, error) {
	loop, _ := d.Key.Parent()
	call := workflow.ItemNeeds(&workflow.Node{Key: loop, Loop: &workflow.LoopState{}}, 0, 0)[0]
	v, err := t.conn.run(ctx, t.conn.scripts.chunk, []string{nodesKey(d.Run), packedKey(d.Run, loop), hostsKey(d.Run)},
		string(loop), string(call), chunk.From*workflow.ItemSize, chunk.To*workflow.ItemSize-1, host)
	if err != nil {
		return nil, fmt.Errorf("reading chunk %s: %w", d.ID(), err)
	}
	answer := asList(v)
	if len(answer) != 4 {
		return nil, fmt.Errorf("reading chunk %s: %w", d.ID(), ErrNotFound) // the run was deleted
	}
	c := &Chunk{
		Recorded:  workflow.Packed{First: chunk.From, Records: []byte(asString(answer[2]))},
		HostIndex: byte(asInt(answer[3])),
	}
	head := map[workflow.Key]*workflow.Node{}
	for i, k := range []workflow.Key{loop, call} {
		if err := addNode(head, k, answer[i]); err != nil {
			return nil, fmt.Errorf("reading chunk %s: %w", d.ID(), err)
		}
	}
	c.Loop = head[loop]
	if c.Needs, err = t.conn.nodes(ctx, d.Run, workflow.ItemNeeds(c.Loop, chunk.From, chunk.To)[1:]); err != nil {
		return nil, fmt.Errorf("reading the items of chunk %s: %w", d.ID(), err)
	}
	for k, n := range c.Needs {
		if n == nil { // it was deleted meanwhile
			return nil, fmt.Errorf("reading %q of chunk %s: %w", k, d.ID(), ErrNotFound)
		}
	}
	c.Needs[call] = head[call]
	return c, nil
}

// ReportItems hands in how the next items of a chunk ended, and rings for its run. The
// delivery goes on until a pack whose Tally says that it is over. ErrFenced as for Report, and when
// Redis lost an earlier report of the chunk.
func (t *Tasks) ReportItems(ctx context.Context, d Delivery, p *workflow.Pack) error {
	event, err := json.Marshal(workflow.Event{Kind: workflow.EventItems, Key: d.Key, Items: &p.Tally})
	if err != nil {
		return fmt.Errorf("encoding the items of delivery %s: %w", d.ID(), err)
	}
	loop, _ := d.Key.Parent()
	args := append(make([]any, 0, 9+2*len(p.Extras)),
		string(d.Key), d.Number, t.worker, p.First, p.Records, p.End, event, workflow.ItemSize, p.Stopped)
	for _, i := range slices.Sorted(maps.Keys(p.Extras)) { // the simulator repeats what happened
		args = append(args, i, p.Extras[i])
	}
	keys := []string{flyKey(d.Run), inKey(d.Run), packedKey(d.Run, loop), extrasKey(d.Run, loop)}
	return t.report(ctx, d, call(t.conn.scripts.items, keys, args...))
}

// Outputs reads the extras of a chunked loop's items, by item.
func (t *Turns) Outputs(ctx context.Context, run string, loop workflow.Key) (map[int][]byte, error) {
	all, err := t.conn.client.HGetAll(ctx, extrasKey(run, loop)).Result()
	if err != nil {
		return nil, fmt.Errorf("reading the outputs of loop %q of run %s: %w", loop, run, err)
	}
	extras := make(map[int][]byte, len(all))
	for item, x := range all {
		i, err := strconv.Atoi(item)
		if err != nil {
			return nil, fmt.Errorf("reading the outputs of loop %q of run %s: %w", loop, run, err)
		}
		extras[i] = []byte(x)
	}
	return extras, nil
}

// Items reads the records of the items [from, to) of a chunked loop, with the extras of those
// that are wanted; nil wants all.
func (r *Runs) Items(ctx context.Context, id string, loop workflow.Key, from, to int, want func(*workflow.Packed, int) bool) (*workflow.Packed, error) {
	pipe := r.conn.client.TxPipeline()
	records := pipe.GetRange(ctx, packedKey(id, loop), int64(from*workflow.ItemSize), int64(to*workflow.ItemSize-1))
	hosts := pipe.HGetAll(ctx, hostsKey(id))
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("reading items of loop %q of run %s: %w", loop, id, err)
	}
	p := &workflow.Packed{First: from, Records: []byte(records.Val()), Hosts: hostList(hosts.Val())}
	var with []int
	var fields []string
	for i := from; i < to; i++ {
		if p.HasExtra(i) && (want == nil || want(p, i)) {
			with, fields = append(with, i), append(fields, strconv.Itoa(i))
		}
	}
	if len(with) == 0 {
		return p, nil
	}
	values, err := r.conn.client.HMGet(ctx, extrasKey(id, loop), fields...).Result()
	if err != nil {
		return nil, fmt.Errorf("reading items of loop %q of run %s: %w", loop, id, err)
	}
	p.Extras = make(map[int][]byte, len(with))
	for j, i := range with {
		p.Extras[i] = []byte(asString(values[j]))
	}
	return p, nil
}
