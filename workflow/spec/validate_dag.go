package spec

import (
	"fmt"
	"slices"
	"strings"

	"argosy/workflow/depends"
)

// graph is what depends on what, by index.
type graph struct {
	index map[string]int
	names []string
	edges [][]int // of each node, those that it depends on
	seen  []int   // by ancestor: the call that saw a node last
	calls int
	steps int
}

// maxSteps bounds the search for ancestors in one graph. A file of the largest size can ask
// for far more; then an engine that runs it finds what was not looked for.
const maxSteps = 50_000_000

func newGraph(n int) *graph {
	return &graph{index: make(map[string]int, n)}
}

// add appends a node; the first of a name is the one that is found by it.
func (g *graph) add(name string) {
	if _, dup := g.index[name]; !dup {
		g.index[name] = len(g.names)
	}
	g.names = append(g.names, name)
	g.edges = append(g.edges, nil)
}

func (g *graph) depend(from, on int) { g.edges[from] = append(g.edges[from], on) }

// cycle returns the nodes of a cycle as a->b->a, or "" if there is none.
func (g *graph) cycle() string {
	const unseen, open, done = 0, 1, 2
	state := make([]int, len(g.names))
	next := make([]int, len(g.names)) // the edge to follow from an open node
	for root := range g.names {
		if state[root] != unseen {
			continue
		}
		state[root] = open
		for path := []int{root}; len(path) > 0; {
			n := path[len(path)-1]
			if next[n] == len(g.edges[n]) {
				state[n] = done
				path = path[:len(path)-1]
				continue
			}
			to := g.edges[n][next[n]]
			next[n]++
			switch state[to] {
			case open:
				var names []string
				for _, i := range path[slices.Index(path, to):] {
					names = append(names, g.names[i])
				}
				return strings.Join(append(names, g.names[to]), "->")
			case unseen:
				state[to] = open
				path = append(path, to)
			}
		}
	}
	return ""
}

// ancestor says that node from depends on node on, directly or through others.
func (g *graph) ancestor(from, on int) bool {
	if g.seen == nil {
		g.seen = make([]int, len(g.names))
	}
	g.calls++
	for stack := []int{from}; len(stack) > 0; {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if g.steps++; g.steps > maxSteps {
			return true
		}
		for _, to := range g.edges[n] {
			if to == on {
				return true
			}
			if g.seen[to] != g.calls {
				g.seen[to] = g.calls
				stack = append(stack, to)
			}
		}
	}
	return false
}

func (v *validator) dag(t *Template, path, where string, s *scope) {
	tasks := t.DAG.Tasks
	if len(tasks) == 0 {
		v.fail(path+".dag", "%s must have at least one task", where)
	}
	g := newGraph(len(tasks))
	calls := make([]*call, len(tasks))
	uses := false
	for i := range tasks {
		g.add(tasks[i].Name)
		uses = uses || tasks[i].Depends != ""
	}
	for i := range tasks {
		task := &tasks[i]
		at := fmt.Sprintf("%s.dag.tasks[%d]", path, i)
		label := where + ".tasks." + task.Name
		switch {
		case task.Name == "":
			v.fail(at, "%s.tasks[%d] name is required", where, i)
		case g.index[task.Name] != i:
			v.fail(at+".name", "%s name '%s' is not unique", label, task.Name)
		case (uses || len(task.Dependencies) > 0) && task.Name[0] >= '0' && task.Name[0] <= '9':
			v.fail(at+".name", "%s name cannot begin with a digit when using either 'depends' or 'dependencies'", label)
		default:
			v.fieldName(at+".name", task.Name)
		}
		calls[i] = taskCall(task, at, label)
		calls[i].callee = v.resolve(at, label, calls[i].template, calls[i].inline, calls[i].ref)
	}
	for i := range tasks {
		v.dependencies(g, calls, i, &tasks[i], uses, where)
	}
	if cycle := g.cycle(); cycle != "" {
		from, _, _ := strings.Cut(cycle, "->")
		v.fail(calls[g.index[from]].path, "%s dependency cycle detected: %s", where, cycle)
	}
	v.targets(s, t.DAG, g, path+".dag.target", where)

	s.kind, s.names = "tasks", g.names
	for i, c := range calls {
		s.visible = func(name string) (*call, bool) {
			j, ok := g.index[name]
			if !ok {
				return nil, false
			}
			return calls[j], true
		}
		s.ended = func(name string) bool {
			j, ok := g.index[name]
			return ok && (g.ancestor(i, j) || i == j && len(c.hooks) > 0)
		}
		v.call(c, s)
		v.argumentTasks(c, s)
	}
	s.ended = nil
	s.visible = func(name string) (*call, bool) {
		j, ok := g.index[name]
		if !ok {
			return nil, false
		}
		return calls[j], true
	}
}

// argumentTasks checks that arguments which begin with the output of a task are of one that
// has ended by then. Argo lets any other text name a task that the named one does not wait for.
func (v *validator) argumentTasks(c *call, s *scope) {
	check := func(text, path, what, name string) {
		rest, ok := strings.CutPrefix(text, "{{tasks.")
		task, _, dotted := strings.Cut(rest, ".")
		if ok && dotted && slices.Contains(s.names, task) && !s.ended(task) {
			v.fail(path, "%s missing dependency '%s' for %s '%s'", c.where, task, what, name)
		}
	}
	for i := range c.arguments.Parameters {
		if p := &c.arguments.Parameters[i]; p.Value != nil {
			check(p.Value.String(), fmt.Sprintf("%s.arguments.parameters[%d].value", c.path, i), "parameter", p.Name)
		}
	}
	for i := range c.arguments.Artifacts {
		a := &c.arguments.Artifacts[i]
		check(a.From, fmt.Sprintf("%s.arguments.artifacts[%d].from", c.path, i), "artifact", a.Name)
	}
}

// dependencies checks what task i waits for and notes it in g.
func (v *validator) dependencies(g *graph, calls []*call, i int, task *DAGTask, uses bool, where string) {
	c := calls[i]
	if len(task.Dependencies) > 0 && uses {
		v.fail(c.path+".dependencies", "%s cannot use both 'depends' and 'dependencies' in the same DAG template", where)
	}
	if uses && task.ContinueOn != nil {
		v.fail(c.path+".continueOn", "%s cannot use 'continueOn' when using 'depends'. Instead use 'dep-task.Failed'/'dep-task.Errored'", c.where)
	}
	for k, name := range task.Dependencies {
		v.dependency(g, i, name, fmt.Sprintf("%s.dependencies[%d]", c.path, k), c.where)
	}
	if task.Depends == "" {
		return
	}
	e, err := depends.Parse(task.Depends)
	if err != nil {
		v.fail(c.path+".depends", "%s depends '%s': %s", c.where, shorten(task.Depends), err)
		return
	}
	for _, name := range e.Tasks() {
		v.dependency(g, i, name, c.path+".depends", c.where)
	}
	for _, term := range depends.Terms(e) {
		j, ok := g.index[term.Task]
		if ok && (term.Result == "AnySucceeded" || term.Result == "AllFailed") && !calls[j].loops() {
			v.fail(c.path+".depends", "%s '%s.%s' can be used only where '%s' has withItems, withParam or withSequence",
				c.where, term.Task, term.Result, term.Task)
		}
	}
}

func (v *validator) dependency(g *graph, i int, name, path, where string) {
	j, ok := g.index[name]
	if !ok {
		v.fail(path, "%s dependency '%s' not defined", where, name).Hint = v.near(name, g.names)
		return
	}
	g.depend(i, j)
}

func (v *validator) targets(s *scope, d *DAGTemplate, g *graph, path, where string) {
	if strings.Contains(d.Target, "{{") {
		v.tags(s, d.Target, path, where+".targets")
		return
	}
	for _, name := range strings.Fields(d.Target) {
		if _, ok := g.index[name]; !ok {
			v.fail(path, "%s.targets: target '%s' is not defined", where, name).Hint = v.near(name, g.names)
		}
	}
}
