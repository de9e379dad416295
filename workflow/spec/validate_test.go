package spec_test

import (
	"fmt"
	"strings"
	"testing"

	"argosy/workflow/spec"

	"github.com/stretchr/testify/require"
)

func parseOne(t *testing.T, text string) *spec.Document {
	t.Helper()
	docs, err := spec.Parse("wf.yaml", []byte(text))
	require.NoError(t, err)
	require.Len(t, docs, 1)
	return &docs[0]
}

func TestStoredTemplatesAreFollowedWhereTheyAreKnown(t *testing.T) {
	t.Parallel()
	stored := parseOne(t, `apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: stored}
spec:
  entrypoint: main
  templates:
    - name: main
      inputs: {parameters: [{name: text}]}
      outputs: {parameters: [{name: size, valueFrom: {path: /s}}]}
      container: {image: alpine}
`).Object.(*spec.WorkflowTemplate)
	find := func(name string, cluster bool) *spec.WorkflowSpec {
		if name == "stored" && !cluster {
			return &stored.Spec
		}
		return nil
	}
	for name, c := range map[string]struct{ body, want string }{
		"all there":         {"steps: [[{name: a, templateRef: {name: stored, template: main}, arguments: {parameters: [{name: text, value: x}]}}], [{name: b, template: end, when: '{{steps.a.outputs.parameters.size}} > 1'}]]", ""},
		"input missing":     {"steps: [[{name: a, templateRef: {name: stored, template: main}}]]", "templates.run.steps[0].a templates.main inputs.parameters.text was not supplied"},
		"template missing":  {"steps: [[{name: a, templateRef: {name: stored, template: mian}}]]", `template 'mian' is not found in workflow template "stored" (did you mean "main"?)`},
		"object missing":    {"steps: [[{name: a, templateRef: {name: stored, template: main, clusterScope: true}}]]", `cluster workflow template "stored" not found`},
		"output missing":    {"steps: [[{name: a, templateRef: {name: stored, template: main}, arguments: {parameters: [{name: text, value: x}]}}], [{name: b, template: end, when: '{{steps.a.outputs.parameters.sice}} > 1'}]]", "failed to resolve {{steps.a.outputs.parameters.sice}}"},
		"reference unnamed": {"steps: [[{name: a, templateRef: {template: main}}]]", "templateRef.name is required"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, doc := parseWorkflow(t, "spec:\n  entrypoint: run\n  templates:\n    - name: end\n      suspend: {}\n    - name: run\n      "+c.body+"\n")
			_, err := spec.Validate(doc, spec.Options{Templates: find})
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
		})
	}

	t.Run("workflowTemplateRef", func(t *testing.T) {
		t.Parallel()
		_, doc := parseWorkflow(t, "spec:\n  workflowTemplateRef: {name: stored}\n")
		_, err := spec.Validate(doc, spec.Options{})
		require.NoError(t, err, "without templates the reference is trusted")
		_, err = spec.Validate(doc, spec.Options{Templates: find})
		require.ErrorContains(t, err, "templates.main inputs.parameters.text was not supplied")
		_, doc = parseWorkflow(t, "spec:\n  workflowTemplateRef: {name: stored}\n  arguments: {parameters: [{name: text, value: x}]}\n")
		_, err = spec.Validate(doc, spec.Options{Templates: find})
		require.NoError(t, err)
	})
}

func TestLintLetsArgumentsComeWithTheSubmission(t *testing.T) {
	t.Parallel()
	wf, doc := parseWorkflow(t, `spec:
  entrypoint: main
  arguments: {parameters: [{name: message}]}
  templates:
    - name: main
      inputs: {parameters: [{name: message}]}
      container: {image: alpine, args: ["{{inputs.parameters.message}}"]}
`)
	_, err := spec.Validate(doc, spec.Options{Lint: true})
	require.NoError(t, err)
	_, err = spec.Validate(doc, spec.Options{})
	require.ErrorContains(t, err, "spec.arguments.message.value or spec.arguments.message.valueFrom is required")
	wf.Spec.Arguments.Parameters[0].Value = spec.AnyStringPtr("given with -p")
	_, err = spec.Validate(doc, spec.Options{})
	require.NoError(t, err)
}

func TestInlineTemplatesSeeTheirStepAndTheirOwnInputs(t *testing.T) {
	t.Parallel()
	const body = `spec:
  entrypoint: main
  templates:
    - name: main
      steps:
        - - name: first
            inline: {script: {image: alpine, source: echo}}
        - - name: second
            withItems: [1, 2]
            arguments: {parameters: [{name: own, value: x}]}
            inline:
              inputs: {parameters: [{name: own}]}
              container: {image: alpine, args: ["{{item}} {{steps.first.outputs.result}} {{inputs.parameters.%s}}"]}
`
	_, doc := parseWorkflow(t, fmt.Sprintf(body, "own"))
	_, err := spec.Validate(doc, spec.Options{})
	require.NoError(t, err)
	_, doc = parseWorkflow(t, fmt.Sprintf(body, "none"))
	_, err = spec.Validate(doc, spec.Options{})
	require.ErrorContains(t, err, "wf.yaml:16:49: spec.templates[0].steps[1][0].inline.container.args[0]: templates.main.steps[1].second.inline failed to resolve {{inputs.parameters.none}}")
}

func TestALongDAGIsValidated(t *testing.T) {
	t.Parallel()
	doc := parseOne(t, string(bigWorkflow(1<<20)))
	_, err := spec.Validate(doc, spec.Options{})
	require.NoError(t, err)
	tasks := doc.Object.(*spec.Workflow).Spec.Template("main").DAG.Tasks
	tasks[0].Dependencies = []string{tasks[len(tasks)-1].Name}
	_, err = spec.Validate(doc, spec.Options{})
	require.ErrorContains(t, err, "dependency cycle detected: task-0->")
}

func TestUnsupportedFieldsAreRefusedOrWarnedOf(t *testing.T) {
	t.Parallel()
	_, doc := parseWorkflow(t, `spec:
  entrypoint: main
  synchronization: {mutexes: [{name: m}]}
  podGC: {strategy: OnPodSuccess}
  executor: {serviceAccountName: a}
  suspend: false
  templates:
    - name: main
      daemon: false
      metadata: {labels: {a: b}}
      steps:
        - - {name: one, inline: {plugin: {p: {}}}}
        - - {name: two, template: wait, arguments: {artifacts: [{name: x, s3: {key: a}}, {name: y, hdfs: {path: u}}]}}
    - name: wait
      suspend: {}
    - name: leaf
      inputs: {parameters: [{name: a}, {name: b, valueFrom: {event: payload}}]}
      retryStrategy: {limit: 1, affinity: {nodeAntiAffinity: {}}}
      container: {image: alpine, resources: {limits: {cpu: 1}}}
  executorPlugins: [{spec: {}}]
`)
	warnings, err := spec.Unsupported(doc)
	require.EqualError(t, err, strings.Join([]string{
		"wf.yaml:16:100: spec.templates[0].steps[1][0].arguments.artifacts[1].hdfs: " + spec.NoHDFS + ": arguments.artifacts.hdfs",
		"wf.yaml:20:62: spec.templates[2].inputs.parameters[1].valueFrom.event: only the arguments of a WorkflowEventBinding have an event: inputs.parameters.valueFrom.event",
		"wf.yaml:23:3: spec.executorPlugins: executor plugins are not started with a workflow: start the program beside the workers, and these with --executor-plugin: executorPlugins",
	}, "\n"))
	var got []string
	for i := range warnings {
		got = append(got, warnings[i].String())
	}
	require.Equal(t, []string{
		"wf.yaml:7:3: spec.podGC: has an effect in Kubernetes Jobs only: podGC",
		"wf.yaml:8:3: spec.executor: has no effect yet: executor",
		"wf.yaml:13:7: spec.templates[0].metadata: has an effect in Kubernetes Jobs only: metadata",
		"wf.yaml:21:33: spec.templates[2].retryStrategy.affinity: has an effect in Kubernetes Jobs only: retryStrategy.affinity",
		"wf.yaml:22:34: spec.templates[2].container.resources: has an effect in Kubernetes Jobs only: container.resources",
	}, got)

}

func TestManyErrorsAreFoundInGoodTime(t *testing.T) {
	t.Parallel()
	const n = 20_000
	var b strings.Builder
	b.WriteString(header + "spec:\n  entrypoint: main\n  templates:\n    - name: main\n      dag:\n        tasks:\n")
	for i := range n {
		fmt.Fprintf(&b, "          - {name: task-%d, template: main-%d, dependencies: [no-%d], when: '{{tasks.no-%d.id}}'}\n", i, i, i, i)
	}
	_, err := spec.Validate(parseOne(t, b.String()), spec.Options{})
	var list spec.ErrorList
	require.ErrorAs(t, err, &list)
	require.Len(t, list, 50)

	b.Reset()
	b.WriteString(header + "spec:\n")
	for i := range n {
		fmt.Fprintf(&b, "  entrypoint%d: x\n", i)
	}
	_, err = spec.Parse("x", []byte(b.String()))
	require.ErrorAs(t, err, &list)
	require.Len(t, list, 50)
}

func TestNamesInExpressionsThatAreNothingAreWarnedOf(t *testing.T) {
	t.Parallel()
	docs, err := spec.Parse("x.yaml", []byte(`
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: x}
spec:
  entrypoint: main
  arguments: {parameters: [{name: json, value: "{}"}]}
  templates:
    - name: main
      inputs: {parameters: [{name: a, value: x}]}
      steps:
        - - {name: one, template: echo, arguments: {parameters: [{name: t, value: "{{=inputs.parameters.a + inputs.parameters.b}}"}]}}
        - - name: two
            template: echo
            when: "{{=steps.one.exitCode == '0'}}"
            arguments: {parameters: [{name: t, value: "{{=steps['zero'].outputs.result ?? 'x'}} {{=fromJSON(workflow.parameters.json).a.b}} {{=keys(inputs.parameters)}} {{=steps.one.status}}"}]}
    - name: echo
      inputs: {parameters: [{name: t}]}
      container: {image: a, args: ["{{=workflow.parameters.none}}"]}
`))
	require.NoError(t, err)
	warnings, err := spec.Validate(&docs[0], spec.Options{})
	require.NoError(t, err)
	var got []string
	for i := range warnings {
		got = append(got, warnings[i].Message)
	}
	require.Equal(t, []string{
		"templates.main.steps[0].one nothing is called inputs.parameters.b here",
		"templates.main.steps[1].two nothing is called steps.zero.outputs.result here",
		"templates.echo nothing is called workflow.parameters.none here",
	}, got)
}

func TestNamesMayComeLater(t *testing.T) {
	t.Parallel()
	const body = "spec:\n  entrypoint: main\n  templates: [{name: main, container: {image: alpine}}]\n"
	for name, c := range map[string]struct{ kind, metadata, strict, lint string }{
		"a workflow without a name":      {"Workflow", "{}", "name or generateName is required", ""},
		"a generated name":               {"Workflow", "{generateName: a-}", "", ""},
		"a template's generated name":    {"WorkflowTemplate", "{generateName: a-}", "", ""},
		"a template without a name":      {"WorkflowTemplate", "{}", "name is required", ""},
		"a cluster template's too":       {"ClusterWorkflowTemplate", "{generateName: a-}", "", ""},
		"a name that nothing could have": {"Workflow", "{name: A_b}", "not valid", "not valid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc := parseOne(t, "apiVersion: argoproj.io/v1alpha1\nkind: "+c.kind+"\nmetadata: "+c.metadata+"\n"+body)
			for want, o := range map[*string]spec.Options{&c.strict: {}, &c.lint: {Lint: true}} {
				_, err := spec.Validate(doc, o)
				if *want == "" {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, *want)
				}
			}
		})
	}
}

func TestTheEnumOfAnInputIsAnOffer(t *testing.T) {
	t.Parallel()
	_, doc := parseWorkflow(t, `spec:
  entrypoint: main
  arguments: {parameters: [{name: how, value: c, enum: [a, b]}]}
  templates:
    - name: main
      steps: [[{name: one, template: leaf, arguments: {parameters: [{name: size, value: large}]}}]]
    - name: leaf
      inputs: {parameters: [{name: size, default: tiny, enum: [small]}]}
      container: {image: alpine, args: ["{{steps}} {{inputs.parameters.size}}"]}
`)
	warnings, err := spec.Validate(doc, spec.Options{})
	require.EqualError(t, err, "wf.yaml:6:28: spec.arguments.parameters[0]: spec.arguments.how.value should be present in spec.arguments.how.enum list: a, b")
	require.Len(t, warnings, 2)
	require.Contains(t, warnings[0].String(), "the value 'large' of parameter size is not in its enum: small")
	require.Contains(t, warnings[1].String(), "the value 'tiny' of parameter size is not in its enum: small")
}

func TestTagsOfNoRootOfOursAreLeftAlone(t *testing.T) {
	t.Parallel()
	for tag, known := range map[string]bool{"steps": true, "workflow": true, "user.name": true, "item": true, "items": true, "item[0]": true, "item.a": false, "steps.a.status": false, "workflow.nothing": false} {
		t.Run(tag, func(t *testing.T) {
			t.Parallel()
			_, doc := parseWorkflow(t, "spec:\n  entrypoint: main\n  templates: [{name: main, container: {image: alpine, args: [\"{{"+tag+"}}\"]}}]\n")
			_, err := spec.Validate(doc, spec.Options{})
			if known {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, "failed to resolve {{"+tag+"}}")
			}
		})
	}
}
