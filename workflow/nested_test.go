package workflow_test

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// nested is a random workflow of steps, dags, loops and retries in one another. Template i
// calls only templates after it, and the last one is a leaf.
type nested struct {
	seed      uint64
	templates []nestedTemplate
	// parallelism is the workflow's; 0 is none.
	parallelism int
}

type nestedTemplate struct {
	groups   [][]nestedCall // of a steps template
	tasks    []nestedCall   // of a dag
	failFast bool
	retry    *int // limit
	policy   spec.RetryPolicy
	// expression is one for the strategy that allows another attempt after Failed only.
	expression  bool
	backoff     bool
	parallelism int
	target      int // of a dag, with those that it needs; 0 is all
}

type nestedCall struct {
	name          string
	template      int
	when          string // "", "true", "false", "item": not for item 1
	loop          string // "", "items", "param", "sequence"
	count         int
	failed, error bool // continueOn
	// from is an earlier step or task whose result the call passes on, if it has one.
	from string
	// Tasks: what they depend on, joined by op; without result in the form of dependencies.
	needs   []int
	results []string
	op      string
}

func randomNested(seed uint64, failFast bool) *nested {
	r := rand.New(rand.NewPCG(seed, 11))
	n := &nested{seed: seed, templates: make([]nestedTemplate, 2+r.IntN(4))}
	last := len(n.templates) - 1
	if r.IntN(4) == 0 {
		n.parallelism = 1 + r.IntN(3)
	}
	for i := range n.templates {
		t := &n.templates[i]
		if r.IntN(3) == 0 {
			limit := r.IntN(3)
			t.retry = &limit
			t.policy = []spec.RetryPolicy{"", spec.RetryPolicyAlways, spec.RetryPolicyOnError, spec.RetryPolicyOnTransientError}[r.IntN(4)]
			t.expression, t.backoff = r.IntN(3) == 0, r.IntN(2) == 0
		}
		if r.IntN(3) == 0 {
			t.parallelism = 1 + r.IntN(2)
		}
		switch {
		case i == last:
		case r.IntN(2) == 0:
			for g := range 1 + r.IntN(3) {
				var group []nestedCall
				for m := range r.IntN(4) {
					c := randomCall(r, i, last, fmt.Sprintf("s%d%d", g, m))
					if g > 0 && len(t.groups[g-1]) > 0 {
						c.from = "steps." + t.groups[g-1][0].name
					}
					group = append(group, c)
				}
				t.groups = append(t.groups, group)
			}
		default:
			t.failFast = failFast && r.IntN(2) == 0
			list := r.IntN(2) == 0 // dependencies allow continueOn, depends does not
			for j := range 1 + r.IntN(6) {
				c := randomCall(r, i, last, fmt.Sprintf("t%d", j))
				c.failed, c.error = c.failed && list, c.error && list
				c.op = []string{" && ", " || "}[r.IntN(2)]
				for d := range j {
					if r.IntN(3) > 0 {
						continue
					}
					c.needs = append(c.needs, d)
					if !list {
						c.results = append(c.results, randomResult(r, t.tasks[d].loop != ""))
					}
				}
				if len(c.needs) > 0 {
					c.from = "tasks." + t.tasks[c.needs[0]].name
				}
				t.tasks = append(t.tasks, c)
			}
			if r.IntN(4) == 0 {
				t.target = r.IntN(len(t.tasks))
			}
		}
	}
	return n
}

func randomResult(r *rand.Rand, loop bool) string {
	results := []string{"", "Succeeded", "Failed", "Errored", "Skipped", "Omitted", "AnySucceeded", "AllFailed"}
	if !loop {
		results = results[:6]
	}
	return results[r.IntN(len(results))]
}

func randomCall(r *rand.Rand, from, last int, name string) nestedCall {
	c := nestedCall{name: name, template: last, failed: r.IntN(4) == 0, error: r.IntN(4) == 0}
	if r.IntN(3) == 0 {
		c.template = from + 1 + r.IntN(last-from)
	}
	c.when = []string{"", "", "", "true", "false"}[r.IntN(5)]
	if r.IntN(3) == 0 {
		c.loop, c.count = []string{"items", "param", "sequence"}[r.IntN(3)], r.IntN(4)
		if c.loop == "items" {
			c.count++ // Argo takes an empty list for none
		}
		if r.IntN(3) == 0 {
			c.when = "item"
		}
	}
	return c
}

func (n *nested) yaml() string {
	var b strings.Builder
	b.WriteString("apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: wf}\nspec:\n  entrypoint: x0\n")
	if n.parallelism > 0 {
		fmt.Fprintf(&b, "  parallelism: %d\n", n.parallelism)
	}
	b.WriteString("  templates:\n")
	for i := range n.templates {
		t := &n.templates[i]
		fmt.Fprintf(&b, "  - name: x%d\n    inputs: {parameters: [{name: in, default: none}]}\n", i)
		if t.retry != nil {
			more := ""
			if t.expression {
				more += ", expression: \"lastRetry.status == 'Failed' && asInt(lastRetry.exitCode) < 0\""
			}
			if t.backoff {
				more += `, backoff: {duration: "10", factor: 2, cap: 25s}`
			}
			fmt.Fprintf(&b, "    retryStrategy: {limit: %d, retryPolicy: %q%s}\n", *t.retry, t.policy, more)
		}
		if t.parallelism > 0 && (t.tasks != nil || t.groups != nil) {
			fmt.Fprintf(&b, "    parallelism: %d\n", t.parallelism)
		}
		switch {
		case t.tasks != nil:
			fmt.Fprintf(&b, "    dag:\n      failFast: %v\n", t.failFast)
			if t.target > 0 {
				fmt.Fprintf(&b, "      target: t%d\n", t.target)
			}
			b.WriteString("      tasks:\n")
			for j := range t.tasks {
				fmt.Fprintf(&b, "      - {%s%s}\n", t.tasks[j].yaml(), t.depends(j))
			}
		case t.groups != nil:
			b.WriteString("    steps:\n")
			for _, group := range t.groups {
				b.WriteString("    -\n")
				for j := range group {
					fmt.Fprintf(&b, "      - {%s}\n", group[j].yaml())
				}
				if len(group) == 0 {
					b.WriteString("      []\n")
				}
			}
		default:
			b.WriteString("    container: {image: busybox, command: [echo]}\n")
		}
	}
	return b.String()
}

func (c *nestedCall) yaml() string {
	s := fmt.Sprintf("name: %s, template: x%d", c.name, c.template)
	switch c.when {
	case "true":
		s += ", when: 1 == 1"
	case "false":
		s += ", when: 1 == 2"
	case "item":
		s += `, when: "{{item}} != 1"`
	}
	items := strings.Join([]string{"0", "1", "2", "3"}[:c.count], ", ")
	switch c.loop {
	case "items":
		s += ", withItems: [" + items + "]"
	case "param":
		s += `, withParam: "[` + items + `]"`
	case "sequence":
		s += fmt.Sprintf(`, withSequence: {count: "%d"}`, c.count)
	}
	if c.from != "" {
		s += fmt.Sprintf(`, arguments: {parameters: [{name: in, value: "{{=%s.outputs.result ?? 'none'}}"}]}`, c.from)
	}
	if c.failed || c.error {
		s += fmt.Sprintf(", continueOn: {failed: %v, error: %v}", c.failed, c.error)
	}
	return s
}

func (t *nestedTemplate) depends(j int) string {
	c := &t.tasks[j]
	if len(c.needs) == 0 {
		return ""
	}
	var terms []string
	for k, d := range c.needs {
		term := t.tasks[d].name
		if c.results != nil && c.results[k] != "" {
			term += "." + c.results[k]
		}
		terms = append(terms, term)
	}
	if c.results == nil {
		return ", dependencies: [" + strings.Join(terms, ", ") + "]"
	}
	return fmt.Sprintf(", depends: %q", strings.Join(terms, c.op))
}

// fate is how a leaf ends, whenever it runs.
func (n *nested) fate(k workflow.Key) (phase spec.NodePhase, class string) {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s", n.seed, k)
	switch h.Sum64() >> 8 % 8 {
	case 0, 1:
		return spec.NodeFailed, ""
	case 2:
		return spec.NodeError, "lost"
	case 3:
		return spec.NodeError, "invalid" // not worth another attempt
	}
	return spec.NodeSucceeded, ""
}

// reference runs the workflow in the naive way, one thing after another, and notes how every
// node ends. It answers for failFast: false, where the order of ends decides nothing.
type reference struct {
	*nested
	phases map[workflow.Key]spec.NodePhase
	class  map[workflow.Key]string
	loops  map[workflow.Key]loopEnd
}

type loopEnd struct{ any, allFailed, bad bool }

func (n *nested) reference() *reference {
	f := &reference{n, map[workflow.Key]spec.NodePhase{}, map[workflow.Key]string{}, map[workflow.Key]loopEnd{}}
	f.node(workflow.Root, 0)
	return f
}

func isBad(p spec.NodePhase) bool { return p == spec.NodeFailed || p == spec.NodeError }

func (c *nestedCall) tolerates(p spec.NodePhase) bool {
	return p == spec.NodeFailed && c.failed || p == spec.NodeError && c.error
}

func (f *reference) node(k workflow.Key, template int) spec.NodePhase {
	t := &f.templates[template]
	if t.retry == nil {
		f.phases[k] = f.body(k, t)
		return f.phases[k]
	}
	for n := 0; ; n++ {
		attempt := k.Attempt(n)
		phase := f.body(attempt, t)
		f.phases[attempt] = phase
		again := false
		switch t.policy {
		case spec.RetryPolicyAlways:
			again = isBad(phase)
		case spec.RetryPolicyOnError:
			again = phase == spec.NodeError
		case spec.RetryPolicyOnTransientError:
			again = phase == spec.NodeError && f.class[attempt] == "lost"
		default:
			again = phase == spec.NodeFailed || t.expression && t.policy == "" && phase == spec.NodeError
		}
		again = again && (!t.expression || phase == spec.NodeFailed)
		if !again || f.class[attempt] == "invalid" || n >= *t.retry {
			f.phases[k] = phase
			return phase
		}
	}
}

func (f *reference) body(k workflow.Key, t *nestedTemplate) spec.NodePhase {
	switch {
	case t.groups != nil:
		return f.steps(k, t)
	case t.tasks != nil:
		return f.dag(k, t)
	}
	phase, class := f.fate(k)
	f.class[k] = class
	return phase
}

func (f *reference) steps(k workflow.Key, t *nestedTemplate) spec.NodePhase {
	for g, group := range t.groups {
		bad := false
		for i := range group {
			child := k.Step(g, group[i].name)
			phase := f.call(child, &group[i])
			if l, ok := f.loops[child]; ok {
				bad = bad || l.bad
			} else {
				bad = bad || isBad(phase) && !group[i].tolerates(phase)
			}
		}
		if bad {
			return spec.NodeFailed
		}
	}
	return spec.NodeSucceeded
}

func (f *reference) dag(k workflow.Key, t *nestedTemplate) spec.NodePhase {
	branch := make([]spec.NodePhase, len(t.tasks))
	needed := make([]bool, len(t.tasks))
	wanted := t.wanted()
	for j := range t.tasks { // every task comes after those that it depends on
		if !wanted[j] {
			continue
		}
		c := &t.tasks[j]
		child := k.Task(c.name)
		if f.depends(k, t, j) {
			branch[j] = f.call(child, c)
		} else {
			f.phases[child], branch[j] = spec.NodeOmitted, spec.NodeOmitted
		}
		if p := branch[j]; p == spec.NodeSkipped || p == spec.NodeOmitted {
			branch[j] = ""
			for _, d := range c.needs {
				if branch[j] == "" || !isBad(branch[j]) && isBad(branch[d]) {
					branch[j] = branch[d]
				}
			}
		}
		for _, d := range c.needs {
			needed[d] = true
		}
	}
	phase := spec.NodeSucceeded
	for j := range t.tasks {
		if wanted[j] && !needed[j] && isBad(branch[j]) && !t.tasks[j].tolerates(branch[j]) {
			phase = branch[j]
		}
	}
	return phase
}

// wanted are the tasks that the target needs.
func (t *nestedTemplate) wanted() []bool {
	wanted := make([]bool, len(t.tasks))
	for j := len(t.tasks) - 1; j >= 0; j-- {
		wanted[j] = wanted[j] || t.target == 0 || j == t.target
		for _, d := range t.tasks[j].needs {
			wanted[d] = wanted[d] || wanted[j]
		}
	}
	return wanted
}

func (f *reference) depends(k workflow.Key, t *nestedTemplate, j int) bool {
	c := &t.tasks[j]
	all, any := true, len(c.needs) == 0
	for i, d := range c.needs {
		need := k.Task(t.tasks[d].name)
		p, l := f.phases[need], f.loops[need]
		var yes bool
		switch {
		case c.results == nil:
			yes = p == spec.NodeSucceeded || p == spec.NodeSkipped || t.tasks[d].tolerates(p)
		case c.results[i] == "":
			yes = p == spec.NodeSucceeded || p == spec.NodeSkipped
		case c.results[i] == "Errored":
			yes = p == spec.NodeError
		case c.results[i] == "AnySucceeded":
			yes = l.any
		case c.results[i] == "AllFailed":
			yes = l.allFailed
		default:
			yes = string(p) == c.results[i]
		}
		all, any = all && yes, any || yes
	}
	return all || any && c.results != nil && c.op == " || "
}

func (f *reference) call(k workflow.Key, c *nestedCall) spec.NodePhase {
	if c.loop == "" {
		if c.when == "false" {
			f.phases[k] = spec.NodeSkipped
			return spec.NodeSkipped
		}
		return f.node(k, c.template)
	}
	if c.count == 0 {
		f.phases[k] = spec.NodeSkipped
		return spec.NodeSkipped
	}
	phase, end := spec.NodeSucceeded, loopEnd{allFailed: true}
	for i := range c.count {
		item := k.Child(fmt.Sprintf("(%d:%d)", i, i))
		p := spec.NodeSkipped
		if c.when == "false" || c.when == "item" && i == 1 {
			f.phases[item] = p
		} else {
			p = f.node(item, c.template)
		}
		end.any = end.any || p == spec.NodeSucceeded
		end.allFailed = end.allFailed && p == spec.NodeFailed
		if isBad(p) {
			phase = p
			end.bad = end.bad || !c.tolerates(p)
		}
	}
	f.phases[k], f.loops[k] = phase, end
	return phase
}
