package workflow_test

import (
	"fmt"
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
	lock        string // the workflow's
	onExit      bool   // with the last template
	hook        string // status of the run that fires one of the last template; "" is none
	// waits lets calls be of a template that waits for somebody, or for a time; it comes after
	// the others.
	waits, waitsForTime bool
	timeout             bool // the leaf's time is limited
	// daemons lets calls be of a template that serves; it comes after the one that waits.
	daemons bool
	daemon  nestedTemplate
	// lives says which life of the run a leaf was run in last, if not the first.
	lives map[workflow.Key]uint64
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
	// lock is the synchronization, as YAML; templates below take others. "" is none.
	lock string
}

type nestedCall struct {
	name          string
	template      int
	last          int    // template of the leaf
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
	onExit  bool   // with the last template
	hook    string // status of the call's node that fires one of the last template; "" is none
}

func randomNested(seed uint64, failFast bool) *nested {
	r := rand.New(rand.NewPCG(seed, 11))
	n := &nested{seed: seed, templates: make([]nestedTemplate, 2+r.IntN(4))}
	last := len(n.templates) - 1
	if r.IntN(4) == 0 {
		n.parallelism = 1 + r.IntN(3)
	}
	n.onExit = r.IntN(3) == 0
	n.hook = []string{"", "Succeeded", "Failed", "Error"}[r.IntN(4)]
	n.waits, n.waitsForTime, n.timeout = r.IntN(2) == 0, r.IntN(3) == 0, failFast && r.IntN(4) == 0
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
					c := n.randomCall(r, i, last, fmt.Sprintf("s%d%d", g, m))
					if g > 0 && len(t.groups[g-1]) > 0 && !n.isWait(t.groups[g-1][0].template) {
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
				c := n.randomCall(r, i, last, fmt.Sprintf("t%d", j))
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
				if len(c.needs) > 0 && !n.isWait(t.tasks[c.needs[0]].template) {
					c.from = "tasks." + t.tasks[c.needs[0]].name
				}
				t.tasks = append(t.tasks, c)
			}
			if r.IntN(4) == 0 {
				t.target = r.IntN(len(t.tasks))
			}
		}
	}
	n.lockUp(rand.New(rand.NewPCG(seed, 12)))
	n.serveUp(rand.New(rand.NewPCG(seed, 13)))
	return n
}

// lockUp has some of it take locks.
func (n *nested) lockUp(r *rand.Rand) {
	if r.IntN(3) > 0 {
		return
	}
	for i := range n.templates {
		if name := fmt.Sprintf("x%d", i); r.IntN(3) == 0 && (i < len(n.templates)-1 || r.IntN(4) == 0) { // a leaf with locks goes in no chunks
			n.templates[i].lock = []string{
				"mutexes: [{name: " + name + "}]",
				"semaphores: [{configMapKeyRef: {name: limits, key: s}, namespace: " + name + "}]",
				"mutexes: [{name: " + name + "}, {name: " + name + ", database: true}]",
			}[r.IntN(3)]
		}
	}
	if r.IntN(4) == 0 {
		n.lock = "mutexes: [{name: run}]"
	}
}

func randomResult(r *rand.Rand, loop bool) string {
	results := []string{"", "Succeeded", "Failed", "Errored", "Skipped", "Omitted", "AnySucceeded", "AllFailed"}
	if !loop {
		results = results[:6]
	}
	return results[r.IntN(len(results))]
}

// isWait says that a template is the one that waits.
func (n *nested) isWait(template int) bool { return template == len(n.templates) }

// isDaemon says that a template is the one that serves.
func (n *nested) isDaemon(template int) bool { return template == len(n.templates)+1 }

// serveUp has some leaves serve: nothing is known of their outputs.
func (n *nested) serveUp(r *rand.Rand) {
	if n.daemons = r.IntN(4) == 0; !n.daemons {
		return
	}
	if r.IntN(2) == 0 {
		limit := r.IntN(3)
		n.daemon.retry = &limit
	}
	for i := range n.templates {
		t := &n.templates[i]
		groups := append([][]nestedCall{t.tasks}, t.groups...)
		serve := map[string]bool{}
		for _, group := range groups {
			for j := range group {
				if c := &group[j]; c.template == c.last && r.IntN(3) == 0 && (c.loop == "" || r.IntN(3) == 0) {
					c.template, serve[c.name] = len(n.templates)+1, true
				}
			}
		}
		for _, group := range groups {
			for j := range group {
				if _, name, _ := strings.Cut(group[j].from, "."); serve[name] {
					group[j].from = ""
				}
			}
		}
		for j := range t.tasks {
			for k := range t.tasks[j].results {
				if r.IntN(4) == 0 {
					t.tasks[j].results[k] = "Daemoned"
				}
			}
		}
	}
}

func (n *nested) randomCall(r *rand.Rand, from, last int, name string) nestedCall {
	c := nestedCall{name: name, template: last, last: last, failed: r.IntN(4) == 0, error: r.IntN(4) == 0}
	if r.IntN(3) == 0 {
		c.template = from + 1 + r.IntN(last-from)
	}
	if n.waits && r.IntN(4) == 0 {
		c.template = last + 1
	}
	c.when = []string{"", "", "", "true", "false"}[r.IntN(5)]
	c.onExit = r.IntN(6) == 0
	if r.IntN(6) == 0 {
		c.hook = []string{"Succeeded", "Failed", "Error", "Skipped"}[r.IntN(4)]
	}
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
	if n.lock != "" {
		fmt.Fprintf(&b, "  synchronization: {%s}\n", n.lock)
	}
	if n.onExit {
		fmt.Fprintf(&b, "  onExit: x%d\n", len(n.templates)-1)
	}
	if n.hook != "" {
		fmt.Fprintf(&b, "  hooks: {h: {template: x%d, expression: 'workflow.status == \"%s\"'}}\n", len(n.templates)-1, n.hook)
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
		if t.lock != "" {
			fmt.Fprintf(&b, "    synchronization: {%s}\n", t.lock)
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
			if n.timeout {
				b.WriteString("    timeout: 40s\n")
			}
		}
	}
	duration := ""
	if n.waitsForTime {
		duration = `duration: "7"`
	}
	fmt.Fprintf(&b, "  - name: x%d\n    inputs: {parameters: [{name: in, default: none}]}\n    suspend: {%s}\n", len(n.templates), duration)
	if n.daemons {
		fmt.Fprintf(&b, "  - name: x%d\n    inputs: {parameters: [{name: in, default: none}]}\n    daemon: true\n    container: {image: busybox, command: [serve]}\n", len(n.templates)+1)
		if n.daemon.retry != nil {
			fmt.Fprintf(&b, "    retryStrategy: {limit: %d}\n", *n.daemon.retry)
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
	if c.onExit {
		s += fmt.Sprintf(", onExit: x%d", c.last)
	}
	if c.hook != "" {
		s += fmt.Sprintf(", hooks: {h: {template: x%d, expression: '%ss.%s.status == \"%s\"'}}", c.last, map[byte]string{'s': "step", 't': "task"}[c.name[0]], c.name, c.hook)
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
