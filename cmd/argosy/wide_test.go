package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/server/client"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// wide is a loop over so many items.
func wide(items int) string {
	return fmt.Sprintf(`  - name: main
    steps:
    - - {name: a, template: leaf, withSequence: {count: "%d"}, arguments: {parameters: [{name: i, value: "{{item}}"}]}}
  - name: leaf
    inputs: {parameters: [{name: i}]}
    retryStrategy: {limit: "1"}
    container: {image: busybox, command: [sh, -c, "echo number {{inputs.parameters.i}}; exit $((40 == {{inputs.parameters.i}}))"]}
`, items)
}

// TestAWideRunWorksWithEveryVerb takes runs of more items than anybody shows at once through
// the verbs, on a real Redis, with steps that do nothing.
func TestAWideRunWorksWithEveryVerb(t *testing.T) {
	t.Parallel()
	d := start(t, "up", "--addr", "127.0.0.1:0", "--artifacts", t.TempDir(), "--metrics-addr", "", "--slots", "4", "--grace", "1s", "--executor", "noop")
	address := regexp.MustCompile(`--argosy-server (\S+) `).FindStringSubmatch(d.await("argosy is up"))[1]
	c := &commandLine{t: t, env: map[string]string{"ARGOSY_SERVER": address}}
	get := func(name string) *spec.Workflow {
		wf := &spec.Workflow{}
		require.NoError(t, json.Unmarshal([]byte(c.ok("get", "-o", "json", name)), wf))
		require.LessOrEqual(t, len(wf.Status.Nodes), 1000)
		return wf
	}

	const items = 20_000
	out := c.ok("submit", "--watch", "--name", "wide", write(t, "wide", wide(items)))
	require.Contains(t, out, fmt.Sprintf("✔ wide[0].a %d/%d done", items, items))
	require.Less(t, strings.Count(out, "\n"), 1300, "a line for a hundredth of a loop that is not shown whole")

	require.Contains(t, c.ok("get", "wide"), fmt.Sprintf("a(0..%d) %d/%d done", items-1, items, items))
	require.Contains(t, c.ok("get", "wide"), "Not all nodes are shown. argosy get wide --status Failed,Error lists")
	wf := get("wide")
	require.EqualValues(t, fmt.Sprintf("%d/%d", items, items), wf.Status.Progress)
	require.Equal(t, workflow.NodesCut, wf.Status.Conditions[0].Type)

	all := strings.Fields(c.ok("get", "wide", "--all", "-o", "name"))
	require.Len(t, all, 2*items+1)
	require.Equal(t, []string{"wide", "wide[0].a(0:0)", "wide[0].a(0:0)(0)", "wide[0].a(1:1)"}, all[:4])
	first, errs, code := c.run("get", "wide", "--limit", "3", "-o", "name")
	require.Zero(t, code)
	require.Equal(t, all[:3], strings.Fields(first))
	next := regexp.MustCompile(`--continue (\S+),`).FindStringSubmatch(errs)
	require.NotNil(t, next, errs)
	rest, _, _ := c.run("get", "wide", "--limit", "2", "-o", "name", "--continue", next[1])
	require.Equal(t, all[3:5], strings.Fields(rest))
	require.Regexp(t, `^NODE +STATUS +DURATION +PODNAME +MESSAGE\nwide\[0\].a\(19999:19999\) +Succeeded +\d+s\n`+
		`wide\[0\].a\(19999:19999\)\(0\) +Succeeded +\d+s +wide-leaf-\d+\n$`, c.ok("get", "wide", "--under", "wide[0].a(19999:19999)"))
	var page client.NodeList
	require.NoError(t, json.Unmarshal([]byte(c.ok("get", "wide", "--under", workflow.NodeID("wide", "wide[0].a(12345:12345)(0)"), "-o", "json")), &page))
	require.Equal(t, "wide[0].a(12345:12345)(0)", page.Items[0].Name)
	out, errs, code = c.run("get", "wide", "--status", "Failed")
	require.Zero(t, code)
	require.Empty(t, out)
	require.Equal(t, "no nodes found\n", errs)
	require.Empty(t, c.ok("logs", "wide"), "these steps say nothing")
	c.ok("logs", "wide", "wide[0].a(777:777)")
	require.Contains(t, c.ok("list"), "wide")
	c.ok("delete", "wide")

	// One that is far from its end: it is stopped, and another is deleted under way.
	for verb, name := range map[string]string{"stop": "stopped", "delete": "deleted"} {
		c.ok("submit", "--name", name, write(t, "million", wide(1_000_000)))
		require.Eventually(t, func() bool { return len(get(name).Annotations[workflow.LoopsAnnotation]) > 0 }, 30*time.Second, 10*time.Millisecond)
		c.ok(verb, name)
	}
	_, _, code = c.run("wait", "stopped")
	require.Equal(t, exitRunFailed, code)
	wf = get("stopped")
	require.Equal(t, spec.WorkflowFailed, wf.Status.Phase)
	for _, n := range wf.Status.Nodes {
		require.True(t, n.Phase.Fulfilled(), "%s is %s", n.Name, n.Phase)
	}
	_, errs, code = c.run("get", "deleted")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "not found")
}

func TestListingNodesRefusesWhatItCannotMean(t *testing.T) {
	t.Parallel()
	c := &commandLine{t: t, env: map[string]string{"ARGOSY_SERVER": "127.0.0.1:1"}}
	for args, message := range map[string]string{"get x --all --limit 3": "exclude each other", "get x --limit -3": "is not a number"} {
		_, errs, code := c.run(strings.Fields(args)...)
		require.Equal(t, exitUsage, code)
		require.Contains(t, errs, message)
	}
}

// itemLogs is a subtest of TestCommands: the items of a chunked loop log like any step.
func itemLogs(t *testing.T, c *commandLine) {
	_, _, code := c.run("submit", "--wait", "--name", "items", write(t, "items", wide(300)))
	require.Equal(t, exitRunFailed, code)
	attempt := func(i, j int) (name, pod string) {
		k := workflow.Root.Step(0, "a").Child(fmt.Sprintf("(%d:%d)", i, i)).Attempt(j)
		return k.Name("items"), workflow.PodName("items", "leaf", k)
	}
	name, pod := attempt(299, 0)
	for _, way := range []string{name, pod, workflow.NodeID("items", name), strings.TrimSuffix(name, "(0)"), workflow.NodeID("items", strings.TrimSuffix(name, "(0)"))} {
		require.Equal(t, pod+": number 299\n", c.ok("logs", "items", way), way)
	}
	_, first := attempt(40, 0)
	_, second := attempt(40, 1)
	both := c.ok("logs", "items", "items[0].a(40:40)", "-f")
	require.Equal(t, first+": number 40\n"+second+": number 40\n", both, "of an item these are its attempts'")
	require.Equal(t, 301, strings.Count(c.ok("logs", "items"), ": number "))
	failed := c.ok("get", "items", "--status", "Failed", "-o", "name")
	require.Equal(t, []string{"items", "items[0].a(40:40)", "items[0].a(40:40)(0)", "items[0].a(40:40)(1)"}, strings.Fields(failed))
	require.Contains(t, c.ok("get", "items"), "a(0..299) 300/300 done, 1 failed")
}
