package simulate

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"argosy/queue"
	"argosy/queue/queuesim"
	"argosy/workflow"
)

// itemsWatch has, by item of a chunked loop, the delivery whose report of it was accepted.
type itemsWatch map[int]string

// reportsItems looks at a pack of items that was accepted, perhaps for a second time.
func (v *watch) reportsItems(r *runWatch, c *queuesim.Command) {
	r.moved = v.w.now
	r.gets(v.w.now)
	k := v.fenced(r, c)
	var e workflow.Event
	if err := json.Unmarshal([]byte(c.Args[6]), &e); err != nil || e.Items == nil {
		v.violated("events can be read", "%s: %v", c.Args[6], err)
		return
	}
	loop, _ := k.Parent()
	if r.items[loop] == nil {
		r.items[loop] = itemsWatch{}
	}
	by := c.Args[1] + " of " + c.Args[2]
	for i := e.Items.From; i < e.Items.To; i++ {
		if before, twice := r.items[loop][i]; twice && before != by {
			v.violated("one result for each node", "item %d of %s was reported by delivery %s, after %s", i, nodeName(r.id, loop), by, before)
		}
		r.items[loop][i] = by
	}
	if e.Items.End {
		delete(r.holder, k)
	}
}

// itemsKept holds what an ended run counted of items against what was accepted and is kept.
func (v *watch) itemsKept(r *runWatch) {
	for _, loop := range sorted(r.items) {
		packed := v.w.packed(r.id, loop)
		for _, i := range slices.Sorted(maps.Keys(r.items[loop])) {
			if !packed.Has(i) {
				v.violated("no accepted result is lost", "item %d of %s was reported, and has no record", i, nodeName(r.id, loop))
			}
		}
		n, err := workflow.DecodeNode(loop, []byte(v.w.server.Field("{r:"+r.id+"}:nodes", string(loop))))
		if err != nil {
			v.violated("commits can be read", "%v", err)
			continue
		}
		if ended := n.Loop.Chunks.Ended; ended != len(r.items[loop]) {
			v.violated("no accepted result is lost", "%d items of %s were reported, and %d counted", len(r.items[loop]), nodeName(r.id, loop), ended)
		}
	}
}

// packed reads what Redis has of a chunked loop's items.
func (w *world) packed(run string, loop workflow.Key) *workflow.Packed {
	records, extras := queue.ItemKeys(run, loop)
	p := &workflow.Packed{Records: []byte(w.server.Text(records)), Extras: map[int][]byte{}}
	for _, f := range w.server.Fields(extras) {
		if i, err := strconv.Atoi(f); err == nil {
			p.Extras[i] = []byte(w.server.Field(extras, f))
		}
	}
	return p
}

// spread gives the items of chunked loops nodes of their own, as those of other loops have.
// poisoned: workers died too often with one.
func (w *world) spread(j *job, nodes map[workflow.Key]*workflow.Node) (poisoned bool, err error) {
	run, plan, err := j.compile()
	if err != nil {
		return false, err
	}
	for _, k := range sorted(nodes) {
		loop := nodes[k]
		if loop.Loop == nil || loop.Loop.Chunks == nil {
			continue
		}
		items, err := plan.Items(run, loop, nodes)
		if err != nil {
			return false, err
		}
		packed := w.packed(j.id, k)
		for i := range loop.Loop.Count {
			item, err := items.Unpack(packed, i)
			if err != nil || item == nil {
				if err == nil {
					continue
				}
				return false, fmt.Errorf("reading item %d of %s: %w", i, nodeName(j.id, k), err)
			}
			for _, n := range item.Nodes() {
				poisoned = poisoned || n.Class == "poison"
				nodes[n.Key] = n
			}
		}
	}
	for _, k := range sorted(nodes) {
		if nodes[k].Call != nil {
			delete(nodes, k)
		}
	}
	return poisoned, nil
}

// forget forgets a node that is gone, or runs again.
func (r *runWatch) forget(k workflow.Key) {
	delete(r.nodes, k)
	delete(r.accepted, k)
	delete(r.holder, k)
	delete(r.claims, k)
}

// forgetItems forgets the items of a chunked loop that has records under a key.
func (r *runWatch) forgetItems(key string) {
	for loop := range r.items {
		if records, _ := queue.ItemKeys(r.id, loop); records == key {
			delete(r.items, loop)
		}
	}
}
