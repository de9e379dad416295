package workflow_test

import (
	"fmt"
	"hash/fnv"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// fate is how a leaf ends, whenever it runs.
func (n *nested) fate(k workflow.Key) (phase spec.NodePhase, class string) {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s", n.seed+n.lives[k], k)
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

// decision is how a node ends that waits for somebody or for a time.
func (n *nested) decision(k workflow.Key) spec.NodePhase {
	if n.waitsForTime {
		return spec.NodeSucceeded
	}
	phase, _ := n.fate(k)
	return phase
}

// reference runs the workflow in the naive way, one thing after another, and notes how every
// node ends. It answers for failFast: false, where the order of ends decides nothing.
type reference struct {
	*nested
	phases map[workflow.Key]spec.NodePhase
	class  map[workflow.Key]string
	loops  map[workflow.Key]loopEnd
	serves map[workflow.Key]bool // daemons that were ready
}

type loopEnd struct{ any, allFailed, bad bool }

func (n *nested) reference() *reference {
	f := &reference{n, map[workflow.Key]spec.NodePhase{}, map[workflow.Key]string{}, map[workflow.Key]loopEnd{}, map[workflow.Key]bool{}}
	phase := f.node(workflow.Root, 0)
	last := len(n.templates) - 1
	if n.hook != "" && string(phase) == n.hook {
		f.node(workflow.Root.Hook("h"), last)
	}
	if n.onExit {
		f.node(workflow.Root.Hook("exit"), last)
	}
	return f
}

func isBad(p spec.NodePhase) bool { return p == spec.NodeFailed || p == spec.NodeError }

func (c *nestedCall) tolerates(p spec.NodePhase) bool {
	return p == spec.NodeFailed && c.failed || p == spec.NodeError && c.error
}

func (f *reference) node(k workflow.Key, template int) spec.NodePhase {
	if f.isWait(template) {
		f.phases[k] = f.decision(k)
		return f.phases[k]
	}
	if f.isDaemon(template) {
		phase := f.tried(k, &f.daemon)
		f.serves[k] = phase == spec.NodeSucceeded
		return phase
	}
	return f.tried(k, &f.templates[template])
}

// tried runs a template, as often as it says.
func (f *reference) tried(k workflow.Key, t *nestedTemplate) spec.NodePhase {
	if t.retry == nil {
		f.phases[k] = f.body(k, t)
		return f.phases[k]
	}
	for n := 0; ; n++ {
		attempt := k.Attempt(n)
		phase := f.body(attempt, t)
		f.phases[attempt] = phase
		var again bool
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
		case c.results[i] == "Succeeded":
			yes = p == spec.NodeSucceeded && !f.serves[need]
		case c.results[i] == "Daemoned":
			yes = f.serves[need]
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
		phase := spec.NodeSkipped
		if c.when == "false" {
			f.phases[k] = phase
		} else {
			phase = f.node(k, c.template)
		}
		f.hooks(k, c, phase)
		return phase
	}
	if c.count == 0 {
		f.phases[k] = spec.NodeSkipped
		f.hooks(k, c, spec.NodeSkipped)
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
		f.hooks(item, c, p)
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

// hooks runs the hooks of what a call made.
func (f *reference) hooks(k workflow.Key, c *nestedCall, phase spec.NodePhase) {
	if f.serves[k] {
		return // it has not ended
	}
	if c.hook == string(phase) {
		f.node(k.Hook("h"), c.last)
	}
	if c.onExit && phase != spec.NodeSkipped {
		f.node(k.Hook("exit"), c.last)
	}
}
