package workflow

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"argosy/workflow/spec"
)

// Status renders what users see of a run: Argo's WorkflowStatus. held names the leaves that
// a worker has taken; they show as Running. The View must be complete, but for what Cut names,
// and hold the items of chunked loops as nodes.
func Status(v *View, held map[Key]bool) spec.WorkflowStatus {
	s := &v.State
	status := spec.WorkflowStatus{
		Phase:      s.Phase,
		Message:    s.Message,
		StartedAt:  metaTime(s.Started),
		FinishedAt: metaTime(s.Finished),
		Nodes:      map[string]spec.NodeStatus{},
		Outputs:    renderOutputs(s.Outputs),

		ArtifactRepositoryRef: v.Plan.Source.Status.ArtifactRepositoryRef,
		Synchronization:       synchronization(v),
	}
	if status.Phase == "" {
		status.Phase = spec.WorkflowPending
	}
	status.ResourcesDuration = s.Resources
	status.Conditions = conditions(s, held)
	status.Progress = s.leaves().progress()
	if e := v.Run.Estimate; e != nil {
		status.EstimatedDuration = spec.EstimatedDuration(e.Seconds)
	}
	r := &renderer{v: v, held: held, children: map[Key][]*Node{}, tallies: map[Key]tally{}, sums: map[Key]spec.ResourcesDuration{}, status: &status}
	for _, n := range v.Nodes {
		if n == nil || n.Type == "" {
			continue
		}
		if pk, ok := n.Key.Parent(); ok {
			r.children[pk] = append(r.children[pk], n)
		}
	}
	for _, list := range r.children {
		slices.SortFunc(list, func(a, b *Node) int {
			return cmp.Or(cmp.Compare(siblingIndex(a.Key), siblingIndex(b.Key)), cmp.Compare(a.Key, b.Key))
		})
	}
	if root := v.Nodes[Root]; root != nil {
		r.render(root, nil)
	}
	return status
}

// siblingIndex orders items and attempts by number.
func siblingIndex(k Key) int {
	if n, ok := attemptIndex(k); ok {
		return n
	}
	return itemIndex(k)
}

// renderer walks the tree once. Links between siblings follow from the spec, so no record
// keeps them.
type renderer struct {
	v        *View
	held     map[Key]bool
	children map[Key][]*Node
	tallies  map[Key]tally
	sums     map[Key]spec.ResourcesDuration
	status   *spec.WorkflowStatus
}

// render adds a node and all below it, and returns its outbound nodes: those that what
// comes after it hangs from.
func (r *renderer) render(n, scope *Node) []string {
	run := r.v.Run.Name
	ns := NodeStatus(r.v.Run, &r.v.State, n, scope, r.held[n.Key])
	id := ns.ID
	out := []string{id}
	switch {
	case n.Steps != nil:
		ns.Children, out = r.groups(n, id)
		ns.OutboundNodes = out
	case n.DAG != nil:
		ns.Children, out = r.tasks(n)
		ns.OutboundNodes = out
	case n.Loop != nil:
		ns.Children, out = r.items(n, scope)
	case n.Retry != nil:
		for _, child := range r.children[n.Key] {
			if _, hook := child.Key.hook(); !hook {
				ns.Children = append(ns.Children, child.Key.ID(run))
				out = r.render(child, scope)
			}
		}
	}
	if set := r.v.Plan.containerSet(n); set != nil {
		ns.Children, out = r.containers(n, set, &ns)
	}
	if n.Hooks != nil {
		ns.Children = append(ns.Children, r.hooks(n, scope)...)
	}
	if len(out) == 0 { // nothing ran in it
		out = []string{id}
	}
	if !n.executable() {
		ns.Progress = r.tally(n).progress()
		if n.Fulfilled() {
			ns.ResourcesDuration = r.resources(n)
		}
	}
	r.status.Nodes[id] = ns
	return out
}

// hooks renders a node's hooks. The exit handler of the workflow hangs from nothing.
func (r *renderer) hooks(n, scope *Node) (ids []string) {
	for _, child := range r.children[n.Key] {
		name, hook := child.Key.hook()
		if !hook {
			continue
		}
		r.render(child, scope)
		if n.Key != Root || name != spec.ExitLifecycleEvent {
			ids = append(ids, child.Key.ID(r.v.Run.Name))
		}
	}
	return ids
}

// NodeStatus renders a node by itself: without what follows from others, which are its
// children, its outbound nodes and, but for a leaf, its progress. scope is the Steps or DAG
// node that it is of, if any.
func NodeStatus(run *Run, s *State, n, scope *Node, held bool) spec.NodeStatus {
	ns := spec.NodeStatus{
		ID: n.Key.ID(run.Name), Name: n.Key.Name(run.Name), DisplayName: n.display(run.Name), Type: n.Type,
		Phase:   n.Phase,
		Message: n.Message, StartedAt: metaTime(n.Started), FinishedAt: metaTime(n.Finished),
		HostNodeName: n.Host, ResourcesDuration: n.Resources, Inputs: renderInputs(n.Inputs), Outputs: renderOutputs(n.Outputs),
		Progress: n.leaves().progress(),
	}
	// Its template has a name in the scope of its caller, or is referred to out of it.
	caller := ""
	if scope != nil {
		ns.BoundaryID, caller = scope.Key.ID(run.Name), scopeOf(scope.Template)
	}
	ns.TemplateScope = scopeName(caller, run.Name)
	if of := scopeOf(n.Template); of == caller {
		ns.TemplateName = localName(n.Template)
	} else {
		ns.TemplateRef = spec.RefOfScope(of)
		ns.TemplateRef.Template = localName(n.Template)
	}
	switch {
	case s.Finished != 0 && !n.Fulfilled(): // the run was given up
		ns.Phase, ns.Message, ns.FinishedAt = spec.NodeError, s.Message, metaTime(s.Finished)
	case held && ns.Phase == spec.NodePending && n.Message == "": // else it says what it waits for
		ns.Phase = spec.NodeRunning
	}
	if n.Lock != nil && n.Lock.Waiting != "" && n.Held == heldLock {
		ns.SynchronizationStatus = &spec.NodeSynchronizationStatus{Waiting: n.Lock.Waiting}
	}
	if d := n.Daemon; d != nil {
		ns.PodIP = d.Address
		if d.Ready && !ns.Phase.Fulfilled() {
			ns.Daemoned = new(true)
		}
	}
	if m := n.Memo; m != nil {
		ns.MemoizationStatus = &spec.MemoizationStatus{Hit: m.Hit, Key: m.Name, CacheName: m.Cache}
	}
	if _, attempt := attemptIndex(n.Key); attempt {
		ns.NodeFlag = &spec.NodeFlag{Retried: true}
	}
	if _, hook := n.Key.hook(); hook {
		ns.NodeFlag = &spec.NodeFlag{Hooked: true}
	}
	return ns
}

// scopeName is what Argo calls a scope of templates.
func scopeName(scope, run string) string {
	if scope == "" {
		return "local/" + run
	}
	return strings.TrimSuffix(scope, "/")
}

// items renders a loop's items and joins their outbound nodes.
func (r *renderer) items(n, scope *Node) (ids, out []string) {
	for _, child := range r.children[n.Key] {
		ids = append(ids, child.Key.ID(r.v.Run.Name))
		out = append(out, r.render(child, scope)...)
	}
	return ids, out
}

// groups renders a Steps node's groups. Each is a StepGroup node that hangs from the
// outbound nodes of the one before it; the loops of a group do not show, their items do.
func (r *renderer) groups(n *Node, id string) (children, out []string) {
	tmpl := r.v.Plan.templates[n.Template]
	groups := map[int][]*Node{}
	last := -1
	for _, child := range r.children[n.Key] {
		if g, _, ok := tmpl.step(child.Key.Segment()); ok {
			groups[g] = append(groups[g], child)
			last = max(last, g)
		}
	}
	var previous []string
	began := n.Started
	for i := 0; i <= last; i++ {
		slices.SortFunc(groups[i], func(a, b *Node) int {
			_, x, _ := tmpl.step(a.Key.Segment())
			_, y, _ := tmpl.step(b.Key.Segment())
			return cmp.Compare(x, y)
		})
		g, tails := r.group(n, i, groups[i], began)
		if i == last && Fulfilled(g.Phase) {
			switch {
			case n.Steps.Running > 0 && !n.Fulfilled() && r.v.State.Finished == 0: // a member waits for room
				g.Phase, g.FinishedAt = spec.NodeRunning, metav1.Time{}
			case n.Steps.Failed != "":
				g.Phase, g.Message = n.Steps.failure()
			}
		}
		g.BoundaryID = id
		r.status.Nodes[g.ID] = g
		if i == 0 {
			children = []string{g.ID}
		} else {
			r.hang(g.ID, previous)
		}
		previous, out = tails, tails
		if !g.FinishedAt.IsZero() {
			began = At(g.FinishedAt.Time)
		}
	}
	return children, out
}

// group renders the members of a step group, which began at the latest at a time, and makes
// the group's own node.
func (r *renderer) group(n *Node, i int, members []*Node, began Millis) (g spec.NodeStatus, out []string) {
	run, finished := r.v.Run.Name, began
	name := fmt.Sprintf("%s[%d]", n.Key.Name(run), i)
	g = spec.NodeStatus{
		ID: NodeID(run, name), Name: name, DisplayName: fmt.Sprintf("[%d]", i), Type: spec.NodeTypeStepGroup,
		TemplateScope: scopeName(scopeOf(n.Template), run), Phase: spec.NodeSucceeded,
	}
	var count tally
	for k, child := range members {
		if child.Loop != nil {
			ids, tails := r.items(child, n)
			g.Children = append(g.Children, ids...)
			out = append(out, tails...)
		} else {
			g.Children = append(g.Children, child.Key.ID(run))
			out = append(out, r.render(child, n)...)
		}
		count.add(r.tally(child))
		g.ResourcesDuration = g.ResourcesDuration.Add(r.resources(child))
		if k == 0 || child.Started < began {
			began = child.Started
		}
		finished = max(finished, child.Finished)
		if !child.done() {
			g.Phase = spec.NodeRunning
		}
	}
	if g.Phase == spec.NodeRunning && r.v.State.Finished != 0 { // the run was given up
		g.Phase, finished = spec.NodeError, r.v.State.Finished
	}
	if len(out) == 0 {
		out = []string{g.ID}
	}
	g.StartedAt, g.Progress = metaTime(began), count.progress()
	if Fulfilled(g.Phase) {
		g.FinishedAt = metaTime(finished)
	}
	return g, out
}

// tasks renders a DAG's tasks. A task hangs from the outbound nodes of those it depends on.
func (r *renderer) tasks(n *Node) (children, out []string) {
	plan, err := r.v.Plan.dagOf(r.v.Run, n)
	if err != nil { // then nothing of it ran
		return nil, nil
	}
	tails := map[int][]string{}
	nodes := map[int]*Node{}
	for _, child := range r.children[n.Key] {
		i, ok := plan.index[strings.TrimPrefix(child.Key.Segment(), ".")]
		if !ok {
			continue
		}
		nodes[i] = child
		tails[i] = r.render(child, n)
	}
	for i := range len(plan.depends) {
		child := nodes[i]
		if child == nil {
			continue
		}
		if plan.depends[i] == nil {
			children = append(children, child.Key.ID(r.v.Run.Name))
		}
		var after []string
		for _, d := range plan.needs[i] {
			after = append(after, tails[d]...)
		}
		slices.Sort(after)
		r.hang(child.Key.ID(r.v.Run.Name), slices.Compact(after))
		if plan.target[i] {
			out = append(out, tails[i]...)
		}
	}
	return children, out
}

// hang makes a node a child of others, each of which is given once.
func (r *renderer) hang(id string, parents []string) {
	for _, p := range parents {
		ns, ok := r.status.Nodes[p]
		if ok {
			ns.Children = append(ns.Children, id)
			r.status.Nodes[p] = ns
		}
	}
}

// tally counts leaves: those that ended, those of them that succeeded, and all; and what they
// told of their progress.
type tally struct {
	ended, succeeded, total int
	units                   Units
}

func (c *tally) add(o tally) {
	c.ended, c.succeeded, c.total = c.ended+o.ended, c.succeeded+o.succeeded, c.total+o.total
	c.units = c.units.plus(o.units)
}

// tally counts the leaves at or below a node.
func (r *renderer) tally(n *Node) tally {
	if c, ok := r.tallies[n.Key]; ok {
		return c
	}
	c := n.leaves()
	switch {
	case r.v.Cut[n.Key]: // counts items, whatever is in them
		l := n.Loop.Counts()
		c = tally{ended: l.Ended(), succeeded: l.Succeeded, total: l.Items - l.Waiting - l.Skipped}
		if chunks := n.Loop.Chunks; chunks != nil {
			c.add(tally{ended: -chunks.Reused, succeeded: -chunks.Reused, total: -chunks.Reused})
		}
	case n.Key == Root && len(r.v.Cut) > 0:
		c = r.v.State.leaves()
	default:
		for _, child := range r.children[n.Key] {
			c.add(r.tally(child))
		}
	}
	r.tallies[n.Key] = c
	return c
}

// leaves counts those of the run.
func (s *State) leaves() tally { return tally{s.Done, s.Succeeded, s.Total, s.Units} }

// executable says that the node counts in the progress by itself.
func (n *Node) executable() bool { return leaf(n.Type) || n.Type == spec.NodeTypeSuspend }

// leaves counts the node itself, if it is one.
func (n *Node) leaves() tally {
	if !n.executable() {
		return tally{}
	}
	c := tally{total: 1, units: n.units()}
	if n.Fulfilled() {
		c.ended = 1
	}
	if n.Phase == spec.NodeSucceeded {
		c.succeeded = 1
	}
	return c
}

// progress is Argo's N/M: of those that may be executed, those that succeeded.
func (c tally) progress() spec.Progress {
	if c.total == 0 {
		return ""
	}
	return spec.Progress(fmt.Sprintf("%d/%d", c.succeeded+c.units.Done, c.total+c.units.Total))
}

func renderInputs(v *Values) *spec.Inputs {
	if v == nil {
		return nil
	}
	return &spec.Inputs{Parameters: renderParameters(v.Parameters), Artifacts: v.Artifacts}
}

func renderOutputs(v *Values) *spec.Outputs {
	if v == nil {
		return nil
	}
	o := &spec.Outputs{Parameters: renderParameters(v.Parameters), Artifacts: v.Artifacts, Result: v.Result}
	if v.ExitCode != nil {
		code := strconv.Itoa(*v.ExitCode)
		o.ExitCode = &code
	}
	return o
}

func renderParameters(params []Param) []spec.Parameter {
	if params == nil {
		return nil
	}
	out := make([]spec.Parameter, len(params))
	for i, p := range params {
		out[i] = spec.Parameter{Name: p.Name, GlobalName: p.Global}
		var byDefault *spec.AnyString
		if p.Default != nil {
			byDefault = spec.AnyStringPtr(*p.Default)
		}
		if p.Wanted {
			out[i].ValueFrom = &spec.ValueFrom{Supplied: &spec.SuppliedValueFrom{}, Default: byDefault}
			continue
		}
		out[i].Value, out[i].Default = spec.AnyStringPtr(p.Value), byDefault
		for _, e := range p.Enum {
			out[i].Enum = append(out[i].Enum, spec.AnyString(e))
		}
		if p.Description != "" {
			out[i].Description = spec.AnyStringPtr(p.Description)
		}
	}
	return out
}

func metaTime(m Millis) metav1.Time { return metav1.Time{Time: m.Time()} }
