package spec_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow/spec"
)

func TestOnlyWorkflowsOfATemplateAreAllowedUnderARestriction(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: wf}\nspec:\n"
	tests := map[string]struct{ text, strict string }{
		"of its own":    {"  entrypoint: a\n  templates: [{name: a, container: {image: x}}]\n", "wf.yaml:4:1: spec: workflows must use workflowTemplateRef to be executed when the controller is in reference mode"},
		"of a template": {"  workflowTemplateRef: {name: t}\n  entrypoint: a\n  arguments: {parameters: [{name: x, value: y}]}\n  suspend: true\n  ttlStrategy: {secondsAfterSuccess: 1}\n", ""},
		"with more": {"  workflowTemplateRef: {name: t}\n  hostNetwork: true\n  podSpecPatch: '{}'\n",
			"wf.yaml:6:3: spec.hostNetwork: hostNetwork is not permitted when using workflowTemplateRef with templateReferencing restriction: the WorkflowTemplate has to have it\n" +
				"wf.yaml:7:3: spec.podSpecPatch: podSpecPatch is not permitted when using workflowTemplateRef with templateReferencing restriction: the WorkflowTemplate has to have it"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			docs, err := spec.Parse("wf.yaml", []byte(head+test.text))
			require.NoError(t, err)
			require.NoError(t, spec.RestrictionNone.Check(&docs[0]))
			for _, r := range []spec.Restriction{spec.RestrictionStrict, spec.RestrictionSecure} {
				if err := r.Check(&docs[0]); test.strict != "" {
					require.Equal(t, test.strict, err.Error())
				} else {
					require.NoError(t, err)
				}
			}
		})
	}
}
