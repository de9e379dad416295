package tree

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// item is a line-to-be: a node, or a loop of a step group, which has no node of its own.
type item struct {
	node     *spec.NodeStatus // nil for such a loop
	label    string
	children []*item
	loop     bool // children are the items of a loop
	group    int  // index of the step group, -1 outside of steps
	index    int  // index of a loop item or attempt, -1 otherwise
	after    int  // how many nodes it comes after, along the longest way
	// cut is a loop of which only some items are there: it says how far it got.
	cut *workflow.Loop
}

// cutLoops are the loops of a run of which only some items are in its status, by name.
func cutLoops(wf *spec.Workflow) map[string]*workflow.Loop {
	var list []workflow.Loop
	if json.Unmarshal([]byte(wf.Annotations[workflow.LoopsAnnotation]), &list) != nil {
		return nil // there is none
	}
	loops := make(map[string]*workflow.Loop, len(list))
	for i := range list {
		loops[list[i].Name] = &list[i]
	}
	return loops
}

// build makes the tree from the nodes' names. Argo's children links are a graph (what runs
// after what) and do not nest; names do.
func build(wf *spec.Workflow) *item {
	byName := make(map[string]*item, len(wf.Status.Nodes))
	for _, n := range wf.Status.Nodes {
		byName[n.Name] = &item{node: &n, label: OneLine(n.DisplayName), group: -1, index: -1}
	}
	root := byName[wf.Name]
	if root == nil {
		return nil
	}
	for name, it := range byName {
		if it == root {
			continue
		}
		parent := enclosing(name, byName, root)
		tail := strings.TrimPrefix(name, parent.node.Name)
		if _, index, ok := cutIndex(tail); ok {
			it.index = index
		}
		if it.label == "" {
			it.label = OneLine(tail)
		}
		parent.children = append(parent.children, it)
	}
	order(wf, byName)
	loops := cutLoops(wf)
	tidy(root, loops)
	return root
}

// order numbers the items by what they hang from: start times have seconds only, too few to
// tell what came first.
func order(wf *spec.Workflow, byName map[string]*item) {
	hangs := make(map[string]int, len(wf.Status.Nodes)) // nodes that a node still has to come after
	for _, n := range wf.Status.Nodes {
		for _, id := range n.Children {
			hangs[id]++
		}
	}
	var ready []string
	for id := range wf.Status.Nodes {
		if hangs[id] == 0 {
			ready = append(ready, id)
		}
	}
	for len(ready) > 0 {
		n := wf.Status.Nodes[ready[0]]
		ready = ready[1:]
		for _, id := range n.Children {
			child := wf.Status.Nodes[id]
			if it := byName[child.Name]; it != nil {
				it.after = max(it.after, byName[n.Name].after+1)
			}
			if hangs[id]--; hangs[id] == 0 {
				ready = append(ready, id)
			}
		}
	}
}

// cutIndex takes the end off the name of a loop item, (3:value), or of an attempt, (0).
func cutIndex(name string) (before string, index int, ok bool) {
	before, rest, _ := strings.Cut(name, "(")
	digits, _, valued := strings.Cut(rest, ":")
	if !valued {
		digits = strings.TrimSuffix(rest, ")")
	}
	index, err := strconv.Atoi(digits)
	return before, index, err == nil && strings.HasSuffix(name, ")")
}

// enclosing finds the node with the longest name that the name goes on from.
func enclosing(name string, byName map[string]*item, root *item) *item {
	for i := len(name) - 1; i > 0; i-- {
		if c := name[i]; c != '.' && c != '(' && c != '[' {
			continue
		}
		if p := byName[name[:i]]; p != nil {
			return p
		}
	}
	return root
}

// tidy sorts what is below an item, dissolves step groups and gathers loops.
func tidy(it *item, loops map[string]*workflow.Loop) {
	var children []*item
	for _, c := range it.children {
		tidy(c, loops)
		if c.node.Type == spec.NodeTypeStepGroup {
			g, err := strconv.Atoi(strings.Trim(c.node.Name[strings.LastIndexByte(c.node.Name, '['):], "[]"))
			if err != nil {
				g = 0
			}
			for _, step := range c.children {
				step.group = g
				children = append(children, step)
			}
			continue
		}
		children = append(children, c)
	}
	it.children = gather(children, loops)
	if it.node != nil {
		it.loop, it.cut = it.node.Type == spec.NodeTypeTaskGroup, loops[it.node.Name]
		if only := it.children; it.node.Type == spec.NodeTypeRetry && len(only) == 1 {
			// One attempt says nothing that its node does not, but what went wrong.
			if it.node.Message == "" {
				it.node.Message = only[0].node.Message
			}
			it.children = only[0].children
		}
	}
	slices.SortFunc(it.children, func(a, b *item) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.index, b.index),
			cmp.Compare(a.started(), b.started()), cmp.Compare(a.after, b.after), cmp.Compare(a.label, b.label))
	})
}

// gather puts the items of a loop of a step group below one item.
func gather(children []*item, cut map[string]*workflow.Loop) []*item {
	loops := map[string]*item{}
	var out []*item
	for _, c := range children {
		name, _, ok := cutIndex(c.label)
		if !ok || c.group < 0 || c.index < 0 {
			out = append(out, c)
			continue
		}
		key := strconv.Itoa(c.group) + name
		l := loops[key]
		if l == nil {
			l = &item{label: name, loop: true, group: c.group, index: -1}
			before, _, _ := cutIndex(c.node.DisplayName)
			l.cut = cut[strings.TrimSuffix(c.node.Name, c.node.DisplayName)+before]
			loops[key] = l
			out = append(out, l)
		}
		l.children = append(l.children, c)
	}
	for _, l := range loops {
		slices.SortFunc(l.children, func(a, b *item) int { return cmp.Compare(a.index, b.index) })
	}
	return out
}

// phase is the node's, or what the items of a loop add up to.
func (it *item) phase() spec.NodePhase {
	if it.node != nil {
		return it.node.Phase
	}
	if it.cut != nil {
		return it.cut.Phase
	}
	worst := spec.NodeSucceeded
	for _, c := range it.children {
		switch p := c.phase(); {
		case !p.Fulfilled():
			return spec.NodeRunning
		case p == spec.NodeError, p == spec.NodeFailed && worst != spec.NodeError:
			worst = p
		}
	}
	return worst
}

func (it *item) started() int64 {
	if it.node != nil {
		return it.node.StartedAt.Unix()
	}
	first := int64(0)
	for i, c := range it.children {
		if s := c.started(); i == 0 || s < first {
			first = s
		}
	}
	return first
}

// counts adds up the direct items of a loop.
type counts struct{ total, done, running, failed, pending, left int }

func (it *item) counts() counts {
	var c counts
	if l := it.cut; l != nil {
		c = counts{total: l.Items, done: l.Ended(), failed: l.Failed + l.Errors}
		if c.pending = l.Waiting + l.Active; l.Phase.Fulfilled() {
			c.pending, c.left = 0, c.pending
		}
		return c
	}
	for _, child := range it.children {
		c.total++
		switch p := child.phase(); {
		case p.FailedOrError():
			c.failed++
			c.done++
		case p.Fulfilled():
			c.done++
		case p == spec.NodeRunning:
			c.running++
		default:
			c.pending++
		}
	}
	return c
}

// span is the range of a loop's item numbers that exist so far.
func (it *item) span() (first, last int) {
	if it.cut != nil {
		return 0, it.cut.Items - 1
	}
	for i, c := range it.children {
		if i == 0 || c.index < first {
			first = c.index
		}
		last = max(last, c.index)
	}
	return first, last
}
