package main

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

func runningAgain(t *testing.T, c *commandLine) {
	file := write(t, "again", `
  - name: main
    steps:
    - - {name: first, template: sh, arguments: {parameters: [{name: do, value: "echo first $(date +%N)"}]}}
    - - {name: second, template: sh, arguments: {parameters: [{name: do, value: "echo second $(date +%N); exit {{workflow.parameters.code}}"}]}}
    - - {name: third, template: sh, withSequence: {count: "3"}, arguments: {parameters: [{name: do, value: "echo third-{{item}} $(date +%N)"}]}}
  - name: sh
    inputs: {parameters: [{name: do}]}
    container: {image: busybox, command: [sh, -c, "{{inputs.parameters.do}}"]}
  onExit: bye
  arguments: {parameters: [{name: code, value: "3"}]}
`)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(text), "  onExit: bye", `  - name: bye
    container: {image: busybox, command: [echo, "bye"]}
  onExit: bye`, 1)), 0o600))
	get := func() *spec.Workflow {
		t.Helper()
		var wf spec.Workflow
		require.NoError(t, json.Unmarshal([]byte(c.ok("get", "-o", "json", "one")), &wf))
		return &wf
	}
	wrote := func(what string) string {
		t.Helper()
		lines := regexp.MustCompile(`(?m)^.*: `+what+` \d+$`).FindAllString(c.ok("logs", "one"), -1)
		require.LessOrEqual(t, len(lines), 1, "the logs of what runs again are removed")
		return strings.Join(lines, "")
	}
	_, _, code := c.run("submit", "--wait", "--name", "one", file)
	require.Equal(t, exitRunFailed, code)
	failed := get()
	require.Equal(t, spec.WorkflowFailed, failed.Status.Phase)
	first, second := wrote("first"), wrote("second")
	require.NotEmpty(t, first)

	out, errs, code := c.run("retry", "--wait", "one")
	require.Equal(t, exitRunFailed, code, errs)
	require.Contains(t, out, "workflow one retried\n")
	require.Equal(t, first, wrote("first"))
	require.NotEqual(t, second, wrote("second"))
	require.Empty(t, wrote("third-0"))
	require.Equal(t, failed.UID, get().UID)

	c.ok("retry", "--wait", "one", "-p", "code=0")
	better := get()
	require.Equal(t, spec.WorkflowSucceeded, better.Status.Phase)
	require.Equal(t, spec.Progress("6/6"), better.Status.Progress)
	require.Equal(t, first, wrote("first"))
	require.Equal(t, "0", better.Spec.Arguments.Parameters[0].Value.String())

	kept, other := wrote("third-0"), wrote("third-1")
	_, errs, code = c.run("retry", "one")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "To retry a succeeded workflow, set the options restartSuccessful and nodeFieldSelector")
	c.ok("retry", "--wait", "one", "--restart-successful", "--node-field-selector", "displayName=third(1:1)")
	require.Equal(t, spec.WorkflowSucceeded, get().Status.Phase)
	require.Equal(t, kept, wrote("third-0"))
	require.NotEqual(t, other, wrote("third-1"))
}

func waitingForSomebody(t *testing.T, c *commandLine) {
	file := write(t, "approval", `
  - name: main
    steps:
    - - {name: approve, template: wait}
      - {name: other, template: wait}
    - - {name: go, template: say, arguments: {parameters: [{name: text, value: "{{steps.approve.outputs.parameters.verdict}}"}]}}
  - name: wait
    suspend: {}
    outputs: {parameters: [{name: verdict, valueFrom: {supplied: {}}}]}
  - name: say
    inputs: {parameters: [{name: text}]}
    container: {image: busybox, command: [echo, "{{inputs.parameters.text}}"]}
`)
	until := func(name, text string) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Contains(c.ok("get", "-o", "json", name), text) }, 20*time.Second, 20*time.Millisecond)
	}
	refused := func(message string, args ...string) {
		t.Helper()
		_, errs, code := c.run(args...)
		require.Equal(t, exitUsage, code)
		require.Contains(t, errs, message)
	}
	approve := []string{"--node-field-selector", "displayName=approve"}
	c.ok("submit", "--name", "one", file)
	until("one", `"progress": "0/2"`)
	refused("raw output parameter 'verdict' has not been set and does not have a default value", "resume", "one")
	refused("node is not expecting output parameter 'other'", append([]string{"node", "set", "one", "-p", "other=yes"}, approve...)...)
	require.Equal(t, "workflow values set\n", c.ok(append([]string{"node", "set", "one", "-p", "verdict=sure", "-m", "seen"}, approve...)...))
	refused("it was already set", append([]string{"node", "set", "one", "-p", "verdict=no"}, approve...)...)
	require.Contains(t, c.ok("get", "-o", "json", "one"), `"message": "seen"`)
	c.ok("node", "set", "one", "-p", "verdict=x", "--phase", "Succeeded", "--node-field-selector", "displayName=other,templateName=wait")
	c.ok("resume", "one")
	c.ok("wait", "one")
	require.Contains(t, c.ok("logs", "one"), ": sure")
	c.ok("resume", "one") // nothing is left to resume
	refused("cannot suspend completed workflows", "suspend", "one")

	c.ok("submit", "--name", "two", file)
	until("two", `"progress": "0/2"`)
	c.ok(append([]string{"stop", "two", "--message", "no way"}, approve...)...)
	c.ok("node", "set", "two", "-p", "verdict=x", "--phase", "Succeeded", "--node-field-selector", "displayName=other")
	_, _, code := c.run("wait", "two")
	require.Equal(t, exitRunFailed, code)
	require.Contains(t, c.ok("get", "-o", "json", "two"), `"message": "no way"`)

	file = write(t, "suspended", shell("true")+"  suspend: true\n")
	c.ok("submit", "--name", "three", file)
	until("three", `"suspend": true`)
	until("three", `"phase": "Running"`)
	require.NotContains(t, c.ok("get", "-o", "json", "three"), `"Pod"`)
	c.ok("resume", "three")
	c.ok("wait", "three")
}

func resubmitting(t *testing.T, c *commandLine) {
	file := write(t, "again", `
  - name: main
    steps:
    - - {name: first, template: sh, arguments: {parameters: [{name: do, value: "echo first | tee /tmp/out"}]}}
    - - {name: wide, template: sh, withSequence: {count: "300"}, arguments: {parameters: [{name: do, value: "echo {{item}} > /tmp/out; [ {{item}} -ne 7 ] || exit {{workflow.parameters.code}}"}]}}
    - - {name: last, template: sh, arguments: {parameters: [{name: do, value: "echo {{steps.first.outputs.parameters.out}} {{steps.wide.outputs.parameters.out}} | cut -c 1-20 | tee /tmp/out"}]}}
  - name: sh
    inputs: {parameters: [{name: do}]}
    outputs: {parameters: [{name: out, valueFrom: {path: /tmp/out}}]}
    container: {image: busybox, command: [sh, -c, "{{inputs.parameters.do}}"]}
  arguments: {parameters: [{name: code, value: "3"}]}
`)
	get := func(name string) *spec.Workflow {
		t.Helper()
		var wf spec.Workflow
		require.NoError(t, json.Unmarshal([]byte(c.ok("get", "-o", "json", name)), &wf))
		return &wf
	}
	started := func(args ...string) string {
		t.Helper()
		out, errs, _ := c.run(args...)
		name := regexp.MustCompile(`workflow \S+ resubmitted as (\S+)`).FindStringSubmatch(out)
		require.NotNil(t, name, out+errs)
		return name[1]
	}
	_, _, code := c.run("submit", "--wait", "--labels", "team=ships", "--name", "one", file)
	require.Equal(t, exitRunFailed, code)

	name := started("resubmit", "--wait", "one", "-p", "code=0")
	require.Regexp(t, `^one-.{5}$`, name)
	wf := get(name)
	require.Equal(t, spec.WorkflowSucceeded, wf.Status.Phase)
	require.Equal(t, "one", wf.Labels["workflows.argoproj.io/resubmitted-from-workflow"])
	require.Equal(t, "ships", wf.Labels["team"])
	require.Equal(t, "one-", wf.GenerateName)
	require.Equal(t, spec.Progress("302/302"), wf.Status.Progress)
	again := get(started("resubmit", "--wait", name))
	require.Equal(t, "one-", again.GenerateName)
	require.Equal(t, name, again.Labels["workflows.argoproj.io/resubmitted-from-workflow"])

	_, errs, code := c.run("resubmit", "--memoized", name)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "workflow must be Failed/Error to resubmit in memoized mode")

	memoized := get(started("resubmit", "--memoized", "--wait", "one"))
	require.Equal(t, spec.WorkflowFailed, memoized.Status.Phase)
	first := memoized.Status.Nodes[workflow.NodeID(memoized.Name, memoized.Name+"[0].first")]
	require.Equal(t, spec.NodeSkipped, first.Phase)
	require.Equal(t, "original pod: "+workflow.NodeID("one", "one[0].first"), first.Message)
	require.Equal(t, "first", first.Outputs.Parameters[0].Value.String())
	require.Equal(t, spec.Progress("0/1"), memoized.Status.Progress, "what is skipped does not count")
	for item, message := range map[string]string{"(6:6)": "original pod: " + workflow.NodeID("one", "one[1].wide(6:6)"), "(7:7)": "main: Error (exit code 3)"} {
		require.Equal(t, message, memoized.Status.Nodes[workflow.NodeID(memoized.Name, memoized.Name+"[1].wide"+item)].Message)
	}

	renewed := get(started("resubmit", "--memoized", "--wait", "one", "-p", "code=0"))
	require.Equal(t, spec.WorkflowSucceeded, renewed.Status.Phase)
	last := renewed.Status.Nodes[workflow.NodeID(renewed.Name, renewed.Name+"[2].last")]
	require.Equal(t, "first [0,1,2,3,4,5,6", last.Outputs.Parameters[0].Value.String())
}
