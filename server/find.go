package server

import (
	"context"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"argosy/workflow"
)

// spot is where a node is in the tree.
type spot struct {
	branch
	parent *workflow.Node // nil of the root
	scope  *workflow.Node // the Steps or DAG node that it is of, if any
}

// from finds the node to start from: the root, or one by its name, id or pod name; nil: there
// is no such node.
func (l *lens) from(ctx context.Context, text string) (*spot, error) {
	root, err := l.root(ctx)
	if root == nil || err != nil {
		return nil, err
	}
	at := &spot{branch: branch{node: root}}
	if text == "" || text == l.r.Run.Name {
		return at, nil
	}
	if tail, ok := strings.CutPrefix(text, l.r.Run.Name); ok && strings.ContainsRune(".([", rune(tail[0])) {
		return l.byName(ctx, at, text)
	}
	return l.byHash(ctx, at, text)
}

func (at *spot) child(kid branch) *spot {
	return &spot{branch: kid, parent: at.node, scope: workflow.ScopeOf(kid.node, at.node, at.scope)}
}

// byName goes down from a node: a name tells the way, so that nothing else is read.
func (l *lens) byName(ctx context.Context, at *spot, name string) (*spot, error) {
	for {
		tail, ok := strings.CutPrefix(name, at.node.Key.Name(l.r.Run.Name))
		if !ok {
			return nil, nil
		}
		if tail == "" {
			return at, nil
		}
		var kids []branch
		c, err := l.plan.Children(at.node, at.parent)
		if err != nil {
			return nil, err
		}
		if at.parent != nil && chunked(at.parent) {
			kids = attempts(at.branch, tail)
		} else if i, ok := c.Place(tail); ok {
			if kids, err = l.below(ctx, at.node, at.parent, []int{i}); err != nil {
				return nil, err
			}
		}
		if len(kids) == 0 {
			return nil, nil
		}
		at = at.child(kids[0])
	}
}

// attempts finds the attempt of a chunked loop's item that has a tail for a name.
func attempts(item branch, tail string) []branch {
	for j, n := range item.attempts {
		if n.Key.Segment() == tail {
			return []branch{{place: j, node: n}}
		}
	}
	return nil
}

// byHash looks for a node by its id or pod name, which end in a hash of the node's name: it
// goes through the run in batches until it meets the name. Of a chunked loop it reads packed
// records and the items' values.
func (l *lens) byHash(ctx context.Context, root *spot, text string) (*spot, error) {
	hash, err := strconv.ParseUint(text[strings.LastIndexByte(text, '-')+1:], 10, 32)
	if err != nil {
		return nil, nil
	}
	run := l.r.Run.Name
	return l.search(ctx, root, func(template string, k workflow.Key) bool {
		name := k.Name(run)
		h := fnv.New32a()
		h.Write([]byte(name))
		return h.Sum32() == uint32(hash) && (workflow.NodeID(run, name) == text || workflow.PodName(run, template, k) == text)
	})
}

// search goes through what is below a node until is says that this is it.
func (l *lens) search(ctx context.Context, at *spot, is func(template string, k workflow.Key) bool) (*spot, error) {
	c, err := l.plan.Children(at.node, at.parent)
	if err != nil {
		return nil, err
	}
	if chunked(at.node) {
		return l.searchItems(ctx, at, c.Len(), is)
	}
	for start := 0; start < c.Len(); start += maxBatch {
		kids, err := l.below(ctx, at.node, at.parent, places(start, min(start+maxBatch, c.Len())))
		if err != nil {
			return nil, err
		}
		for _, kid := range kids {
			next := at.child(kid)
			if is(kid.node.Template, kid.node.Key) {
				return next, nil
			}
			if next, err = l.search(ctx, next, is); next != nil || err != nil {
				return next, err
			}
		}
	}
	return nil, nil
}

func (l *lens) searchItems(ctx context.Context, at *spot, count int, is func(template string, k workflow.Key) bool) (*spot, error) {
	loop := at.node
	for start := 0; start < count; start += scanBatch {
		batch := places(start, min(start+scanBatch, count))
		packed, err := l.store.Items(ctx, l.r.Run.ID, loop.Key, start, start+len(batch), func(*workflow.Packed, int) bool { return false })
		if err != nil {
			return nil, fmt.Errorf("reading items of run %s: %w", l.r.Run.ID, err)
		}
		items, err := l.open(ctx, loop, batch)
		if err != nil {
			return nil, err
		}
		for _, i := range batch {
			k := items.Key(i)
			attempt := -1
			for j := 0; items.Retries() && j < max(1, packed.Ran(i)) && attempt < 0; j++ {
				if is(loop.Template, k.Attempt(j)) {
					attempt = j
				}
			}
			if attempt < 0 && !is(loop.Template, k) {
				continue
			}
			kids, err := l.below(ctx, loop, at.parent, []int{i})
			if err != nil || len(kids) == 0 {
				return nil, err
			}
			item := at.child(kids[0])
			if attempt < 0 {
				return item, nil
			}
			if attempt < len(item.attempts) {
				return item.child(branch{place: attempt, node: item.attempts[attempt]}), nil
			}
		}
	}
	return nil, nil
}
