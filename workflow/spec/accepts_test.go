package spec_test

import (
	"testing"

	"argosy/workflow/spec"

	"github.com/stretchr/testify/require"
)

// What Argo accepts and refuses where one might expect otherwise. A warning stands where an
// error would.
func TestValidationIsAsStrictAsArgos(t *testing.T) {
	t.Parallel()
	const leaf = `
    - name: leaf
      inputs: {parameters: [{name: t, default: d}]}
      outputs: {parameters: [{name: o, valueFrom: {path: /o}}]}
      script: {image: a, source: "echo {{inputs.parameters.t}}"}
`
	for name, c := range map[string]struct{ main, want, warning string }{
		"a member of a group names one before it":   {"steps: [[{name: a, template: leaf}, {name: b, template: leaf, when: '{{steps.a.outputs.result}} == 1'}]]", "", ""},
		"a member of a group names one after it":    {"steps: [[{name: a, template: leaf, when: '{{steps.b.outputs.result}} == 1'}, {name: b, template: leaf}]]", "failed to resolve {{steps.b.outputs.result}}", ""},
		"an output within text of no ancestor":      {"dag: {tasks: [{name: a, template: leaf}, {name: b, template: leaf, arguments: {parameters: [{name: t, value: 'x {{tasks.a.outputs.result}}'}]}}]}", "", ""},
		"an argument that is one of no ancestor":    {"dag: {tasks: [{name: a, template: leaf}, {name: b, template: leaf, arguments: {parameters: [{name: t, value: '{{tasks.a.outputs.result}}'}]}}]}", "templates.main.tasks.b missing dependency 'a' for parameter 't'", ""},
		"the status of no ancestor":                 {"dag: {tasks: [{name: a, template: leaf}, {name: b, template: leaf, when: '{{tasks.a.status}} == Failed'}]}", "failed to resolve {{tasks.a.status}}", ""},
		"a malformed expression":                    {"steps: [[{name: a, template: leaf, arguments: {parameters: [{name: t, value: '{{=1 +}}'}]}}]]", "", "expression {{=1 +}}"},
		"a malformed condition":                     {"steps: [[{name: a, template: leaf, when: '(a == b'}]]", "", "Invalid 'when' expression"},
		"a hook of no template":                     {"steps: [[{name: a, template: leaf, hooks: {exit: {template: none}}}]]", "", "template name 'none' undefined"},
		"an exit handler of no template":            {"steps: [[{name: a, template: leaf, onExit: none}]]", "", "template name 'none' undefined"},
		"a hook that misses an input":               {"steps: [[{name: a, template: leaf, hooks: {exit: {template: needs}}}]]", "", "inputs.parameters.t was not supplied"},
		"a hook without an expression":              {"steps: [[{name: a, template: leaf, hooks: {other: {template: leaf}}}]]", "expression is required", ""},
		"the aggregate of a list":                   {"steps: [[{name: a, template: leaf, withItems: [1]}], [{name: b, template: leaf, when: '{{steps.a.outputs.parameters}} == 1'}]]", "", ""},
		"the aggregate of a sequence":               {"steps: [[{name: a, template: leaf, withSequence: {count: 1}}], [{name: b, template: leaf, when: '{{steps.a.outputs.parameters}} == 1'}]]", "failed to resolve {{steps.a.outputs.parameters}}", ""},
		"an aggregate of artifacts":                 {"steps: [[{name: a, template: leaf, withItems: [1]}], [{name: b, template: leaf, when: '{{steps.a.outputs.artifacts}} == 1'}]]", "failed to resolve {{steps.a.outputs.artifacts}}", ""},
		"a priority that is not set":                {"steps: [[{name: a, template: leaf, when: '{{workflow.priority}} == 1'}]]", "failed to resolve {{workflow.priority}}", ""},
		"the parameters of a run without any":       {"steps: [[{name: a, template: leaf, when: '{{workflow.parameters.json}} == 1'}]]", "failed to resolve {{workflow.parameters.json}}", ""},
		"the inputs of a template without any":      {"steps: [[{name: a, template: leaf, when: '{{inputs.parameters}} == 1'}]]", "failed to resolve {{inputs.parameters}}", ""},
		"the own status of a step":                  {"steps: [[{name: a, template: leaf, arguments: {parameters: [{name: t, value: '{{steps.a.status}}'}]}}]]", "", ""},
		"the own output of a step":                  {"steps: [[{name: a, template: leaf, arguments: {parameters: [{name: t, value: '{{steps.a.outputs.result}}'}]}}]]", "failed to resolve {{steps.a.outputs.result}}", ""},
		"an item that is a map":                     {"steps: [[{name: a, template: leaf, withItems: [{a: b}], when: '{{item}} == 1'}]]", "", ""},
		"continueOn in a dag where another depends": {"dag: {tasks: [{name: a, template: leaf, continueOn: {failed: true}}, {name: b, template: leaf, depends: a}]}", "cannot use 'continueOn' when using 'depends'", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// No apiVersion either: Argo goes by the kind.
			doc := parseOne(t, "kind: Workflow\nmetadata: {name: x}\nspec:\n  entrypoint: main\n  templates:\n    - name: main\n      "+c.main+leaf+
				"    - {name: needs, inputs: {parameters: [{name: t}]}, container: {image: a}}\n")
			require.Equal(t, spec.APIVersion, doc.APIVersion)
			warnings, err := spec.Validate(doc, spec.Options{})
			if c.want != "" {
				require.ErrorContains(t, err, c.want)
				return
			}
			require.NoError(t, err)
			if c.warning != "" {
				require.Len(t, warnings, 1)
				require.Contains(t, warnings[0].String(), c.warning)
			}
		})
	}
}
