package tree

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// Options say how a tree looks.
type Options struct {
	Now    time.Time
	Colour bool
	ASCII  bool
	// Wide is the number of items from which on a loop is one line; 0 means 10.
	Wide int
	// Columns adds those of `argosy get`: a heading, templates and pods.
	Columns bool
	// Hosts adds where nodes ran to Columns.
	Hosts bool
	// Width and Height bound what comes out, for a terminal; 0 is no bound.
	Width, Height int
}

// maxNamed is how many failed, and how many running, items of a collapsed loop have a line.
const maxNamed = 3

// foldedWide is Options.Wide when the tree does not fit otherwise.
const foldedWide = 4

// Render draws the run's nodes, a line each.
func Render(wf *spec.Workflow, o Options) []string {
	if o.Wide == 0 {
		o.Wide = 10
	}
	root := build(wf)
	if root == nil {
		return nil
	}
	d := &drawing{o: o, run: wf.Name}
	d.node(root, "", "")
	// A terminal can only be redrawn in place as far as it is high: first what is done and
	// well is folded, then the rest is cut.
	if o.Height > 0 && len(d.rows) > o.Height {
		d.rows, d.fold, d.o.Wide = nil, true, min(o.Wide, foldedWide)
		d.node(root, "", "")
	}
	more := 0
	if o.Height > 1 && len(d.rows) > o.Height {
		more = len(d.rows) - o.Height + 1
		d.rows = d.rows[:o.Height-1]
	}
	lines := d.lines()
	if more > 0 {
		lines = append(lines, fmt.Sprintf("  %s %d more lines", pick(o.ASCII, "...", "…"), more))
	}
	return lines
}

// row is a line before its columns are aligned.
type row struct {
	prefix, mark, label string
	phase               spec.NodePhase
	cells               []string
	message             string
}

type drawing struct {
	o    Options
	run  string
	fold bool
	rows []row
}

// node draws an item; prefix is what stands before its mark, below what stands before the
// lines under it.
func (d *drawing) node(it *item, prefix, below string) {
	if d.folds(it) {
		d.collapsed(it, prefix, below)
		return
	}
	if it.node != nil {
		d.add(prefix, it.node, it.label)
	}
	if d.fold && it.phase() == spec.NodeSucceeded {
		return
	}
	d.children(it.children, below)
}

// folds says that an item is a loop that is one line.
func (d *drawing) folds(it *item) bool {
	return it.loop && (len(it.children) >= d.o.Wide || it.cut != nil)
}

// children draws the branches below an item. Steps that run side by side share a branch.
func (d *drawing) children(children []*item, below string) {
	l := d.lineArt()
	groups := d.split(children)
	for i, g := range groups {
		branch, under := l.tee, l.bar
		if i == len(groups)-1 {
			branch, under = l.corner, l.blank
		}
		switch {
		case g[0].group < 0:
			d.node(g[0], below+branch+l.dash, below+under)
		case len(g) == 1:
			d.node(g[0], below+branch+l.dash+l.dash+l.dash, below+under+l.blank)
		default:
			for j, step := range g {
				first, twig, leaf := below+branch+l.dash, l.tee, l.bar
				if j > 0 {
					first = below + under
				}
				switch j {
				case 0:
					twig = l.fork
				case len(g) - 1:
					twig, leaf = l.corner, l.blank
				}
				d.node(step, first+twig+l.dash, below+under+leaf)
			}
		}
	}
}

// split makes a list of groups: the steps of a step group together, all others alone. The
// items of a small loop stand in its step group by themselves, as Argo shows them.
func (d *drawing) split(children []*item) [][]*item {
	var out [][]*item
	add := func(group int, c *item) {
		if n := len(out); group >= 0 && n > 0 && out[n-1][0].group == group {
			out[n-1] = append(out[n-1], c)
			return
		}
		out = append(out, []*item{c})
	}
	for _, c := range children {
		if c.node == nil && !d.folds(c) {
			for _, loopItem := range c.children {
				add(c.group, loopItem)
			}
			continue
		}
		add(c.group, c)
	}
	return out
}

// collapsed draws a wide loop as one line, and some of the items that matter.
func (d *drawing) collapsed(it *item, prefix, below string) {
	c := it.counts()
	first, last := it.span()
	r := row{prefix: prefix, phase: it.phase(), label: fmt.Sprintf("%s(%d..%d) %d/%d done", it.label, first, last, c.done, c.total)}
	r.mark = d.mark(r.phase)
	for _, part := range []struct {
		n    int
		what string
	}{{c.running, "running"}, {c.pending, "pending"}, {c.failed, "failed"}, {c.left, "never started"}} {
		if part.n > 0 {
			r.label += fmt.Sprintf(", %d %s", part.n, part.what)
		}
	}
	if it.node != nil {
		r.cells, r.message = d.cells(it.node), it.node.Message
	}
	d.rows = append(d.rows, r)
	var shown []*item
	failed, running := 0, 0
	some := c.running
	if it.cut != nil {
		some = maxNamed // of those that run, who knows how many there are
	}
	for _, child := range it.children {
		switch p := child.phase(); {
		case p.FailedOrError() && failed < maxNamed:
			failed++
			shown = append(shown, child)
		case p == spec.NodeRunning && some <= maxNamed && running < maxNamed:
			running++
			shown = append(shown, child)
		}
	}
	l := d.lineArt()
	for i, child := range shown {
		branch, under := l.tee, l.bar
		if i == len(shown)-1 {
			branch, under = l.corner, l.blank
		}
		d.node(child, below+branch+l.dash, below+under)
	}
}

func (d *drawing) add(prefix string, n *spec.NodeStatus, label string) {
	d.rows = append(d.rows, row{prefix: prefix, mark: d.mark(n.Phase), phase: n.Phase, label: label,
		cells: d.cells(n), message: OneLine(n.Message)})
}

func (d *drawing) cells(n *spec.NodeStatus) []string {
	took := Duration(n.StartedAt.Time, n.FinishedAt.Time, d.o.Now)
	if n.Phase == spec.NodePending || n.Phase == spec.NodeSkipped || n.Phase == spec.NodeOmitted {
		took = ""
	}
	if !d.o.Columns {
		return []string{took}
	}
	cells := []string{n.TemplateName, PodName(d.run, n), took}
	if d.o.Hosts {
		cells = append(cells, n.HostNodeName)
	}
	return cells
}

// PodName is the name of the node's pod, empty for a node without one.
func PodName(run string, n *spec.NodeStatus) string {
	if n.Type != spec.NodeTypePod {
		return ""
	}
	key := workflow.Root
	if rest := strings.TrimPrefix(n.Name, run); rest != "" {
		key = workflow.Root.Child(rest)
	}
	return workflow.PodName(run, n.TemplateName, key)
}

// lines aligns the columns.
func (d *drawing) lines() []string {
	rows := d.rows
	if d.o.Columns {
		head := row{label: "STEP", cells: []string{"TEMPLATE", "PODNAME", "DURATION"}, message: "MESSAGE"}
		if d.o.Hosts {
			head.cells = append(head.cells, "NODENAME")
		}
		rows = append([]row{head}, rows...)
	}
	widths := []int{0}
	for _, r := range rows {
		widths[0] = max(widths[0], r.width())
		for i, c := range r.cells {
			if i+1 == len(widths) {
				widths = append(widths, 0)
			}
			widths[i+1] = max(widths[i+1], utf8.RuneCountInString(c))
		}
	}
	lines := make([]string, len(rows))
	for i, r := range rows {
		lines[i] = r.text(widths, d.o)
	}
	return lines
}

func (r *row) head() string {
	if r.mark == "" {
		return r.label
	}
	return " " + r.prefix + r.mark + " " + r.label
}

func (r *row) width() int { return utf8.RuneCountInString(r.head()) }

// text is the line, cut to the width; the colour goes on last so that it counts for none.
func (r *row) text(widths []int, o Options) string {
	var b strings.Builder
	b.WriteString(pad(r.head(), widths[0]))
	for i, c := range r.cells {
		b.WriteString("  " + pad(c, widths[i+1]))
	}
	b.WriteString("  " + r.message)
	line := Cut(strings.TrimRight(b.String(), " "), o.Width, o.ASCII)
	if at := len(" " + r.prefix); o.Colour && r.mark != "" && len(line) >= at+len(r.mark) {
		line = line[:at] + paint(r.phase, line[at:at+len(r.mark)]) + line[at+len(r.mark):]
	}
	return line
}
