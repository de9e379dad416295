package workflow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"argosy/workflow/depends"
	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// DAGState is what a DAG node keeps of its tasks.
type DAGState struct {
	Running int `json:"r,omitempty"` // tasks launched that have not ended
	Left    int `json:"l,omitempty"` // tasks that have no end yet, launched or not
	// Phase is the phase that the targets' branches give the DAG, "" while none failed;
	// Target is the position of the target that gave it.
	Phase  spec.NodePhase `json:"p,omitempty"`
	Target int            `json:"t,omitempty"`
	// Stopped is set by the first failed target under failFast: running tasks drain.
	Stopped bool `json:"x,omitempty"`
	// Waits counts, for a task with more than one dependency, those that have ended, from the
	// first to the last but one. A DAG of many tasks has it in records of their own.
	Waits map[int]int `json:"w,omitempty"`
}

// waitsApart is how many tasks' Waits one record has: in one for all of a large DAG, every end
// would write all of them anew. Such records are no nodes: they have no Type.
const waitsApart = 64

func waitsKey(dag Key, task int) Key { return dag.Child("#w" + strconv.Itoa(task/waitsApart)) }

// dagPlan is a DAG template's graph.
type dagPlan struct {
	index      map[string]int // task name -> position in the spec
	depends    []depends.Expr // nil for a root task
	needs      [][]int        // tasks that depends mentions
	dependents [][]int
	target     []bool // tasks that decide how the DAG ends: those that nothing depends on, or named
	failFast   bool
	// skip has the tasks that no target needs; nil: none.
	skip []bool
	left int // tasks that are not skipped
}

func compileDAG(d *spec.DAGTemplate) (*dagPlan, error) {
	n := len(d.Tasks)
	p := &dagPlan{
		index: make(map[string]int, n), depends: make([]depends.Expr, n), needs: make([][]int, n),
		dependents: make([][]int, n), failFast: d.FailFast == nil || *d.FailFast,
	}
	for i := range d.Tasks {
		if _, dup := p.index[d.Tasks[i].Name]; dup {
			return nil, fmt.Errorf("there are two tasks %q", d.Tasks[i].Name)
		}
		p.index[d.Tasks[i].Name] = i
	}
	for i := range d.Tasks {
		task := &d.Tasks[i]
		text := task.Depends
		if text == "" {
			text = dependsText(d, p.index, task.Dependencies)
		}
		if text == "" {
			continue
		}
		e, err := depends.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("parsing depends of task %q: %w", task.Name, err)
		}
		p.depends[i] = e
		for _, name := range e.Tasks() {
			j, ok := p.index[name]
			if !ok {
				return nil, fmt.Errorf("task %q depends on %q, which is not a task", task.Name, name)
			}
			p.needs[i] = append(p.needs[i], j)
			p.dependents[j] = append(p.dependents[j], i)
		}
	}
	p.target, p.left = make([]bool, n), n
	for i := range d.Tasks {
		p.target[i] = len(p.dependents[i]) == 0
	}
	if i := p.unreachable(); i >= 0 {
		return nil, fmt.Errorf("task %q waits for itself, directly or through others", d.Tasks[i].Name)
	}
	if tagged(d.Target) {
		return p, nil
	}
	return p.prune(strings.Fields(d.Target))
}

// prune keeps the tasks that the named targets need; none named is all.
func (p *dagPlan) prune(targets []string) (*dagPlan, error) {
	if len(targets) == 0 {
		return p, nil
	}
	out := *p
	out.target, out.skip, out.left = make([]bool, len(p.needs)), make([]bool, len(p.needs)), 0
	for i := range out.skip {
		out.skip[i] = true
	}
	var open []int
	for _, name := range targets {
		i, ok := p.index[name]
		if !ok {
			return nil, fmt.Errorf("target '%s' is not defined", name)
		}
		out.target[i] = true
		open = append(open, i)
	}
	for ; len(open) > 0; open = open[1:] {
		if i := open[0]; out.skip[i] {
			out.skip[i] = false
			out.left++
			open = append(open, p.needs[i]...)
		}
	}
	return &out, nil
}

// dagOf is the graph of a DAG node: its template's, or what of it the node's targets need.
func (p *Plan) dagOf(run *Run, n *Node) (*dagPlan, error) {
	tmpl := p.templates[n.Template]
	if !tagged(tmpl.DAG.Target) {
		return tmpl.dag, nil
	}
	text, err := expr.Substitute(tmpl.DAG.Target, (&opener{plan: p, run: run}).inputScope(n), expr.Strict)
	if err != nil {
		return nil, fmt.Errorf("resolving the dag's target: %w", err)
	}
	return tmpl.dag.prune(strings.Fields(text))
}

// dag is the graph of a DAG node that runs.
func (t *turn) dag(n *Node) *dagPlan {
	if !tagged(t.v.Plan.templates[n.Template].DAG.Target) {
		return t.v.Plan.templates[n.Template].dag
	}
	if t.dags == nil {
		t.dags = map[Key]*dagPlan{}
	}
	if t.dags[n.Key] == nil {
		t.dags[n.Key], _ = t.v.Plan.dagOf(t.v.Run, n) // it went well when the node started
	}
	return t.dags[n.Key]
}

// unreachable finds a task that would never start; -1 is none.
func (p *dagPlan) unreachable() int {
	waits := make([]int, len(p.needs))
	var free []int
	for i := range p.needs {
		if waits[i] = len(p.needs[i]); waits[i] == 0 {
			free = append(free, i)
		}
	}
	for ; len(free) > 0; free = free[1:] {
		for _, j := range p.dependents[free[0]] {
			if waits[j]--; waits[j] == 0 {
				free = append(free, j)
			}
		}
	}
	return slices.IndexFunc(waits, func(n int) bool { return n > 0 })
}

// dependsText writes a dependencies list in the terms of depends: each one must have
// succeeded, or ended in a way that its own continueOn tolerates.
func dependsText(d *spec.DAGTemplate, index map[string]int, names []string) string {
	parts := make([]string, 0, len(names))
	for _, name := range names {
		alt := []string{name + ".Succeeded", name + ".Skipped", name + ".Daemoned"}
		if i, ok := index[name]; ok && d.Tasks[i].ContinueOn != nil {
			if d.Tasks[i].ContinueOn.Failed {
				alt = append(alt, name+".Failed")
			}
			if d.Tasks[i].ContinueOn.Error {
				alt = append(alt, name+".Errored")
			}
		}
		parts = append(parts, "("+strings.Join(alt, " || ")+")")
	}
	return strings.Join(parts, " && ")
}

func (t *turn) startDAG(n *Node, tmpl *template) {
	n.Phase, n.DAG, n.Limit = spec.NodeRunning, &DAGState{}, tmpl.limit()
	plan, err := t.v.Plan.dagOf(t.v.Run, n)
	if err != nil {
		t.finish(n, spec.NodeError, err.Error())
		return
	}
	n.DAG.Left = plan.left
	t.put(n)
	var roots []int
	for i := range tmpl.DAG.Tasks {
		if plan.depends[i] == nil && !plan.skips(i) {
			roots = append(roots, i)
		}
	}
	n.DAG.Running = len(roots) // before the first starts: it may end at once
	for _, i := range roots {
		t.launch(n.Key.Task(tmpl.DAG.Tasks[i].Name))
	}
	t.settleDAG(n) // a dag without tasks ends here
}

// skips says that no target needs a task.
func (p *dagPlan) skips(i int) bool { return p.skip != nil && p.skip[i] }

// taskEnded takes note of a task's end and starts what it releases.
func (t *turn) taskEnded(n *Node, child *Node) {
	tmpl := t.v.Plan.templates[n.Template]
	n.DAG.Running--
	t.taskDone(n, tmpl, tmpl.dag.index[strings.TrimPrefix(child.Key.Segment(), ".")], child)
	t.settleDAG(n)
}

// taskDone counts a task that ended, launched or omitted, and looks at its dependents.
func (t *turn) taskDone(n *Node, tmpl *template, i int, child *Node) {
	n.DAG.Left--
	if child.Phase == spec.NodeSkipped || child.Phase == spec.NodeOmitted {
		if b := t.inheritedBranch(n, tmpl, i); b != child.Branch {
			child.Branch = b
			t.put(child)
		}
	}
	plan := t.dag(n)
	if plan.target[i] {
		t.targetEnded(n, tmpl, i, child)
	}
	if t.stopped(n) {
		return
	}
	var released []int
	var needs, counts []Key
	for _, j := range plan.dependents[i] {
		if !plan.skips(j) && plan.countsApart(j) {
			counts = append(counts, waitsKey(n.Key, j))
		}
	}
	t.need(counts...)
	for _, j := range plan.dependents[i] {
		if plan.skips(j) || !t.lastNeed(n, plan, j) {
			continue
		}
		released = append(released, j)
		for _, d := range tmpl.dag.needs[j] {
			needs = append(needs, n.Key.Task(tmpl.DAG.Tasks[d].Name))
		}
	}
	t.need(needs...)
	for _, j := range released {
		t.release(n, tmpl, j)
	}
}

// countsApart says that the ends of what a task depends on are counted in a record of their own.
func (p *dagPlan) countsApart(task int) bool {
	return len(p.needs) > waitsApart && len(p.needs[task]) > 1
}

// lastNeed counts the end of one of a task's dependencies and says that it was the last.
func (t *turn) lastNeed(n *Node, plan *dagPlan, task int) bool {
	ended := t.waits(n, plan, task) + 1
	last := ended == len(plan.needs[task])
	if last {
		ended = 0
	}
	t.setWaits(n, plan, task, ended)
	return last
}

// waits is how many of what a task depends on have ended, while it waits for more.
func (t *turn) waits(n *Node, plan *dagPlan, task int) int {
	if plan.countsApart(task) {
		if n = t.node(waitsKey(n.Key, task)); n == nil {
			return 0
		}
	}
	return n.DAG.Waits[task]
}

func (t *turn) setWaits(n *Node, plan *dagPlan, task, ended int) {
	if plan.countsApart(task) {
		k := waitsKey(n.Key, task)
		if n = t.edit(k); n == nil {
			n = &Node{Key: k, DAG: &DAGState{}}
			t.put(n)
		}
	}
	switch {
	case ended == 0:
		delete(n.DAG.Waits, task)
	case n.DAG.Waits == nil:
		n.DAG.Waits = map[int]int{task: ended}
	default:
		n.DAG.Waits[task] = ended
	}
}

// release starts or omits a task whose dependencies have all ended.
func (t *turn) release(n *Node, tmpl *template, j int) {
	if t.stopped(n) {
		return
	}
	k := n.Key.Task(tmpl.DAG.Tasks[j].Name)
	if tmpl.dag.depends[j].Eval(func(task, result string) bool {
		return t.taskHas(t.node(n.Key.Task(task)), result)
	}) {
		n.DAG.Running++
		t.launch(k)
		return
	}
	omitted := &Node{
		Key: k, Type: spec.NodeTypeSkipped, Template: t.v.Plan.taskCall(n.Template, tmpl.DAG.Tasks[j].Name).template, Phase: spec.NodeOmitted,
		Message: "omitted: depends condition not met", Started: t.now, Finished: t.now,
	}
	t.put(omitted)
	t.taskDone(n, tmpl, j, omitted)
}

// taskHas answers one term of a depends expression.
func (t *turn) taskHas(n *Node, result string) bool {
	switch result {
	case "Succeeded":
		return n.Phase == spec.NodeSucceeded || n.Reused
	case "Failed":
		return n.Phase == spec.NodeFailed
	case "Errored":
		return n.Phase == spec.NodeError
	case "Skipped":
		return n.Phase == spec.NodeSkipped && !n.Reused
	case "Omitted":
		return n.Phase == spec.NodeOmitted
	case "AnySucceeded":
		return n.Loop != nil && n.Loop.Succeeded > 0
	case "AllFailed":
		return n.Loop != nil && n.Loop.Count > 0 && n.Loop.Bad == n.Loop.Count
	case "Daemoned":
		return n.serves()
	}
	return false
}

// branch is the phase that a task hands down its branch.
func branch(n *Node) spec.NodePhase {
	if n.Phase == spec.NodeSkipped || n.Phase == spec.NodeOmitted {
		return n.Branch
	}
	if n.serves() {
		return spec.NodeSucceeded
	}
	return n.Phase
}

// inheritedBranch is the phase of an omitted or skipped task's branch: a failed ancestor's
// before any other.
func (t *turn) inheritedBranch(n *Node, tmpl *template, i int) spec.NodePhase {
	var phase spec.NodePhase
	for _, d := range tmpl.dag.needs[i] {
		b := branch(t.node(n.Key.Task(tmpl.DAG.Tasks[d].Name)))
		if phase == "" || failed(b) {
			phase = b
		}
		if failed(phase) {
			break
		}
	}
	return phase
}

// targetEnded lets the end of a target's branch decide the DAG. Under failFast the first
// failed target in the spec's order decides, otherwise the last.
func (t *turn) targetEnded(n *Node, tmpl *template, i int, child *Node) {
	b := branch(child)
	task := &tmpl.DAG.Tasks[i]
	if !failed(b) || !child.Loop.cut() && (&call{continueOn: task.ContinueOn}).tolerates(b) {
		return
	}
	d := n.DAG
	if d.Phase == "" || (tmpl.dag.failFast && i < d.Target) || (!tmpl.dag.failFast && i > d.Target) {
		d.Phase, d.Target = b, i
	}
	d.Stopped = d.Stopped || tmpl.dag.failFast
}

// settleDAG ends the DAG when nothing runs and nothing more may start.
func (t *turn) settleDAG(n *Node) {
	d := n.DAG
	if d.Running > 0 || n.Fulfilled() || (d.Left > 0 && !t.stopped(n)) {
		return
	}
	switch {
	case n.Limit != nil && n.Limit.Bad:
		t.finish(n, spec.NodeFailed, failFastMessage)
	case d.Phase != "":
		t.finish(n, d.Phase, "")
	case d.Left > 0:
		t.finish(n, spec.NodeFailed, t.closingMessage())
	default:
		t.finishScope(n, t.v.Plan.templates[n.Template])
	}
}
