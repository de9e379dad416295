package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "objects.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

const helloTemplate = `
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: hello}
spec:
  entrypoint: main
  arguments: {parameters: [{name: who, value: all}]}
  templates:
  - name: main
    container: {image: busybox, command: [echo, "hello {{workflow.parameters.who}}"]}
`

func TestTemplatesAreStoredAndSubmitted(t *testing.T) {
	t.Parallel()
	r := startRoles(t)
	r.start("coordinator")
	r.worker()
	ok := func(args ...string) string {
		out, errs, code := r.argosy(args...)
		require.Zero(t, code, "%v: %s%s", args, out, errs)
		return out
	}
	path := file(t, helloTemplate)
	require.Equal(t, "hello created\n", ok("template", "create", path))
	_, errs, code := r.argosy("template", "create", path)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "already exists")
	require.Equal(t, "hello updated\n", ok("template", "update", path))
	require.Equal(t, "hello\n", ok("template", "list", "-o", "name"))
	require.Contains(t, ok("template", "get", "hello"), "entrypoint: main")
	require.Contains(t, ok("template", "lint", path), "no errors")
	out := ok("submit", "--from", "workflowtemplate/hello", "--name", "run", "-p", "who=you", "--wait")
	require.Contains(t, out, "run")
	require.Contains(t, ok("logs", "run", "--no-color"), "hello you")
	require.Equal(t, "hello deleted\n", ok("template", "delete", "hello"))
	require.Contains(t, ok("get", "run"), "Succeeded", "it has what it needs")
	_, _, code = r.argosy("template", "get", "hello")
	require.Equal(t, exitUsage, code)
}

func TestARunShowsHowLongTheLastOfItsTemplateTook(t *testing.T) {
	t.Parallel()
	r := startRoles(t)
	r.start("coordinator")
	ok := func(args ...string) string {
		out, errs, code := r.argosy(args...)
		require.Zero(t, code, "%v: %s%s", args, out, errs)
		return out
	}
	ok("template", "create", file(t, `
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: slow}
spec:
  entrypoint: main
  templates:
  - name: main
    suspend: {duration: "1"}
`))
	require.NotContains(t, ok("submit", "--from", "workflowtemplate/slow", "--name", "first", "--wait")+ok("get", "first"), "EstimatedDuration")
	ok("submit", "--from", "workflowtemplate/slow", "--name", "second")
	require.Regexp(t, `EstimatedDuration: +[12]s`, ok("get", "second"))
	require.Regexp(t, `"estimatedDuration": ?[12],`, ok("get", "second", "-o", "json"))
}

func TestFilesToRunMayReferToEachOtherInAnyOrder(t *testing.T) {
	t.Parallel()
	path := file(t, `
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: run}
spec:
  entrypoint: main
  templates:
  - {name: main, steps: [[{name: a, templateRef: {name: outer, template: call}}]]}
---
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: outer}
spec:
  templates:
  - {name: call, steps: [[{name: b, templateRef: {name: hello, template: main}}]]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
---`+helloTemplate)
	out, errs, code := argosy(t, "run", "-p", "who=you", "--log", path)
	require.Zero(t, code, errs)
	require.Contains(t, out, "hello you")

	lone := file(t, helloTemplate)
	_, errs, code = argosy(t, "run", lone)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "there is no Workflow to run")
}
