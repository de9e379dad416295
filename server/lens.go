package server

import (
	"context"
	"fmt"
	"slices"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// lens looks at the nodes of one run and reads no more of them than it looks at. The tree is
// known from the spec and from the nodes above: see workflow.Children.
type lens struct {
	store Source
	r     *Record
	plan  *workflow.Plan
	// want leaves out items of chunked loops that are in other phases; nil wants all.
	want map[spec.NodePhase]bool
	// cost is what was read so far; an item's packed record is one.
	cost int
	// batch is how many children are read at once.
	batch int

	working map[workflow.Key]map[int]bool // see inHand
}

const (
	recordCost = 20 // of a node's record, or of an item that is opened
	maxBatch   = 500
	scanBatch  = 10_000 // packed records that are read at once to look for some
	maxGap     = 500    // packed records that are read along rather than asked for apart
)

func (s *Service) lens(ctx context.Context, r *Record) (*lens, error) {
	plan, err := s.plan(ctx, r)
	if err != nil {
		return nil, err
	}
	return &lens{store: s.source(r), r: r, plan: plan, batch: maxBatch, working: map[workflow.Key]map[int]bool{}}, nil
}

// branch is a child of a node.
type branch struct {
	place    int
	node     *workflow.Node
	attempts []*workflow.Node // of an item of a chunked loop, which come with it
}

// records reads records by their keys.
func (l *lens) records(ctx context.Context, keys []workflow.Key) (map[workflow.Key]*workflow.Node, error) {
	out := make(map[workflow.Key]*workflow.Node, len(keys))
	if l.r.Complete {
		for _, k := range keys {
			out[k] = l.r.Nodes[k]
		}
		return out, nil
	}
	l.cost += recordCost * len(keys)
	for some := range slices.Chunk(keys, maxBatch) {
		got, err := l.store.Nodes(ctx, l.r.Run.ID, some)
		if err != nil {
			return nil, fmt.Errorf("reading nodes of run %s: %w", l.r.Run.ID, err)
		}
		for k, n := range got {
			out[k] = n
		}
	}
	return out, nil
}

// root is the run's root node; nil: it has none yet.
func (l *lens) root(ctx context.Context) (*workflow.Node, error) {
	nodes, err := l.records(ctx, []workflow.Key{workflow.Root})
	return nodes[workflow.Root], err
}

func chunked(n *workflow.Node) bool { return n.Loop != nil && n.Loop.Chunks != nil }

// below reads the children of a node at some places, in order; there may be none at a place.
func (l *lens) below(ctx context.Context, n, parent *workflow.Node, places []int) ([]branch, error) {
	if len(places) == 0 {
		return nil, nil
	}
	if chunked(n) {
		return l.items(ctx, n, places)
	}
	c, err := l.plan.Children(n, parent)
	if err != nil {
		return nil, err
	}
	var needs []workflow.Key
	for _, i := range places {
		needs = append(needs, c.Needs(i, i+1)...)
	}
	blocks, err := l.records(ctx, slices.Compact(needs))
	if err != nil {
		return nil, err
	}
	keys := make([]workflow.Key, len(places))
	for j, i := range places {
		keys[j] = c.Key(i, blocks)
	}
	nodes, err := l.records(ctx, keys)
	if err != nil {
		return nil, err
	}
	var out []branch
	for j, k := range keys {
		if child := nodes[k]; child != nil {
			out = append(out, branch{place: places[j], node: child})
		}
	}
	return out, nil
}

// items opens items of a chunked loop. One that has not ended is in a chunk that a worker has
// or waits for.
func (l *lens) items(ctx context.Context, loop *workflow.Node, places []int) ([]branch, error) {
	inHand, err := l.inHand(ctx, loop.Key)
	if err != nil {
		return nil, err
	}
	var out []branch
	for len(places) > 0 {
		n := 1
		for n < len(places) && places[n]-places[n-1] <= maxGap {
			n++
		}
		group := places[:n]
		places = places[n:]
		asked := make(map[int]bool, len(group))
		for _, i := range group {
			asked[i] = !loop.Loop.Waits(i)
		}
		want := func(p *workflow.Packed, i int) bool { return asked[i] && l.wants(p, i) }
		first, end := group[0], group[n-1]+1
		packed, err := l.store.Items(ctx, l.r.Run.ID, loop.Key, first, end, want)
		if err != nil {
			return nil, fmt.Errorf("reading items of run %s: %w", l.r.Run.ID, err)
		}
		l.cost += end - first
		running := map[int]bool{}
		for i := range inHand { // which may have ended meanwhile
			for i >= first && i < end && packed.Has(i) {
				i++
			}
			running[i] = true
		}
		group = slices.DeleteFunc(slices.Clone(group), func(i int) bool { return !want(packed, i) })
		l.cost += recordCost * len(group)
		items, err := l.open(ctx, loop, group)
		if err != nil {
			return nil, err
		}
		for _, i := range group {
			nodes, err := items.Nodes(packed, i)
			if err != nil {
				return nil, err
			}
			if leaf := nodes[len(nodes)-1]; running[i] && leaf.Phase == spec.NodePending {
				leaf.Phase = spec.NodeRunning
			}
			out = append(out, branch{place: i, node: nodes[0], attempts: nodes[1:]})
		}
	}
	return out, nil
}

// wants says that an item of a chunked loop, or an attempt of it, may be in a phase that is
// wanted.
func (l *lens) wants(p *workflow.Packed, i int) bool {
	if l.want == nil || p.Ran(i) > 1 {
		return true
	}
	if phase := p.Phase(i); phase != "" {
		return l.want[phase] || l.want[spec.NodeSkipped] && p.TakenOver(i)
	}
	return l.want[spec.NodePending] || l.want[spec.NodeRunning] || l.want[spec.NodeError] && l.r.State.Finished != 0
}

// open prepares to open items of a chunked loop.
func (l *lens) open(ctx context.Context, loop *workflow.Node, places []int) (*workflow.Items, error) {
	needs := workflow.ItemNeeds(loop, 0, 0)
	for _, i := range places {
		needs = append(needs, workflow.ItemNeeds(loop, i, i+1)[1:]...)
	}
	records, err := l.records(ctx, slices.Compact(needs))
	if err != nil {
		return nil, err
	}
	return l.plan.Items(l.r.Run, loop, records)
}

// inHand are the items of a chunked loop that workers are at: the first of each chunk that
// is held which has no result, as far as the run knows.
func (l *lens) inHand(ctx context.Context, loop workflow.Key) (map[int]bool, error) {
	if at, ok := l.working[loop]; ok {
		return at, nil
	}
	var keys []workflow.Key
	for k, held := range l.r.Held {
		if of, ok := k.Parent(); held && ok && of == loop && k.IsChunk() {
			keys = append(keys, k)
		}
	}
	chunks, err := l.records(ctx, keys)
	if err != nil {
		return nil, err
	}
	at := map[int]bool{}
	for _, n := range chunks {
		if n != nil && n.Chunk != nil {
			at[n.Chunk.Done] = true
		}
	}
	l.working[loop] = at
	return at, nil
}

// places are those from a to b.
func places(a, b int) []int {
	out := make([]int, 0, max(0, b-a))
	for i := a; i < b; i++ {
		out = append(out, i)
	}
	return out
}

// visit is called with a node, the places that lead to it and the scope that it is of, and
// says whether to go on.
type visit func(at []int, n, parent, scope *workflow.Node) bool

// walk visits what is below a node, in the order of the tree and from a position on. When it
// ends early it returns the position to go on from; that is empty when all was visited.
func (l *lens) walk(ctx context.Context, n, parent, scope *workflow.Node, at, from []int, most int, v visit) ([]int, error) {
	c, err := l.plan.Children(n, parent)
	if err != nil {
		return nil, err
	}
	start := 0
	if len(from) > 0 {
		start = from[0]
	}
	if len(from) > 1 {
		kids, err := l.below(ctx, n, parent, places(start, min(start+1, c.Len())))
		if err != nil {
			return nil, err
		}
		for _, kid := range kids {
			of := workflow.ScopeOf(kid.node, n, scope)
			if next, err := l.into(ctx, kid, n, of, append(slices.Clip(at), start), from[1:], most, v); len(next) > 0 || err != nil {
				return next, err
			}
		}
		start++
	}
	size := l.batch
	if l.want != nil && chunked(n) {
		size = scanBatch
	}
	for start < c.Len() {
		end := min(start+size, c.Len())
		kids, err := l.below(ctx, n, parent, places(start, end))
		if err != nil {
			return nil, err
		}
		for _, kid := range kids {
			place := append(slices.Clip(at), kid.place)
			of := workflow.ScopeOf(kid.node, n, scope)
			if !v(place, kid.node, n, of) {
				return place, nil
			}
			if next, err := l.into(ctx, kid, n, of, place, nil, most, v); len(next) > 0 || err != nil {
				return next, err
			}
		}
		if start = end; l.cost >= most {
			return append(slices.Clip(at), start), nil
		}
	}
	return nil, nil
}

// into walks what is below a child, which is at a position.
func (l *lens) into(ctx context.Context, kid branch, parent, scope *workflow.Node, at, from []int, most int, v visit) ([]int, error) {
	if parent == nil || !chunked(parent) {
		return l.walk(ctx, kid.node, parent, scope, at, from, most, v)
	}
	start := 0
	if len(from) > 0 {
		start = from[0]
	}
	for j := start; j < len(kid.attempts); j++ {
		if place := append(slices.Clip(at), j); !v(place, kid.attempts[j], kid.node, scope) {
			return place, nil
		}
	}
	return nil, nil
}
