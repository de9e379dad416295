package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/artifacts/artifactstest"
	"argosy/worker/egress"
	"argosy/workflow/spec"
)

// A run whose repository is in one cloud, with a template and an artifact in two others: its
// steps hand on artifacts, one lists a directory, and the end deletes what it may.
func TestArtifactsGoToTheCloudsThatLocationsName(t *testing.T) {
	t.Parallel()
	gcs, azure, oss := artifactstest.StartGCS(t), artifactstest.StartAzure(t), artifactstest.StartOSS(t)
	ofRun, ofTemplate, ofArtifact := gcs.Bucket(), azure.Container(), oss.Bucket()
	key, err := json.Marshal(string(gcs.Key()))
	require.NoError(t, err)
	atOSS := fmt.Sprintf("endpoint: %q, bucket: %s, createBucketIfNotPresent: true, accessKeySecret: {name: cred, key: id}, secretKeySecret: {name: cred, key: secret}", ofArtifact.Endpoint, ofArtifact.Bucket)
	file := write(t, "clouds", `  - name: main
    steps:
    - - {name: make, template: make}
      - {name: elsewhere, template: elsewhere}
    - - {name: list, template: list}
      - name: read
        template: read
        arguments:
          artifacts:
          - {name: a, from: "{{steps.make.outputs.artifacts.a}}"}
          - {name: b, from: "{{steps.make.outputs.artifacts.b}}"}
          - {name: c, from: "{{steps.elsewhere.outputs.artifacts.c}}"}
          - {name: part, from: "{{steps.make.outputs.artifacts.dir}}", subPath: two}
    - - name: show
        template: show
        arguments: {parameters: [{name: keys, value: "{{steps.list.outputs.result}}"}]}
  - name: make
    container: {image: busybox, command: [sh, -c, "mkdir /dir; echo A > /a; echo B > /b; echo X > /dir/one; echo Y > /dir/two; echo gone > /gone"]}
    outputs:
      artifacts:
      - {name: a, path: /a}
      - {name: b, path: /b, archive: {none: {}}, oss: {key: "{{workflow.name}}-b", `+atOSS+`}}
      - {name: dir, path: /dir, archive: {none: {}}, gcs: {key: listed}}
      - {name: gone, path: /gone, artifactGC: {strategy: OnWorkflowCompletion}}
  - name: elsewhere
    archiveLocation: {azure: {blob: "own/{{workflow.name}}", endpoint: "`+ofTemplate.Endpoint+`", container: `+ofTemplate.Container+`, accountKeySecret: {name: cred, key: azure}}}
    container: {image: busybox, command: [sh, -c, "echo C > /c; echo gone > /d"]}
    outputs: {artifacts: [{name: c, path: /c}, {name: d, path: /d, artifactGC: {strategy: OnWorkflowCompletion}}]}
  - name: list
    data:
      source: {artifactPaths: {name: dir, gcs: {key: listed}}}
      transformation: [{expression: "filter(data, {# endsWith 'one'})"}]
  - name: read
    inputs: {artifacts: [{name: a, path: /in/a}, {name: b, path: /in/b}, {name: c, path: /in/c}, {name: part, path: /in/part}]}
    container: {image: busybox, command: [sh, -c, "cat /in/*"]}
  - name: show
    inputs: {parameters: [{name: keys}]}
    container: {image: busybox, command: [echo, "{{inputs.parameters.keys}}"]}
  artifactRepositoryRef: {}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: artifact-repositories
  annotations: {workflows.argoproj.io/default-artifact-repository: cloud}
data:
  cloud: |
    gcs: {keyFormat: "runs/{{workflow.name}}/{{node.name}}", bucket: `+ofRun.Bucket+`, serviceAccountKeySecret: {name: cred, key: google}}
---
apiVersion: v1
kind: Secret
metadata: {name: cred}
stringData: {id: "`+ofArtifact.AccessKey+`", secret: "`+ofArtifact.SecretKey+`", azure: "`+ofTemplate.Key+`", google: `+string(key)+`}
`)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := command(ctx, "run", "--log", file)
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, gcsEmulator+"="+gcs.URL())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Run(), "%s", &out)
	for _, text := range []string{"A", "B", "C", "Y", `["listed/one"]`} {
		require.Contains(t, out.String(), text)
	}
	require.Regexp(t, `^listed/one listed/two runs/clouds-\w+/clouds-\w+\[0\]\.make/a\.tgz$`, strings.Join(gcs.Keys(ofRun.Bucket), " "))
	require.Regexp(t, `^own/clouds-\w+/c\.tgz$`, strings.Join(azure.Keys(ofTemplate.Container), " "))
	require.Regexp(t, `^clouds-\w+-b$`, strings.Join(oss.Keys(ofArtifact.Bucket), " "))
	for _, denied := range [][]string{gcs.Denied(), azure.Denied(), oss.Denied()} {
		require.Empty(t, denied)
	}
}

func TestCloudsAreNotReachedAsTheWorkerUnasked(t *testing.T) {
	t.Parallel()
	for want, l := range map[string]spec.ArtifactLocation{
		`gcs bucket "b": to have no serviceAccountKeySecret would lend a workflow the rights of the worker`: {GCS: &spec.GCSArtifact{GCSBucket: spec.GCSBucket{Bucket: "b"}, Key: "k"}},
		`oss bucket "b": useSDKCreds would lend a workflow the rights of the worker`:                        {OSS: &spec.OSSArtifact{OSSBucket: spec.OSSBucket{Bucket: "b", Endpoint: "e", UseSDKCreds: true}, Key: "k"}},
		`azure container "c": useSDKCreds would lend a workflow the rights of the worker`:                   {Azure: &spec.AzureArtifact{AzureBlobContainer: spec.AzureBlobContainer{Container: "c", Endpoint: "e", UseSDKCreds: true}, Blob: "k"}},
	} {
		_, _, err := (&artifactStore{web: &egress.Guard{}}).at(t.Context(), &spec.Artifact{Name: "a", ArtifactLocation: l})
		require.ErrorContains(t, err, want)
	}
}
