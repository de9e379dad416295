package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"argosy/workflow"
)

// The records of an archived run, as its keys in Redis have them:
//
//	head         {n: number of node records, h: hosts, l: keys of chunked loops}
//	run, state   as headKeys
//	spec         JSON
//	n KEY        a node
//	g:LOOP/B     packed records of a chunked loop, block B of archiveBlock items
//	x:LOOP/I     extra of item I
//
// LOOP is what the loop's keys in Redis end in.

const (
	archiveBlock = 64 << 10 // items: 768 KiB
	archiveScan  = 1000     // fields of a hash that are read at once
)

type archiveHead struct {
	Nodes int64             `json:"n"`
	Hosts map[string]string `json:"h,omitempty"`
	Loops []string          `json:"l,omitempty"`
}

// Dumped is a run as it was archived.
type Dumped struct {
	*Snapshot
	record string // of its state
}

// Dump hands all that there is of a run to add, in no order, and some of it perhaps twice. Unless
// the run is Pending it does nothing, and what it returns says so. ErrNotFound.
func (a *Archive) Dump(ctx context.Context, id string, add func(key string, value []byte) error) (*Dumped, error) {
	d, err := a.dump(ctx, id, add)
	if err != nil {
		return nil, fmt.Errorf("reading run %s for the archive: %w", id, err)
	}
	return d, nil
}

func (a *Archive) dump(ctx context.Context, id string, add func(key string, value []byte) error) (*Dumped, error) {
	values, err := a.conn.client.MGet(ctx, headKeys(id)...).Result()
	if err != nil {
		return nil, err
	}
	s, err := decodeHead(id, values)
	if err != nil {
		return nil, err
	}
	d := &Dumped{Snapshot: s, record: asString(values[1])}
	if s.State.Archiving != workflow.ArchivingPending {
		return d, nil
	}
	spec, err := a.conn.specs.Spec(ctx, s.Digest)
	if err != nil {
		return nil, err
	}
	hosts, err := a.conn.client.HGetAll(ctx, hostsKey(id)).Result()
	if err != nil {
		return nil, err
	}
	head := archiveHead{Hosts: hosts}
	if head.Nodes, err = a.conn.client.HLen(ctx, nodesKey(id)).Result(); err != nil {
		return nil, err
	}
	loops, err := a.conn.client.SMembers(ctx, loopsKey(id)).Result()
	if err != nil {
		return nil, err
	}
	slices.Sort(loops)
	for _, key := range loops {
		loop := strings.TrimPrefix(key, runTag(id))
		head.Loops = append(head.Loops, loop)
		dumped := a.dumpPacked
		if strings.HasPrefix(loop, "x:") {
			dumped = func(ctx context.Context, key, loop string, add func(string, []byte) error) error {
				return a.dumpHash(ctx, key, loop+"/", add)
			}
		}
		if err := dumped(ctx, key, loop, add); err != nil {
			return nil, err
		}
	}
	if err := a.dumpHash(ctx, nodesKey(id), "n ", add); err != nil {
		return nil, err
	}
	data, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	for key, value := range map[string][]byte{"head": data, "run": []byte(asString(values[0])), "state": []byte(d.record), "spec": spec} {
		if err := add(key, value); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (a *Archive) dumpHash(ctx context.Context, key, prefix string, add func(string, []byte) error) error {
	for cursor := uint64(0); ; {
		fields, next, err := a.conn.client.HScan(ctx, key, cursor, "", archiveScan).Result()
		if err != nil {
			return err
		}
		for i := 0; i+1 < len(fields); i += 2 {
			if err := add(prefix+fields[i], []byte(fields[i+1])); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

func (a *Archive) dumpPacked(ctx context.Context, key, loop string, add func(string, []byte) error) error {
	const size = archiveBlock * workflow.ItemSize
	for block := int64(0); ; block++ {
		data, err := a.conn.client.GetRange(ctx, key, block*size, (block+1)*size-1).Bytes()
		if err != nil {
			return err
		}
		if len(data) > 0 {
			err = add(blockKey(loop, int(block)), data)
		}
		if err != nil || len(data) < size {
			return err
		}
	}
}

func blockKey(loop string, block int) string { return loop + "/" + strconv.Itoa(block) }

// Table reads what Dump has handed out, by its keys.
type Table interface {
	// Get reads the values of keys; one that is not there is missing.
	Get(ctx context.Context, keys ...string) (map[string][]byte, error)
	// Below gives the records whose keys begin with a prefix to each, in some order.
	Below(ctx context.Context, prefix string, each func(key string, value []byte) error) error
}

// ArchivedRun is a run that is read from the archive.
type ArchivedRun struct {
	*Snapshot
	Spec  []byte // JSON
	table Table
	head  archiveHead
}

// OpenArchived reads an archived run.
func OpenArchived(ctx context.Context, id string, t Table) (*ArchivedRun, error) {
	values, err := t.Get(ctx, "head", "run", "state", "spec")
	if err != nil {
		return nil, fmt.Errorf("reading archived run %s: %w", id, err)
	}
	r := &ArchivedRun{table: t, Spec: values["spec"]}
	if err := json.Unmarshal(values["head"], &r.head); err != nil {
		return nil, fmt.Errorf("reading archived run %s: %w", id, err)
	}
	if r.Snapshot, err = decodeHead(id, []any{string(values["run"]), string(values["state"])}); err != nil {
		return nil, fmt.Errorf("reading archived run %s: %w", id, err)
	}
	r.State.Archiving, r.Archived = workflow.ArchivingPersisted, true
	return r, nil
}

// Few says whether the run has at most so many records of nodes.
func (r *ArchivedRun) Few(most int) bool { return r.head.Nodes <= int64(most) }

// Whole reads every node.
func (r *ArchivedRun) Whole(ctx context.Context) (map[workflow.Key]*workflow.Node, error) {
	nodes := make(map[workflow.Key]*workflow.Node, r.head.Nodes)
	err := r.table.Below(ctx, "n ", func(key string, value []byte) error {
		return addNode(nodes, workflow.Key(strings.TrimPrefix(key, "n ")), string(value))
	})
	if err != nil {
		return nil, fmt.Errorf("reading the nodes of archived run %s: %w", r.Run.ID, err)
	}
	return nodes, nil
}

// Nodes reads some nodes; nil: there is no such node.
func (r *ArchivedRun) Nodes(ctx context.Context, keys []workflow.Key) (map[workflow.Key]*workflow.Node, error) {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = "n " + string(k)
	}
	values, err := r.table.Get(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("reading nodes of archived run %s: %w", r.Run.ID, err)
	}
	nodes := make(map[workflow.Key]*workflow.Node, len(keys))
	for i, k := range keys {
		var data any
		if v, ok := values[names[i]]; ok {
			data = string(v)
		}
		if err := addNode(nodes, k, data); err != nil {
			return nil, fmt.Errorf("reading nodes of archived run %s: %w", r.Run.ID, err)
		}
	}
	return nodes, nil
}

// Items is as that of Runs.
func (r *ArchivedRun) Items(ctx context.Context, loop workflow.Key, from, to int, want func(*workflow.Packed, int) bool) (*workflow.Packed, error) {
	id := r.Run.ID
	failed := func(err error) error {
		return fmt.Errorf("reading items of loop %q of archived run %s: %w", loop, id, err)
	}
	packed := strings.TrimPrefix(packedKey(id, loop), runTag(id))
	var blocks []string
	for b := from / archiveBlock; b*archiveBlock < to; b++ {
		blocks = append(blocks, blockKey(packed, b))
	}
	values, err := r.table.Get(ctx, blocks...)
	if err != nil {
		return nil, failed(err)
	}
	p := &workflow.Packed{First: from, Hosts: hostList(r.head.Hosts)}
	skip := from % archiveBlock * workflow.ItemSize
	for _, b := range blocks {
		data := values[b]
		p.Records = append(p.Records, data[min(skip, len(data)):]...)
		skip = 0
	}
	p.Records = p.Records[:min(len(p.Records), (to-from)*workflow.ItemSize)]
	extras := strings.TrimPrefix(extrasKey(id, loop), runTag(id)) + "/"
	var with []int
	var keys []string
	for i := from; i < to; i++ {
		if p.HasExtra(i) && (want == nil || want(p, i)) {
			with, keys = append(with, i), append(keys, extras+strconv.Itoa(i))
		}
	}
	if len(with) == 0 {
		return p, nil
	}
	if values, err = r.table.Get(ctx, keys...); err != nil {
		return nil, failed(err)
	}
	p.Extras = make(map[int][]byte, len(with))
	for j, i := range with {
		p.Extras[i] = values[keys[j]]
	}
	return p, nil
}

// items are those of Items, and the run's hosts.
func (r *ArchivedRun) items(ctx context.Context, loop workflow.Key, from, to int) (*workflow.Packed, map[string]string, error) {
	p, err := r.Items(ctx, loop, from, to, nil)
	return p, r.head.Hosts, err
}

// Outputs is as that of Turns.
func (r *ArchivedRun) Outputs(ctx context.Context, loop workflow.Key) (map[int][]byte, error) {
	prefix := strings.TrimPrefix(extrasKey(r.Run.ID, loop), runTag(r.Run.ID)) + "/"
	extras := map[int][]byte{}
	err := r.table.Below(ctx, prefix, func(key string, value []byte) error {
		i, err := strconv.Atoi(strings.TrimPrefix(key, prefix))
		extras[i] = value
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the outputs of loop %q of archived run %s: %w", loop, r.Run.ID, err)
	}
	return extras, nil
}

// hostList is a run's hosts by the positions that item records name.
func hostList(hosts map[string]string) []string {
	list := make([]string, len(hosts))
	for host, at := range hosts {
		if i, err := strconv.Atoi(at); err == nil && i >= 1 && i <= len(list) {
			list[i-1] = host
		}
	}
	return list
}
