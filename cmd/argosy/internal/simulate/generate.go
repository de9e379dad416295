package simulate

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"argosy/workflow/spec"
)

// generator makes workflows at random.
type generator struct {
	rng       *rand.Rand
	templates []spec.Template
	leaves    int  // that may still be added
	failFast  bool // dags may stop early, so that the order of ends decides what runs
	waits     bool // some steps wait
	daemons   bool // some steps serve
}

// The leaves of every workflow.
const (
	leafWork  = "work"  // writes its input
	leafFlaky = "flaky" // the same, and is tried again
	leafList  = "list"  // writes a list
	leafPause = "pause" // waits for a time
	leafGate  = "gate"  // waits for somebody
	leafServe = "serve" // serves until its scope ends
)

func generate(rng *rand.Rand, failFast bool) *spec.Workflow {
	g := &generator{rng: rng, leaves: 4 + rng.IntN(20), failFast: failFast}
	limit := intstr.FromInt32(int32(rng.IntN(4)))
	policies := []spec.RetryPolicy{"", spec.RetryPolicyAlways, spec.RetryPolicyOnFailure, spec.RetryPolicyOnError}
	flaky := container(leafFlaky, "{{inputs.parameters.text}}")
	flaky.RetryStrategy = &spec.RetryStrategy{Limit: &limit, RetryPolicy: policies[rng.IntN(len(policies))]}
	if rng.IntN(6) == 0 {
		factor := intstr.FromInt32(2)
		flaky.RetryStrategy.Backoff = &spec.Backoff{Duration: "1", Factor: &factor, Cap: "3s"}
	}
	if rng.IntN(6) == 0 {
		flaky.RetryStrategy.Expression = `lastRetry.status == "Failed"`
	}
	g.templates = append(g.templates, container(leafWork, "{{inputs.parameters.text}}"), flaky, container(leafList, "list"))
	if g.waits = g.one(4); g.waits {
		pause := spec.Template{Name: leafPause, Suspend: &spec.SuspendTemplate{Duration: "2"}}
		gate := spec.Template{Name: leafGate, Suspend: &spec.SuspendTemplate{}}
		gate.Outputs.Parameters = []spec.Parameter{{Name: "verdict", ValueFrom: &spec.ValueFrom{Supplied: &spec.SuppliedValueFrom{}}}}
		g.templates = append(g.templates, pause, gate)
	}
	if g.one(12) {
		g.templates[0].Timeout = "6s"
	}
	if g.daemons = g.one(4); g.daemons {
		serve := container(leafServe, "{{inputs.parameters.text}}")
		serve.Daemon, serve.Outputs = new(true), spec.Outputs{}
		if g.one(2) {
			serve.RetryStrategy = &spec.RetryStrategy{Limit: &limit, RetryPolicy: spec.RetryPolicyAlways}
		}
		g.templates = append(g.templates, serve)
	}
	wf := &spec.Workflow{}
	wf.Spec.Entrypoint = g.scope(0)
	if rng.IntN(12) == 0 {
		wf.Spec.Entrypoint = leafFlaky
	}
	if g.one(4) {
		wf.Spec.OnExit = g.leaf()
	}
	if g.one(4) {
		wf.Spec.Hooks = spec.LifecycleHooks{"failed": {Template: g.leaf(), Expression: `workflow.status == "Failed"`}}
	}
	if g.one(5) {
		most := int64(1 + rng.IntN(4))
		wf.Spec.Parallelism = &most
	}
	wf.Spec.Templates = g.templates
	if rng.IntN(3) == 0 {
		priority := int32(rng.IntN(3) - 1)
		wf.Spec.Priority = &priority
	}
	if rng.IntN(10) == 0 {
		seconds := int64(3 + rng.IntN(20))
		wf.Spec.ActiveDeadlineSeconds = &seconds
	}
	return wf
}

func container(name, arg string) spec.Template {
	return spec.Template{
		Name: name, Inputs: spec.Inputs{Parameters: []spec.Parameter{{Name: "text", Default: spec.AnyStringPtr("hi")}}},
		Outputs:   spec.Outputs{Parameters: []spec.Parameter{{Name: "out", ValueFrom: &spec.ValueFrom{Path: "/tmp/out"}}}},
		Container: &corev1.Container{Image: "busybox", Command: []string{"echo"}, Args: []string{arg}},
	}
}

// one says yes one time in n.
func (g *generator) one(n int) bool { return g.rng.IntN(n) == 0 }

// scope adds a template that calls others.
func (g *generator) scope(depth int) string {
	t := spec.Template{Name: fmt.Sprintf("scope-%d", len(g.templates))}
	t.Inputs = spec.Inputs{Parameters: []spec.Parameter{{Name: "text", Default: spec.AnyStringPtr("hi")}}}
	g.templates = append(g.templates, t) // takes the name
	at := len(g.templates) - 1
	if g.one(2) {
		t.Steps = g.steps(depth)
	} else {
		t.DAG = g.dag(depth)
	}
	if g.one(6) {
		limit := intstr.FromInt32(int32(g.rng.IntN(3)))
		t.RetryStrategy = &spec.RetryStrategy{Limit: &limit, RetryPolicy: spec.RetryPolicyAlways}
	}
	if g.one(8) {
		most := int64(1 + g.rng.IntN(3))
		t.Parallelism = &most
	}
	g.templates[at] = t
	return t.Name
}

// leaf picks one.
func (g *generator) leaf() string {
	if g.waits && g.one(5) {
		return []string{leafPause, leafGate}[g.rng.IntN(2)]
	}
	if g.daemons && g.one(4) {
		return leafServe
	}
	return []string{leafWork, leafWork, leafFlaky, leafList}[g.rng.IntN(4)]
}

// hooks picks the hooks of a step or task.
func (g *generator) hooks(kind, name string) spec.LifecycleHooks {
	hooks := spec.LifecycleHooks{}
	if g.one(12) {
		hooks[spec.ExitLifecycleEvent] = spec.LifecycleHook{Template: g.leaf(), Arguments: text(fmt.Sprintf("{{%s.%s.status}}", kind, name))}
	}
	if g.one(12) {
		hooks["failed"] = spec.LifecycleHook{Template: g.leaf(), Expression: fmt.Sprintf(`%s[%q].status == "Failed"`, kind, name)}
	}
	if len(hooks) == 0 {
		return nil
	}
	return hooks
}

// callee picks what to call.
func (g *generator) callee(depth int) string {
	g.leaves--
	if depth < 2 && g.leaves > 3 && g.one(5) {
		return g.scope(depth + 1)
	}
	return g.leaf()
}

// loop makes a call loop, by what the earlier calls before it wrote or by a list of its own.
// It says whether it does.
func (g *generator) loop(items *[]spec.Item, param *string, sequence **spec.Sequence, lists []string) bool {
	if g.leaves < 2 || !g.one(4) && (len(lists) == 0 || !g.one(3)) {
		return false
	}
	n := 1 + g.rng.IntN(min(8, g.leaves))
	g.leaves -= n
	switch {
	case len(lists) > 0 && !g.one(4):
		*param = lists[g.rng.IntN(len(lists))]
	case g.one(2):
		count := intstr.FromInt32(int32(n))
		*sequence = &spec.Sequence{Count: &count}
	default:
		for i := range n {
			value, _ := json.Marshal(fmt.Sprintf("item %d", i%3)) // equal ones among them
			*items = append(*items, spec.Item{Value: value})
		}
	}
	return true
}

func text(value string) spec.Arguments {
	return spec.Arguments{Parameters: []spec.Parameter{{Name: "text", Value: spec.AnyStringPtr(value)}}}
}

func (g *generator) steps(depth int) []spec.ParallelSteps {
	var groups []spec.ParallelSteps
	var results, lists []string // what earlier groups wrote for sure, if they succeeded
	for i := range 1 + g.rng.IntN(3) {
		var group spec.ParallelSteps
		var wrote, listed []string
		for j := range 1 + g.rng.IntN(3) {
			s := spec.WorkflowStep{Name: fmt.Sprintf("s%d-%d", i, j), Template: g.callee(depth)}
			result := fmt.Sprintf("{{steps.%s.outputs.result}}", s.Name)
			loops := g.loop(&s.WithItems, &s.WithParam, &s.WithSequence, lists)
			switch {
			case loops:
				s.Arguments = text("{{item}}")
			case len(results) > 0 && g.one(2):
				s.Arguments = text(results[g.rng.IntN(len(results))])
			}
			if len(results) > 0 && g.one(5) {
				s.When = results[g.rng.IntN(len(results))] + " == hi"
			} else if g.one(10) {
				s.When = "1 == 2"
			}
			if g.one(4) {
				s.ContinueOn = &spec.ContinueOn{Failed: true, Error: g.one(2)}
			}
			if !loops && s.When == "" && s.ContinueOn == nil {
				switch s.Template {
				case leafWork, leafFlaky:
					wrote = append(wrote, result)
				case leafServe:
					wrote = append(wrote, fmt.Sprintf("{{steps.%s.ip}}", s.Name))
				case leafList:
					listed = append(listed, result)
				}
			}
			s.Hooks = g.hooks("steps", s.Name)
			group.Steps = append(group.Steps, s)
		}
		results, lists = append(results, wrote...), append(lists, listed...)
		groups = append(groups, group)
	}
	return groups
}

func (g *generator) dag(depth int) *spec.DAGTemplate {
	failFast := g.failFast && g.one(2)
	d := &spec.DAGTemplate{FailFast: &failFast}
	n := 1 + g.rng.IntN(6)
	for i := range n {
		t := spec.DAGTask{Name: fmt.Sprintf("t%d", i), Template: g.callee(depth)}
		any := g.one(4)
		var terms, results, lists []string
		for j := range i {
			if !g.one(3) {
				continue
			}
			before := &d.Tasks[j]
			if any {
				terms = append(terms, fmt.Sprintf("(%[1]s.Succeeded || %[1]s.Daemoned || %[1]s.Failed || %[1]s.Errored)", before.Name))
				continue
			}
			if before.Template == leafServe && g.one(2) {
				terms = append(terms, before.Name+".Daemoned")
			} else {
				terms = append(terms, before.Name)
			}
			if before.WithItems == nil && before.WithParam == "" && before.WithSequence == nil {
				result := fmt.Sprintf("{{tasks.%s.outputs.result}}", before.Name)
				switch before.Template {
				case leafWork, leafFlaky:
					results = append(results, result)
				case leafServe:
					results = append(results, fmt.Sprintf("{{tasks.%s.ip}}", before.Name))
				case leafList:
					lists = append(lists, result)
				}
			}
		}
		join := " && "
		if any {
			join = " || "
		}
		t.Depends = strings.Join(terms, join)
		loops := g.loop(&t.WithItems, &t.WithParam, &t.WithSequence, lists)
		switch {
		case loops:
			t.Arguments = text("{{item}}")
		case len(results) > 0 && g.one(2):
			t.Arguments = text(results[g.rng.IntN(len(results))])
		}
		if len(results) > 0 && g.one(6) {
			t.When = results[g.rng.IntN(len(results))] + " == hi"
		}
		t.Hooks = g.hooks("tasks", t.Name)
		d.Tasks = append(d.Tasks, t)
	}
	if g.one(5) {
		d.Target = d.Tasks[g.rng.IntN(n)].Name
	}
	return d
}
