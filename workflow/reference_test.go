package workflow_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow/spec"
)

// graph is a random DAG: every task may depend on earlier ones and has a fixed fate.
type graph struct {
	needs [][]int
	fails []bool
	any   []bool // depends joins with || and asks for any end instead of success
}

func randomGraph(r *rand.Rand) graph {
	n := 1 + r.IntN(12)
	g := graph{needs: make([][]int, n), fails: make([]bool, n), any: make([]bool, n)}
	for i := range n {
		for j := range i {
			if r.IntN(3) == 0 {
				g.needs[i] = append(g.needs[i], j)
			}
		}
		g.fails[i], g.any[i] = r.IntN(5) == 0, r.IntN(4) == 0
	}
	return g
}

func (g graph) yaml(failFast bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  - name: main\n    dag:\n      failFast: %v\n      tasks:\n", failFast)
	for i, needs := range g.needs {
		code := "0"
		if g.fails[i] {
			code = "1"
		}
		fmt.Fprintf(&b, "      - {name: t%d, template: echo, arguments: {parameters: [{name: text, value: exit %s}]}", i, code)
		var terms []string
		for _, d := range needs {
			if g.any[i] {
				terms = append(terms, fmt.Sprintf("(t%d.Succeeded || t%d.Failed)", d, d))
			} else {
				terms = append(terms, fmt.Sprintf("t%d", d))
			}
		}
		if len(terms) > 0 {
			join := " && "
			if g.any[i] {
				join = " || "
			}
			fmt.Fprintf(&b, ", depends: %q", strings.Join(terms, join))
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// reference runs the graph in the naive way: over and over all tasks until nothing changes.
// It answers for failFast: false, where the order of ends decides nothing.
func (g graph) reference() (phases map[string]string, run spec.WorkflowPhase) {
	n := len(g.needs)
	phase := make([]string, n)
	for changed := true; changed; {
		changed = false
		for i := range n {
			ready := phase[i] == ""
			yes, all := false, true
			for _, d := range g.needs[i] {
				ready = ready && phase[d] != ""
				ok := phase[d] == "Succeeded" || phase[d] == "Failed" && g.any[i]
				yes, all = yes || ok, all && ok
			}
			if !ready {
				continue
			}
			changed = true
			switch {
			case len(g.needs[i]) > 0 && !(g.any[i] && yes || !g.any[i] && all):
				phase[i] = "Omitted"
			case g.fails[i]:
				phase[i] = "Failed"
			default:
				phase[i] = "Succeeded"
			}
		}
	}
	// A target that was omitted ends as the worst of what led to it.
	var branch func(i int) string
	branch = func(i int) string {
		if phase[i] != "Omitted" {
			return phase[i]
		}
		for _, d := range g.needs[i] {
			if branch(d) == "Failed" {
				return "Failed"
			}
		}
		return "Succeeded"
	}
	needed := make([]bool, n)
	for _, needs := range g.needs {
		for _, d := range needs {
			needed[d] = true
		}
	}
	run = spec.WorkflowSucceeded
	phases = map[string]string{}
	for i := range n {
		phases[fmt.Sprintf("wf.t%d", i)] = phase[i]
		if !needed[i] && branch(i) == "Failed" {
			run = spec.WorkflowFailed
		}
	}
	return phases, run
}

func TestRandomDAGsEndAsTheReferenceSays(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 7))
		g := randomGraph(r)
		text := head + g.yaml(false)
		want, run := g.reference()
		e := newEngine(t, text)
		e.act, e.partial = echo, seed%2 == 0
		e.run(shuffled(seed))
		got := e.phases()
		delete(got, "wf")
		require.Equal(t, want, got, "seed %d\n%s", seed, text)
		require.Equal(t, run, e.view.State.Phase, "seed %d\n%s", seed, text)

		// Under failFast the order of ends decides what still starts, not how the dag ends.
		e = newEngine(t, head+g.yaml(true))
		e.act = echo
		e.run(shuffled(seed))
		require.Equal(t, run, e.view.State.Phase, "seed %d under failFast\n%s", seed, text)
	}
}
