package workflow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"argosy/workflow/spec"
)

// What follows lets others look at a part of a run, without its other nodes: which children a
// node can have is known from its own record and the spec.

// Children are what hangs below a node. Each has a place, from 0 on, in the order of the tree.
// One that has not started has no record.
type Children struct {
	node *Node
	site *call // of a loop
	keys []Key // of a Steps or DAG node, and the hooks of any
	n    int
}

// Children are those of a node; parent is the one above it.
func (p *Plan) Children(n, parent *Node) (*Children, error) {
	c := &Children{node: n}
	tmpl := p.templates[n.Template]
	switch {
	case n.Loop != nil:
		if parent == nil || p.templates[parent.Template] == nil {
			return nil, fmt.Errorf("loop %q is below no template", n.Key)
		}
		c.site, c.n = p.callBelow(parent.Template, n.Key.Segment()), n.Loop.Next
		return c, nil
	case n.Retry != nil:
		for i := range n.Retry.Attempts {
			c.keys = append(c.keys, n.Key.Attempt(i))
		}
	case n.Steps == nil && n.DAG == nil:
	case tmpl == nil:
		return nil, fmt.Errorf("node %q is of template %q, which the spec does not have", n.Key, n.Template)
	default:
		for g := range tmpl.Steps {
			for i := range tmpl.Steps[g].Steps {
				c.keys = append(c.keys, n.Key.Step(g, tmpl.Steps[g].Steps[i].Name))
			}
		}
		if tmpl.DAG != nil {
			for i := range tmpl.DAG.Tasks {
				c.keys = append(c.keys, n.Key.Task(tmpl.DAG.Tasks[i].Name))
			}
		}
	}
	if n.Hooks != nil {
		for _, name := range n.Hooks.Fired {
			c.keys = append(c.keys, n.Key.Hook(name))
		}
		if n.Hooks.Exit {
			c.keys = append(c.keys, n.Key.Hook(spec.ExitLifecycleEvent))
		}
	}
	c.n = len(c.keys)
	return c, nil
}

// Len is the number of places.
func (c *Children) Len() int { return c.n }

// Needs are the records that Key takes for the places [from, to).
func (c *Children) Needs(from, to int) []Key {
	if c.node.Loop == nil {
		return nil
	}
	return c.node.Loop.blocks(c.node.Key, from, to)
}

// Key is the key of the child at a place; needs has the records that Needs names.
func (c *Children) Key(i int, needs map[Key]*Node) Key {
	if c.keys != nil {
		return c.keys[i]
	}
	return itemKey(c.node.Key, i, c.node.Loop.item(c.site, i, func(b int) *Node { return needs[blockKey(c.node.Key, b)] }))
}

// Place finds the place of a child from the part that its name adds to the node's, and what
// more may follow in it: (17:value), [0].step or .task; false: there is none.
func (c *Children) Place(tail string) (int, bool) {
	if c.keys == nil {
		digits, ok := strings.CutPrefix(tail, "(")
		if end := strings.IndexAny(digits, ":)"); ok && end > 0 {
			i, err := strconv.Atoi(digits[:end])
			return i, err == nil && i >= 0 && i < c.n
		}
		return 0, false
	}
	for i, k := range c.keys {
		rest, ok := strings.CutPrefix(tail, segmentName(k.Segment()))
		if ok && (rest == "" || strings.ContainsRune(".([", rune(rest[0]))) {
			return i, true
		}
	}
	return 0, false
}

// ScopeOf is the Steps or DAG node that a child of a node is of; scope is the node's own. A hook
// is of the same as the node that has it.
func ScopeOf(child, n, scope *Node) *Node {
	if _, hook := child.Key.hook(); !hook && (n.Steps != nil || n.DAG != nil) {
		return n
	}
	return scope
}

// Bad says where items of a loop are that Failed or ended as Error: none before the first, and
// one at the last; false: there are none.
func (c *Children) Bad() (first, last int, ok bool) {
	l := c.node.Loop
	if l.Failed != "" && c.site.continueOn == nil {
		first = l.First
	}
	return first, l.Last, l.Phase != ""
}

// Waits says that an item was launched and returned, and is not on its way now.
func (l *LoopState) Waits(i int) bool {
	return l.Chunks != nil && slices.ContainsFunc(l.Chunks.Back, func(r [2]int) bool { return r[0] <= i && i < r[1] })
}

// LoopCounts say how far a loop got, in items.
type LoopCounts struct {
	Items     int `json:"items"`
	Waiting   int `json:"waiting,omitempty"` // not launched
	Active    int `json:"active,omitempty"`  // launched and not ended
	Succeeded int `json:"succeeded,omitempty"`
	Failed    int `json:"failed,omitempty"`
	Errors    int `json:"errors,omitempty"`
	Skipped   int `json:"skipped,omitempty"`
}

// NodesCut is the type of the condition of a run whose nodes are not all in its status, and
// LoopsAnnotation holds those of its loops then that are cut: a JSON list of Loop.
const (
	NodesCut        spec.ConditionType = "NodesCut"
	LoopsAnnotation string             = "argosy.dev/loops"
)

// Loop is how far a loop got of which some items are shown.
type Loop struct {
	Name     string         `json:"name"` // what the names of its items begin with, up to (index:value)
	Template string         `json:"template,omitempty"`
	Phase    spec.NodePhase `json:"phase"`
	LoopCounts
}

// Ended is how many items have ended.
func (c *LoopCounts) Ended() int { return c.Items - c.Waiting - c.Active }

// Counts counts a loop's items.
func (l *LoopState) Counts() LoopCounts {
	c := LoopCounts{Items: l.Count, Waiting: l.left(), Active: l.Running, Succeeded: l.Succeeded, Failed: l.Bad, Errors: l.Errors}
	c.Skipped = c.Items - c.Waiting - c.Active - c.Succeeded - c.Failed - c.Errors
	return c
}

// Item is the place in its loop of an item with the key.
func (k Key) Item() int { return itemIndex(k) }

// Ran is how many leaves of an item were run, at most 255.
func (p *Packed) Ran(i int) int {
	if r := p.at(i); r != nil {
		return int(r[1])
	}
	return 0
}

// Nodes are the nodes of item i: as it ended, or, if it has not, as it is while it waits for
// its turn in a chunk.
func (it *Items) Nodes(p *Packed, i int) ([]*Node, error) {
	r, err := it.Unpack(p, i)
	if err != nil {
		return nil, err
	}
	if r == nil {
		r = it.Begin(i, it.loop.Started)
	}
	return r.Nodes(), nil
}

// Retries says that items have attempts.
func (it *Items) Retries() bool { return it.tmpl.RetryStrategy != nil }

// Leaf is the leaf with a key, of an item that has not ended, as its worker runs it; nil: the
// item has no such leaf.
func (it *Items) Leaf(i int, k Key) *Node {
	r := it.Begin(i, it.loop.Started)
	if attempt, ok := attemptIndex(k); ok && r.leaf != nil && r.node.Retry != nil {
		if limit := r.node.Retry.Limit; limit != nil && attempt > *limit {
			return nil
		}
		r.node.Retry.Attempts = attempt
		r.attempt()
	}
	if r.leaf == nil || r.leaf.Key != k {
		return nil
	}
	return r.leaf
}

// ItemOf finds in the key of a leaf the loop whose item it is, or an attempt of one, and the
// item's place; false: it is neither.
func ItemOf(k Key) (loop Key, i int, ok bool) {
	if _, attempt := attemptIndex(k); attempt {
		k, _ = k.Parent()
	}
	if s := k.Segment(); !strings.HasPrefix(s, "(") || !strings.Contains(s, ":") {
		return "", 0, false
	}
	loop, ok = k.Parent()
	return loop, itemIndex(k), ok
}
