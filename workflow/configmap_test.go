package workflow_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

func TestInputsComeFromConfigMaps(t *testing.T) {
	t.Parallel()
	label := map[string]string{"workflows.argoproj.io/configmap-type": "Parameter"}
	configs := map[string]*workflow.ConfigMap{"c": {Labels: label, Data: map[string]string{"k": "v"}}, "bare": {Data: map[string]string{"k": "v"}}}
	for _, c := range []struct{ name, input, arguments, want, message string }{
		{"a key", "valueFrom: {configMapKeyRef: {name: c, key: k}}", "", "v", ""},
		{"names with tags", "valueFrom: {configMapKeyRef: {name: '{{workflow.parameters.map}}', key: '{{workflow.parameters.key}}'}}", "", "v", ""},
		{"an argument wins", "valueFrom: {configMapKeyRef: {name: c, key: k}}", "value: mine", "mine", ""},
		{"an argument from one", "default: d", "valueFrom: {configMapKeyRef: {name: c, key: k}}", "v", ""},
		{"a default for a key", "valueFrom: {configMapKeyRef: {name: c, key: none}, default: d}", "", "d", ""},
		{"a default for a map", "valueFrom: {configMapKeyRef: {name: none, key: k}, default: d}", "", "d", ""},
		{"no key", "valueFrom: {configMapKeyRef: {name: c, key: none}}", "", "", "unable to retrieve inputs.parameters.p from ConfigMap: ConfigMap 'c' does not have the key 'none'"},
		{"no map", "valueFrom: {configMapKeyRef: {name: none, key: k}}", "", "", "unable to retrieve inputs.parameters.p from ConfigMap: ConfigMap 'none' does not exist. Please make sure it has the label workflows.argoproj.io/configmap-type: Parameter to be detectable by the controller"},
		{"no label", "valueFrom: {configMapKeyRef: {name: bare, key: k}, default: d}", "", "", "unable to retrieve inputs.parameters.p from ConfigMap: ConfigMap 'bare' needs to have the label workflows.argoproj.io/configmap-type: Parameter to load parameters"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			arguments := ""
			if c.arguments != "" {
				arguments = ", arguments: {parameters: [{name: p, " + c.arguments + "}]}"
			}
			e := newEngine(t, rooted+`
  entrypoint: main
  arguments: {parameters: [{name: map, value: c}, {name: key, value: k}]}
  templates:
  - name: leaf
    inputs: {parameters: [{name: p, `+c.input+`}]}
    container: {image: busybox, args: ["{{inputs.parameters.p}}"]}
  - name: main
    steps: [[{name: a, template: leaf`+arguments+`}]]
`)
			e.act, e.configs = echo, configs
			e.run(inOrder)
			n := e.node("wf[0].a")
			if c.message != "" {
				require.Equal(t, spec.NodeError, n.Phase)
				require.Equal(t, c.message, n.Message)
				return
			}
			require.Equal(t, c.want, e.said("wf[0].a"))
		})
	}
}

func TestARunWhoseArgumentsLackAConfigMapEndsAsError(t *testing.T) {
	t.Parallel()
	e := newEngine(t, rooted+`
  entrypoint: main
  arguments: {parameters: [{name: p, valueFrom: {configMapKeyRef: {name: none, key: k}}}]}
  templates: [{name: main, container: {image: busybox, args: ["{{workflow.parameters.p}}"]}}]
`)
	e.turn()
	s := e.view.State
	require.Equal(t, spec.WorkflowError, s.Phase)
	require.NotZero(t, s.Finished)
	require.Contains(t, s.Message, "failed to set global parameter p from configmap with name none and key k: ConfigMap 'none' does not exist.")
}

func TestLoopsThatReadConfigMapsAreNotChunked(t *testing.T) {
	t.Parallel()
	e := newEngine(t, rooted+`
  entrypoint: main
  templates:
  - name: leaf
    inputs: {parameters: [{name: p, valueFrom: {configMapKeyRef: {name: c, key: k}, default: d}}]}
    container: {image: busybox, args: ["{{inputs.parameters.p}}"]}
  - name: main
    steps: [[{name: a, template: leaf, withSequence: {count: 3}}]]
`)
	e.act, e.view.Limits.ChunkFrom = echo, 1
	e.run(inOrder)
	require.Equal(t, "d", e.said("wf[0].a(2:2)"))
}

func TestARunWhoseClaimsKubernetesRefusesEndsAsError(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]spec.WorkflowPhase{"ReadWriteOnce": spec.WorkflowSucceeded, "Sometimes": spec.WorkflowError} {
		e := newEngine(t, rooted+`
  entrypoint: leaf
  arguments: {parameters: [{name: mode, value: `+mode+`}]}
  volumeClaimTemplates: [{metadata: {name: work}, spec: {accessModes: ["{{workflow.parameters.mode}}"]}}]
  templates:
  - {name: leaf, container: {image: busybox}}
`)
		e.run(inOrder)
		require.Equal(t, want, e.view.State.Phase)
		if want == spec.WorkflowError {
			require.Equal(t, `pvc create error: PersistentVolumeClaim "wf-work" is invalid: spec.accessModes: Unsupported value: "Sometimes": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"`, e.view.State.Message)
		}
	}
}
