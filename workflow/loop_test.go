package workflow_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

func TestItemsAreNamedAsArgoNamesThem(t *testing.T) {
	t.Parallel()
	for list, name := range map[string]string{
		`["a"]`:                               "(0:a)",
		`[""]`:                                "(0:)",
		`["a/b%2F"]`:                          "(0:a/b%2F)",
		`["a(b)c"]`:                           "(0:abc)",
		`["line\nline"]`:                      "(0:line\nline)",
		`[1.50]`:                              "(0:1.50)",
		`[true]`:                              "(0:true)",
		`[null]`:                              "(0:null)",
		`[[1, "two", {"b": 2, "a": "<"}]]`:    `(0:[1 two {"a":"<","b":2}])`,
		`[{"b": 2, "a": "x", "c": ["<", 1]}]`: `(0:a:x,b:2,c:["<",1])`,
	} {
		e := newEngine(t, head+fmt.Sprintf(`
  - name: main
    dag:
      tasks:
      - {name: a, template: echo, withParam: %q, arguments: {parameters: [{name: text, value: "{{item}}"}]}}
`, list))
		e.act = echo
		e.run(inOrder)
		require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase, e.dump())
		require.Equal(t, "Succeeded", e.phases()["wf.a"+name], e.dump())
		for k := range e.view.Nodes {
			if parent, ok := k.Parent(); ok {
				require.Contains(t, e.view.Nodes, parent)
			}
		}
	}
}

func TestAListThatCannotBeReadMattersOnlyIfItIsUsed(t *testing.T) {
	t.Parallel()
	for when, phase := range map[string]string{"": "Error", "1 == 1": "Error", "1 == 2": "Skipped", "'{{item}}' == x": "Error"} {
		e := newEngine(t, head+fmt.Sprintf(`
  - name: main
    steps:
    - - {name: a, template: echo, withParam: nonsense, when: %q}
      - {name: b, template: echo, withSequence: {count: nonsense}, when: %q}
`, when, when))
		e.run(inOrder)
		require.Equal(t, phase, e.phases()["wf[0].a"], when)
		require.Equal(t, phase, e.phases()["wf[0].b"], when)
	}
}

func TestAnEmptyListInTheSpecIsNoLoop(t *testing.T) {
	t.Parallel()
	e := newEngine(t, head+`
  - name: main
    steps:
    - - {name: a, template: echo, withItems: []}
`)
	e.run(inOrder)
	require.Equal(t, map[string]string{"wf": "Succeeded", "wf[0].a": "Succeeded"}, e.phases())
}

func TestErrorsAreNoFailuresToAllFailed(t *testing.T) {
	t.Parallel()
	for phase, want := range map[spec.NodePhase]string{spec.NodeFailed: "Succeeded", spec.NodeError: "Omitted"} {
		e := newEngine(t, head+`
  - name: main
    dag:
      tasks:
      - {name: a, template: echo, withItems: [1, 2]}
      - {name: b, template: echo, depends: a.AllFailed}
`)
		e.act = func(n *workflow.Node, _ *spec.Template) *workflow.Result {
			switch {
			case strings.Contains(string(n.Key), "(1:2)"):
				return &workflow.Result{Phase: phase}
			case strings.Contains(string(n.Key), "(0:1)"):
				return &workflow.Result{Phase: spec.NodeFailed}
			}
			return &workflow.Result{Phase: spec.NodeSucceeded}
		}
		e.run(inOrder)
		require.Equal(t, want, e.phases()["wf.b"])
	}
}

// A list may come from what other nodes export meanwhile.
func TestALoopKeepsTheListThatItStartedWith(t *testing.T) {
	t.Parallel()
	e := newEngine(t, head+`
  - name: export
    inputs: {parameters: [{name: list}]}
    outputs: {parameters: [{name: out, globalName: list, valueFrom: {path: /tmp/out}}]}
    container: {image: busybox, command: [echo], args: ["{{inputs.parameters.list}}"]}
  - name: main
    dag:
      tasks:
      - {name: first, template: export, arguments: {parameters: [{name: list, value: "[1, 2, 3, 4]"}]}}
      - {name: loop, template: echo, depends: first, withParam: "{{workflow.outputs.parameters.list}}", arguments: {parameters: [{name: text, value: "{{item}}"}]}}
      - {name: other, template: export, depends: first, arguments: {parameters: [{name: list, value: "[]"}]}}
      - {name: all, template: echo, depends: loop && other, arguments: {parameters: [{name: text, value: "{{tasks.loop.outputs.result}}"}]}}
`)
	e.act = echo
	e.view.Limits = workflow.Limits{InFlight: 2}
	e.run(func(n int) int { return n - 1 })
	require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase, e.dump())
	got, _ := e.node("wf.all").Inputs.Parameter("text")
	require.Equal(t, "[1,2,3,4]", got)
}

// Whatever its list comes from, a loop that goes on looks at the items that it starts.
func TestAnItemCostsNotTheWholeList(t *testing.T) {
	t.Parallel()
	const n = 1500
	list, err := json.Marshal(make([]int, n))
	require.NoError(t, err)
	for name, body := range map[string]string{
		"withItems": fmt.Sprintf(`
  - name: main
    steps:
    - - {name: b, template: echo, withItems: %s}
`, list),
		"withParam": fmt.Sprintf(`
  - name: main
    steps:
    - - {name: b, template: echo, withParam: %q}
`, list),
		"withParam of a loop's results": fmt.Sprintf(`
  - name: main
    steps:
    - - {name: a, template: echo, withSequence: {count: "%d"}, arguments: {parameters: [{name: text, value: "{{item}}"}]}}
    - - {name: b, template: echo, withParam: "{{steps.a.outputs.result}}"}
`, n),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, head+body)
			e.act, e.partial = echo, true
			e.view.Limits = workflow.Limits{InFlight: 20, ChunkFrom: -1}
			e.run(inOrder)
			require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase)
			require.Zero(t, e.view.State.Total%n)
			require.Less(t, e.loaded, 10*e.view.State.Total)
		})
	}
}

func TestOutputsOfItemsComeTogether(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		outs      []string // "" is a step that is skipped
		parameter string
		result    string
	}{
		{[]string{"1", "x"}, `["1","x"]`, `[1,"x"]`},
		{[]string{"1", "", `"q"`}, `["1","\"q\""]`, `[1,"q"]`},
		{[]string{"[1]", ` {"a": 1} `}, `[[1],{"a":1}]`, `[[1],{"a":1}]`},
		{[]string{"[1]", "2"}, `["[1]","2"]`, `[[1],2]`},
		{[]string{"", ""}, `[]`, `[]`},
	} {
		e := newEngine(t, head+fmt.Sprintf(`
  - name: main
    steps:
    - - {name: a, template: echo, when: "'{{item.n}}' != ''", withParam: %q, arguments: {parameters: [{name: text, value: "{{item.v}}"}]}}
    - - name: b
        template: echo
        arguments: {parameters: [{name: text, value: "{{steps.a.outputs.parameters.out}} {{steps.a.outputs.result}}"}]}
`, itemsOf(t, tt.outs)))
		e.act, e.partial = echo, true
		e.run(inOrder)
		require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase, e.dump())
		got, _ := e.node("wf[1].b").Inputs.Parameter("text")
		require.Equal(t, tt.parameter+" "+tt.result, got)
	}
}

// itemsOf lists {n, v} for each value, n empty for an empty value.
func itemsOf(t *testing.T, values []string) string {
	var items []map[string]string
	for _, v := range values {
		items = append(items, map[string]string{"v": v, "n": strings.Repeat("n", min(1, len(v)))})
	}
	data, err := json.Marshal(items)
	require.NoError(t, err)
	return string(data)
}
