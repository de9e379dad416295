package workflow_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// emitted plays a workflow and tells what it emitted, in order.
func (e *engine) emitted() []string {
	e.t.Helper()
	var all []string
	take := func(d *workflow.Delta) {
		for _, m := range d.Metrics {
			labels := []string{}
			for _, l := range m.Labels {
				labels = append(labels, l.Key+"="+l.Value)
			}
			text := fmt.Sprintf("%s{%s} %g", m.Name, strings.Join(labels, ","), m.Value)
			if m.Since != 0 {
				text = fmt.Sprintf("%s{%s} live", m.Name, strings.Join(labels, ","))
			}
			all = append(all, text)
		}
	}
	take(e.turn())
	for turns := 0; e.view.State.Finished == 0; turns++ {
		require.Less(e.t, turns, 100)
		events := []workflow.Event{}
		queue := e.queue
		e.queue = nil
		for _, k := range queue {
			events = append(events, e.answer(k))
		}
		take(e.turn(events...))
	}
	slices.Sort(all)
	return all
}

func TestMetricsOfWhatEnded(t *testing.T) {
	t.Parallel()
	metric := func(name, more string) string {
		return "metrics: {prometheus: [{name: " + name + ", help: h, " + more + "}]}"
	}
	workflowOf := func(spec, templates string) string {
		return "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: wf}\nspec:\n  entrypoint: main\n" + spec + "\n  templates:\n" + templates
	}
	leaf := func(arg, more string) string {
		return "  - {name: leaf, container: {image: a, command: [echo], args: ['" + arg + "']}, " + more + "}\n"
	}
	for name, tc := range map[string]struct {
		text string
		want []string
		err  string
	}{
		"by status and exit code": {
			text: workflowOf("", "  - {name: main, steps: [[{name: a, template: leaf, continueOn: {failed: true}}]]}\n"+
				leaf("exit 3", metric("m", `labels: [{key: s, value: "{{status}}"}, {key: at, value: "{{node.name}}"}], counter: {value: "2"}`))),
			want: []string{"m{s=Failed,at=wf[0].a} 2"},
		},
		"a condition that holds not": {
			text: workflowOf("", "  - {name: main, steps: [[{name: a, template: leaf}]]}\n"+leaf("x", metric("m", `when: "{{status}} == Failed", counter: {value: "1"}`))),
		},
		"values and expressions": {
			text: workflowOf("", "  - {name: main, steps: [[{name: a, template: leaf, arguments: {parameters: [{name: p, value: v}]}}]]}\n"+
				leaf("7.5", `inputs: {parameters: [{name: p}]}, outputs: {parameters: [{name: o, valueFrom: {path: /o}}]}, `+
					`metrics: {prometheus: [{name: "m_{{inputs.parameters.p}}", help: h, gauge: {value: "{{outputs.result}}"}}, `+
					`{name: hist, help: h, histogram: {value: "{{= asFloat(outputs.parameters.o) * 2 }}", buckets: [1, 2.5]}}]}`)),
			want: []string{"hist{} 15", "m_v{} 7.5"},
		},
		"each attempt, and not what tries again": {
			text: workflowOf("", "  - {name: main, steps: [[{name: a, template: leaf, continueOn: {failed: true}}]]}\n"+
				leaf("exit 1", `retryStrategy: {limit: 2}, `+metric("m", `labels: [{key: r, value: "{{retries}}"}], counter: {value: "1"}`))),
			want: []string{"m{r=0} 1", "m{r=1} 1", "m{r=2} 1"},
		},
		"defaults of templates, for scopes too, and not for what is skipped": {
			text: workflowOf("  templateDefaults: {"+metric("m", `labels: [{key: s, value: "{{status}}"}], counter: {value: "1"}`)+"}",
				"  - {name: main, dag: {tasks: [{name: a, template: leaf}, {name: b, template: leaf, when: 'false'}, {name: c, template: leaf, withItems: [1, 2]}]}}\n"+leaf("x", "timeout: ''")),
			want: []string{"m{s=Succeeded} 1", "m{s=Succeeded} 1", "m{s=Succeeded} 1", "m{s=Succeeded} 1"},
		},
		"of the workflow": {
			text: workflowOf("  "+metric("m", `labels: [{key: s, value: "{{workflow.status}}/{{status}}"}], gauge: {value: "{{workflow.duration}}"}`),
				"  - {name: main, steps: [[{name: a, template: leaf}]]}\n"+leaf("exit 1", "timeout: ''")),
			want: []string{"m{s=Failed/Failed} 1"},
		},
		"in real time, and then as it was": {
			text: workflowOf("  "+metric("w", `gauge: {realtime: true, value: "{{workflow.duration}}"}`),
				"  - {name: main, steps: [[{name: a, template: leaf}]]}\n"+leaf("x", metric("m", `gauge: {realtime: true, value: "{{duration}}"}`))),
			want: []string{"m{} 1", "m{} live", "w{} 1", "w{} live"},
		},
		"what cannot be filled": {
			text: workflowOf("", "  - {name: main, steps: [[{name: a, template: leaf}]]}\n"+leaf("x", metric("m", `labels: [{key: s, value: "{{exitCode}}"}], counter: {value: "1"}`))),
			err:  "unable to substitute parameters for metric 'm': ",
		},
		"what is no condition": {
			text: workflowOf("", "  - {name: main, steps: [[{name: a, template: leaf}]]}\n"+leaf("x", metric("m", `when: "{{status}}", counter: {value: "1"}`))),
			err:  "unable to compute 'when' clause for metric 'm': ",
		},
		"what is no number": {
			text: workflowOf("", "  - {name: main, steps: [[{name: a, template: leaf}]]}\n"+leaf("x", metric("m", `counter: {value: "{{outputs.result}}"}`))),
			err:  `could not compute metric 'm': the value "x": `,
		},
	} {
		for _, partial := range []bool{false, true} {
			t.Run(fmt.Sprint(name, partial), func(t *testing.T) {
				t.Parallel()
				e := newEngineOf(t, strings.ReplaceAll(tc.text, ", timeout: ''", ""), func(*spec.Workflow) {})
				e.partial, e.act = partial, echo
				got := e.emitted()
				require.Equal(t, tc.want, got)
				if tc.err == "" {
					require.Empty(t, e.view.State.MetricsError)
					return
				}
				require.Contains(t, e.view.State.MetricsError, tc.err)
				conditions := workflow.Status(e.view, nil).Conditions
				require.Equal(t, spec.ConditionTypeMetricsError, conditions[0].Type)
				require.Equal(t, spec.ConditionTypeCompleted, conditions[1].Type)
			})
		}
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	e := newEngine(t, "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: wf}\nspec: {entrypoint: main, templates: [{name: main, container: {image: a}}]}\n")
	show := func(held map[workflow.Key]bool) (all []string) {
		for _, c := range workflow.Status(e.view, held).Conditions {
			all = append(all, string(c.Type)+" "+string(c.Status))
		}
		return all
	}
	require.Empty(t, show(nil))
	e.turn()
	require.Empty(t, show(nil), "a list does not look at leaves")
	require.Equal(t, []string{"PodRunning False"}, show(map[workflow.Key]bool{workflow.Root: false}))
	require.Equal(t, []string{"PodRunning True"}, show(map[workflow.Key]bool{workflow.Root: true}))
	e.turn(e.answer(workflow.Root))
	require.Equal(t, []string{"PodRunning False", "Completed True"}, show(map[workflow.Key]bool{}))
}
