package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/artifacts/artifactstest"
)

const pluginFile = `  - name: main
    steps:
    - - {name: make, template: make}
    - - name: read
        template: read
        arguments:
          artifacts:
          - {name: a, from: "{{steps.make.outputs.artifacts.a}}"}
          - {name: b, from: "{{steps.make.outputs.artifacts.b}}"}
          - {name: part, from: "{{steps.make.outputs.artifacts.dir}}", subPath: sub/two}
  - name: make
    container: {image: busybox, command: [sh, -c, "mkdir -p /dir/sub; echo A > /a; echo B > /b; echo gone > /gone; echo two > /dir/sub/two"]}
    outputs:
      artifacts:
      - {name: a, path: /a}
      - {name: b, path: /b, archive: {none: {}}, plugin: {name: test, configuration: own, key: b-key}}
      - {name: dir, path: /dir, archive: {none: {}}}
      - {name: gone, path: /gone, artifactGC: {strategy: OnWorkflowCompletion}}
  - name: read
    inputs: {artifacts: [{name: a, path: /in/a}, {name: b, path: /in/b}, {name: part, path: /in/part}]}
    container: {image: busybox, command: [sh, -c, "cat /in/*"]}
  artifactRepositoryRef: {}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: artifact-repositories
  annotations: {workflows.argoproj.io/default-artifact-repository: plugin}
data:
  plugin: |
    plugin: {name: test, configuration: shared, keyFormat: "{{workflow.name}}/{{node.name}}"}
`

func TestArtifactsGoToThePluginsThatLocationsName(t *testing.T) {
	t.Parallel()
	p := artifactstest.StartPlugin(t, true)
	file := write(t, "plugins", pluginFile)
	out, errs, code := argosy(t, "run", "--embedded", "memory", "--log", "--artifact-plugin", "test="+p.Socket, file)
	require.Zero(t, code, "%s%s", out, errs)
	for _, text := range []string{"A", "B", "two"} {
		require.Contains(t, out, text)
	}
	kept := p.Objects()
	require.Equal(t, "B\n", kept["own/b-key"])
	require.Len(t, kept, 3, "and what is to go is gone")
	require.True(t, p.Asked("Delete"))
}

func TestPluginsThatAreNotThereAreRefusedAtSubmission(t *testing.T) {
	t.Parallel()
	refused(t, write(t, "plugins", `  - name: main
    container: {image: busybox, command: [sh]}
    outputs:
      artifacts:
      - {name: b, path: /b, plugin: {name: test, key: k}}
`), `:11:38: spec.templates[0].outputs.artifacts[0].plugin.name: artifact driver plugin "test" is not configured`)
	byRepository := strings.Replace(pluginFile, "plugin: {name: test, configuration: own, key: b-key}", "s3: {key: k}", 1)
	out, errs, code := argosy(t, "run", "--embedded", "memory", write(t, "plugins", byRepository))
	require.Equal(t, exitUsage, code, "%s%s", out, errs)
	require.Regexp(t, `spec.artifactRepositoryRef: artifactRepositoryRef: key "plugin" of config map "artifact-repositories": artifact driver plugin "test" is not configured`, errs)
	_, errs, code = argosy(t, "run", "--artifact-plugin", "test=relative", write(t, "plugins", pluginFile))
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "no absolute path")
}
