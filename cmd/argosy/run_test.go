package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/workflow/spec"
)

func TestExamplesRun(t *testing.T) {
	t.Parallel()
	want := map[string][]string{ // what must be in the output, by example
		"container-set.yaml":         {"odd Succeeded", "even Succeeded", "Succeeded in", "1/1 steps"},
		"volumes.yaml":               {"read Succeeded", "Succeeded in", "2/2 steps"},
		"daemon.yaml":                {"server(0) Succeeded", "client(1:goodbye) Succeeded", "Succeeded in", "3/3 steps"},
		"data.yaml":                  {"reports/b.csv", "reports/north/a.csv", "Succeeded in", "4/4 steps"},
		"exit-handlers.yaml":         {"fails.hooks.alarm Succeeded", "work.onExit Succeeded", "Succeeded in", "6/7 steps"},
		"cron.yaml":                  nil, // see cron_test.go
		"locks.yaml":                 {"Succeeded", "8/8 steps"},
		"memoize.yaml":               {"Succeeded", "4/4 steps"},
		"map-reduce.yaml":            {"total = 85", "Succeeded", "6/6 steps"},
		"metrics.yaml":               {"fail Failed", "Succeeded in", "3/4 steps"},
		"parallelism.yaml":           {"template has failed or errored children and failFast enabled", "report Succeeded", "Succeeded in", "5/6 steps"},
		"retries.yaml":               {"flaky(2) Succeeded", "retryStrategy.expression evaluated to false", "Succeeded in", "2/5 steps"},
		"conditional-artifacts.yaml": {"Succeeded", "2/2 steps"},
		"warm.yaml":                  {"sum Succeeded", "sum = 2870", "21/21 steps"},
		"suspend.yaml":               {"approve Running: to go on: argosy --argosy-server ", "deploy Succeeded", "Succeeded in", "4/4 steps"},
		"ttl.yaml":                   {"Succeeded"},
		"workflow-template.yaml":     {"Succeeded", "4/4 steps"},
		"dag.yaml":                   {"only-if-it-worked Omitted", "repair Succeeded", "maybe Skipped", "last Succeeded", "4/5 steps"},
		"etl.yaml":                   {"check Succeeded", `totals = ["north=675","south=675","west=675"]`, "7/7 steps"},
		"expressions.yaml":           {"measured = 30", "large Skipped", "2/2 steps"},
		"loops.yaml":                 {"sum Succeeded", "22/22 steps"},
		"recursion.yaml":             {"when '1 > 1' evaluated false", "8/8 steps"},
		"workflow-of-workflows.yaml": {"report Succeeded", "3/3 steps"},
		"sweep.yaml":                 {`"rate": "0.01"`, "15/15 steps"},
	}
	files, err := filepath.Glob("../../examples/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var port sync.Mutex // of daemon.yaml, which is the host's
	for _, file := range files {
		texts, ok := want[filepath.Base(file)]
		require.True(t, ok, "say here what example %s must print", file)
		if texts == nil {
			continue
		}
		for _, embedded := range []string{"server", "memory"} {
			t.Run(filepath.Base(file)+" on "+embedded, func(t *testing.T) {
				t.Parallel()
				if strings.HasSuffix(file, "daemon.yaml") {
					port.Lock()
					defer port.Unlock()
				}
				out, errs, code := argosy(t, "run", "--embedded", embedded, file)
				require.Zero(t, code, "%s%s", out, errs)
				for _, text := range texts {
					require.Contains(t, out, text)
				}
			})
		}
	}
}

func TestRunPrintsTheWorkflowAsItEnded(t *testing.T) {
	t.Parallel()
	path := write(t, "fails", "  - name: main\n    container: {image: busybox, command: [sh, -c, exit 3]}\n")
	out, errs, code := argosy(t, "run", "--embedded", "memory", "-o", "json", path)
	require.Equal(t, exitRunFailed, code, errs)
	var wf spec.Workflow
	require.NoError(t, json.Unmarshal([]byte(out), &wf), out)
	require.Equal(t, spec.WorkflowFailed, wf.Status.Phase)
	require.Len(t, wf.Status.Nodes, 1)
	_, errs, code = argosy(t, "run", "-o", "wide", path)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "output")
}

func TestBadInputIsRefusedBeforeAnythingStarts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text, message string
	}{
		{"misspelt", "  - name: main\n    contaner: {image: busybox}\n", `:8:5: spec.templates[0].contaner: unknown field "contaner" (did you mean "container"?)`},
		{"cycle", "  - name: main\n    dag:\n      tasks:\n      - {name: a, template: main, dependencies: [b]}\n      - {name: b, template: main, dependencies: [a]}\n", "dependency cycle detected: a->b->a"},
		{"unknown", "  - name: main\n    steps: [[{name: a, template: man}]]\n", `:8:24: spec.templates[0].steps[0][0].template: templates.main.steps[0].a template name 'man' undefined (did you mean "main"?)`},
		{"expression", "  - name: main\n    container: {image: busybox, command: [echo, \"{{= 1 + \"]}\n", ":8:49: spec.templates[0].container.command[1]: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			refused(t, write(t, tt.name, tt.text), tt.message)
		})
	}
	whole := map[string]struct {
		data    []byte
		message string
	}{
		"empty":  {nil, ":1:1: no objects in file"},
		"binary": {[]byte("\x7fELF\x00\xff\xfe"), ":1:"},
		"large":  {bytes.Repeat([]byte("# ten megabytes of comments\n"), 10<<20/28+1), "is the most that is read"},
	}
	for name, w := range whole {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), name+".yaml")
			require.NoError(t, os.WriteFile(path, w.data, 0o600))
			refused(t, path, w.message)
		})
	}
	t.Run("absent", func(t *testing.T) {
		t.Parallel()
		refused(t, filepath.Join(t.TempDir(), "absent.yaml"), "no such file or directory")
	})
}

// refused runs a file that must be refused. A Redis that cannot be reached would be the
// first thing to fail if anything were started.
func refused(t *testing.T, path, message string) {
	t.Helper()
	out, errs, code := argosy(t, "run", "--redis-url", "redis://127.0.0.1:1", path)
	require.Equal(t, exitUsage, code, "%s%s", out, errs)
	require.Empty(t, out)
	require.Contains(t, errs, message)
	require.NotContains(t, errs, "Redis")
}

func TestStepsEndAsArgoReportsThem(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, template, message, phase string
	}{
		{"exit", `{image: busybox, command: [sh, -c, "echo last words; exit 3"]}`, "main: Error (exit code 3)", "Failed"},
		{"killed", `{image: busybox, command: [sh, -c, "sh -c 'kill -9 $PPID'; sleep 60"]}`, "main: Error (exit code 137)", "Failed"},
		{"absent", `{image: busybox, command: [no-such-tool]}`, "executable file not found", "Failed"},
		{"imageonly", `{image: busybox}`, "process executor needs a command", "Error"},
		{"deadline", "{image: busybox, command: [sleep, \"600\"]}\n    activeDeadlineSeconds: 2", "Pod was active on the node longer than the specified deadline", "Failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, errs, code := argosy(t, "run", write(t, tt.name, "  - name: main\n    container: "+tt.template+"\n"))
			require.Equal(t, exitRunFailed, code, "%s%s", out, errs)
			require.Contains(t, out, tt.message)
			require.Contains(t, out, tt.phase+" in ")
		})
	}
}

func TestAnInterruptEndsTheStepsAndLeavesNothing(t *testing.T) {
	t.Parallel()
	// A directory of its own shows what is left. The marker shows the step's processes,
	// which ignore the polite signal.
	tmp := t.TempDir()
	marker := "31415.92653"
	file := write(t, "long", `  - name: main
    container: {image: busybox, command: [sh, -c, "trap '' TERM; sleep `+marker+` & sleep `+marker+`"]}
`)
	cmd := command(t.Context(), "run", "--grace", "1s", "--log-level", "debug", file)
	cmd.Env = append(cmd.Env, "TMPDIR="+tmp)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool { return running(marker) == 2 }, 30*time.Second, 10*time.Millisecond, "the step does not start")
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	_ = cmd.Wait()
	require.Equal(t, exitInterrupted, cmd.ProcessState.ExitCode(), out.String())
	require.Zero(t, running(marker), "the step still runs")
	left, err := os.ReadDir(tmp)
	require.NoError(t, err)
	require.Empty(t, left, "left in the temporary directory")
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	require.NoError(t, err)
	require.NotContains(t, string(mounts), tmp)
}

// running counts the processes of `sleep marker`.
func running(marker string) int {
	out, err := exec.Command("ps", "-eo", "args").Output()
	if err != nil {
		return -1
	}
	n := 0
	for line := range strings.Lines(string(out)) {
		if strings.TrimSpace(line) == "sleep "+marker {
			n++
		}
	}
	return n
}
