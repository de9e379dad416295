package workflow_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

func TestWhatPodsHadOfResourcesIsSummedUp(t *testing.T) {
	t.Parallel()
	e := newEngine(t, `
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: wf}
spec:
  entrypoint: main
  metrics: {prometheus: [{name: all, help: h, counter: {value: "{{resourcesDuration.cpu}}"}}]}
  templates:
  - name: main
    steps:
    - - {name: a, template: leaf, withSequence: {count: "2"}}
    - - {name: b, template: inner}
  - name: inner
    dag: {tasks: [{name: c, template: leaf}]}
  - name: leaf
    retryStrategy: {limit: 1}
    container: {image: x}
    metrics: {prometheus: [{name: one, help: h, counter: {value: "{{resourcesDuration.cpu}}"}}]}
`)
	e.act = func(n *workflow.Node, _ *spec.Template) *workflow.Result {
		r := &workflow.Result{Phase: spec.NodeSucceeded, Resources: spec.ResourcesDuration{"cpu": 2, "memory": 5}}
		if n.Key.Name("wf") == "wf[1].b.c(0)" {
			r.Phase = spec.NodeFailed
		}
		return r
	}
	require.Equal(t, []string{"all{} 8", "one{} 2", "one{} 2", "one{} 2", "one{} 2"}, e.emitted())

	status := workflow.Status(e.view, nil)
	require.Equal(t, spec.ResourcesDuration{"cpu": 8, "memory": 20}, status.ResourcesDuration)
	of := func(name string) int {
		return int(status.Nodes[workflow.NodeID("wf", name)].ResourcesDuration["cpu"])
	}
	for name, want := range map[string]int{
		"wf": 8, "wf[0]": 4, "wf[0].a(0:0)": 2, "wf[0].a(0:0)(0)": 2, "wf[1]": 4, "wf[1].b": 4, "wf[1].b.c": 4, "wf[1].b.c(0)": 2,
	} {
		require.Equal(t, want, of(name), name)
	}
}

func TestAttemptsAvoidHostsOnceTheyFailedThere(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		affinity string
		want     [][]string
	}{
		"if asked to": {", affinity: {nodeAntiAffinity: {}}", [][]string{nil, {"h0"}, {"h0", "h1"}, {"h0", "h1"}}},
		"else not":    {"", [][]string{nil, nil, nil, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, head+`
  - name: main
    retryStrategy: {limit: 3`+tt.affinity+`}
    container: {image: x}
`)
			var avoided [][]string
			e.act = func(n *workflow.Node, _ *spec.Template) *workflow.Result {
				avoided = append(avoided, n.Avoid)
				return &workflow.Result{Phase: spec.NodeFailed, Host: fmt.Sprintf("h%d", min(len(avoided)-1, 1))}
			}
			e.run(func(int) int { return 0 })
			require.Equal(t, tt.want, avoided)
		})
	}
}
