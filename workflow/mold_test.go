package workflow

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// rich has tags in every kind of place, and what looks like one.
const rich = `{"name": "t{{a}}", "metadata": {"labels": {"x": "y"}},
	"inputs": {"parameters": [{"name": "p", "value": "v"}], "artifacts": [{"name": "in", "path": "/in/{{b}}", "s3": {"key": "{{a}}/{{b}}"}}]},
	"outputs": {"parameters": [{"name": "o", "valueFrom": {"path": "/out/{{=a + b}}"}}], "artifacts": [{"name": "out", "path": "/{{a}}", "optional": true}]},
	"nodeSelector": {"zone": "z"},
	"container": {"image": "i:{{a}}", "command": ["sh", "-c"], "args": ["{{a}} {{ b }} {{unknown.name}} {{{", "plain", "<&>\u2028{{b}}"],
		"env": [{"name": "E", "value": "{{b}}"}, {"name": "F", "valueFrom": {"secretKeyRef": {"name": "{{a}}", "key": "k"}}}],
		"resources": {"limits": {"memory": "64Mi"}}}}`

func TestAMoldFillsAsJSONDoes(t *testing.T) {
	t.Parallel()
	scope := expr.Map{"a": "one \"quoted\"\n", "b": "{{a}} \\ <ü>", "c": "\xff"}
	for name, c := range map[string]struct {
		json string
		mold bool
	}{
		"tags in texts":         {rich, true},
		"none":                  {`{"name": "t", "container": {"image": "i"}}`, true},
		"a script":              {`{"name": "t", "script": {"image": "i", "source": "echo {{a}}", "env": [{"name": "{{b}}"}]}}`, true},
		"text that is no UTF-8": {`{"name": "{{c}}", "container": {"image": "i"}}`, true},
		"a map":                 {`{"name": "t", "metadata": {"labels": {"x": "{{a}}"}}, "container": {"image": "i"}}`, false},
		"a number as text":      {`{"name": "t", "activeDeadlineSeconds": "{{a}}", "container": {"image": "i"}}`, false},
		"a value of any kind":   {`{"name": "t", "inputs": {"parameters": [{"name": "p", "value": "{{a}}"}]}, "container": {"image": "i"}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := &spec.Template{}
			require.NoError(t, json.Unmarshal([]byte(c.json), st))
			moulded, err := compileTemplate(st)
			require.NoError(t, err)
			got, err := moulded.filled(scope)
			require.NoError(t, err)
			require.Equal(t, c.mold, moulded.mold != nil)

			plain, err := compileTemplate(st)
			require.NoError(t, err)
			plain.mold = nil
			want, err := plain.filled(scope)
			require.NoError(t, err)
			require.Equal(t, want, got)

			// A copy is its owner's, as far as anybody writes into it.
			before, err := json.Marshal(moulded.Template)
			require.NoError(t, err)
			for i := range got.Outputs.Artifacts {
				got.Outputs.Artifacts[i].S3 = &spec.S3Artifact{Key: "mine"}
			}
			got.Inputs.Artifacts = append(got.Inputs.Artifacts[:0], spec.Artifact{Name: "mine"})
			again, err := moulded.filled(scope)
			require.NoError(t, err)
			require.Equal(t, want, again)
			after, err := json.Marshal(moulded.Template)
			require.NoError(t, err)
			require.Equal(t, string(before), string(after))
		})
	}
}
