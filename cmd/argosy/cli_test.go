package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/workflow/spec"
)

// commandLine is a shell of our own: it runs commands in this process.
type commandLine struct {
	t     *testing.T
	env   map[string]string
	stdin string
}

func (c *commandLine) run(args ...string) (stdout, stderr string, code int) {
	c.t.Helper()
	var out, errs bytes.Buffer
	a := &app{in: strings.NewReader(c.stdin), out: &out, err: &errs, now: time.Now, env: func(k string) string { return c.env[k] }}
	code = a.execute(c.t.Context(), args)
	return out.String(), errs.String(), code
}

// ok runs a command that must succeed and returns what it printed.
func (c *commandLine) ok(args ...string) string {
	c.t.Helper()
	out, errs, code := c.run(args...)
	require.Zero(c.t, code, "argosy %s\n%s%s", strings.Join(args, " "), out, errs)
	return out
}

func TestUsageErrorsAreOneLineAndExitWith2(t *testing.T) {
	t.Parallel()
	c := &commandLine{t: t}
	file := write(t, "hello", "  - name: main\n    container: {image: busybox, command: [\"true\"]}\n")
	for _, tt := range []struct {
		args    string
		message string
	}{
		{"nope", `unknown command "nope"`},
		{"list --nope", "unknown flag: --nope (see argosy list --help)"},
		{"list extra", "unknown command"},
		{"list -o xml", `--output: "xml" is not one of`},
		{"list --status Gone", `--status: "Gone" is not one of`},
		{"list --since soon", `--since: "soon" is not a duration`},
		{"list --running --completed", "exclude each other"},
		{"list --argosy-server ftp://x", "neither host:port nor an http URL"},
		{"get", "requires at least 1 arg"},
		{"submit", "requires at least 1 arg"},
		{"submit -p novalue " + file, "expected name=value"},
		{"submit --name a --generate-name b- " + file, "exclude each other"},
		{"submit --name a " + file + " " + file, "more than one workflow"},
		{"submit --watch " + file + " " + file, "need a single workflow"},
		{"submit -f absent.yaml " + file, "no such file"},
		{"delete", "give at least one name"},
		{"delete --all x", "not both"},
		{"stop", "give at least one name"},
		{"suspend", "give at least one name"},
		{"node get x", `"get" is not one of: set`},
		{"node set x -p nothing", "expected name=value"},
		{"logs x --since 1h --since-time 2026-01-31T12:00:00Z", "exclude each other"},
		{"logs x --since-time noon", "is not a time"},
		{"lint absent.yaml", "no such file"},
		{"lint " + t.TempDir(), "no YAML or JSON files"},
		{"lint -o xml x", "is not one of"},
	} {
		out, errs, code := c.run(strings.Fields(tt.args)...)
		require.Equal(t, exitUsage, code, "argosy %s: %s", tt.args, errs)
		require.Empty(t, out, tt.args)
		require.Contains(t, errs, tt.message, tt.args)
		require.Equal(t, 1, strings.Count(errs, "\n"), "argosy %s: %s", tt.args, errs)
	}
}

func TestAServerThatIsNotThereExitsWith3(t *testing.T) {
	t.Parallel()
	c := &commandLine{t: t, env: map[string]string{"ARGOSY_SERVER": "127.0.0.1:1"}}
	for _, args := range []string{"list", "get x", "watch x", "wait x", "logs x", "stop x y", "delete --all", "version"} {
		_, errs, code := c.run(strings.Fields(args)...)
		require.Equal(t, exitServer, code, args)
		require.Contains(t, errs, "cannot reach the server at http://127.0.0.1:1")
		require.Equal(t, 1, strings.Count(errs, "\n"), errs)
	}
}

func TestEveryCommandHasExamples(t *testing.T) {
	t.Parallel()
	root := newRoot(&app{env: func(string) string { return "" }})
	for _, cmd := range root.Commands() {
		require.NotEmpty(t, cmd.Short)
		require.Contains(t, cmd.Example, "argosy "+cmd.Name(), "argosy %s --help has no example", cmd.Name())
	}
}

func TestServersAreNamedByFlagOrEnvironment(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		flag string
		env  map[string]string
		want string
	}{
		{"", nil, "http://localhost:2746"},
		{"", map[string]string{"ARGOSY_SERVER": "a:1"}, "http://a:1"},
		{"b:2", map[string]string{"ARGOSY_SERVER": "a:1"}, "http://b:2"},
		{"", map[string]string{"ARGOSY_SERVER": "https://a/base/"}, "https://a/base"},
		{"", map[string]string{"ARGO_SERVER": "c:3"}, "https://c:3"},
		{"", map[string]string{"ARGO_SERVER": "c:3", "ARGO_SECURE": "false"}, "http://c:3"},
		{"", map[string]string{"ARGO_SERVER": "c:3", "ARGO_BASE_HREF": "/argo/"}, "https://c:3/argo"},
		{"", map[string]string{"ARGOSY_SERVER": "a:1", "ARGO_SERVER": "c:3"}, "http://a:1"},
	} {
		a := &app{env: func(k string) string { return tt.env[k] }, conn: connFlags{server: tt.flag}}
		c, err := a.client()
		require.NoError(t, err)
		require.Equal(t, tt.want, c.Address())
	}
}

func TestDryRunShowsWhatWouldBeSubmitted(t *testing.T) {
	t.Parallel()
	c := &commandLine{t: t, stdin: `{"apiVersion":"argoproj.io/v1alpha1","kind":"Workflow","metadata":{"generateName":"a-","labels":{"x":"1","y":"2"}},
		"spec":{"entrypoint":"main","arguments":{"parameters":[{"name":"who"},{"name":"n","value":"1"}]},
		"templates":[{"name":"main","container":{"image":"busybox","command":["true"]}},{"name":"other","container":{"image":"busybox","command":["true"]}}]}}`}
	params := filepath.Join(t.TempDir(), "params.yaml")
	require.NoError(t, os.WriteFile(params, []byte("n: 7\nlist: [1, 2]\nwho: file\n"), 0o600))
	out := c.ok("submit", "--dry-run", "-o", "json", "-f", params, "-p", "who=a=b", "--name", "given", "--entrypoint", "other",
		"--labels", "y=3,z=4", "--serviceaccount", "sa", "--priority", "5", "-")
	var wf spec.Workflow
	require.NoError(t, json.Unmarshal([]byte(out), &wf))
	require.Equal(t, "given", wf.Name)
	require.Empty(t, wf.GenerateName)
	require.Equal(t, "other", wf.Spec.Entrypoint)
	require.Equal(t, "sa", wf.Spec.ServiceAccountName)
	require.EqualValues(t, 5, *wf.Spec.Priority)
	require.Equal(t, map[string]string{"x": "1", "y": "3", "z": "4"}, wf.Labels)
	got := map[string]string{}
	for _, p := range wf.Spec.Arguments.Parameters {
		got[p.Name] = p.GetValue()
	}
	require.Equal(t, map[string]string{"who": "a=b", "n": "7", "list": "[1,2]"}, got)

	_, errs, code := c.run("submit", "--dry-run", "-")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "stdin:2:58: ", "an argument without a value has a place")
	require.Contains(t, errs, "spec.arguments.who.value or spec.arguments.who.valueFrom is required")
}

func TestLintFindsEverythingInAFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	good := "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: a-}\nspec:\n  entrypoint: main\n  templates:\n  - {name: main, container: {image: busybox, command: [ls]}}\n"
	bad := file("bad.yaml", strings.Replace(good, "entrypoint", "entrypont", 1)+"---\n"+strings.Replace(good, "main, cont", "nain, cont", 1))
	file("good.yml", good)
	file("note.txt", "not a workflow")
	c := &commandLine{t: t}

	out, errs, code := c.run("lint", dir)
	require.Equal(t, exitUsage, code)
	require.Empty(t, errs)
	require.Contains(t, out, bad+":\n  error: 5:3: spec.entrypont: unknown field")
	require.Contains(t, out, "error: 13:", "the second document is checked too")
	require.NotContains(t, out, "note.txt")

	out, _, code = c.run("lint", "-o", "simple", bad)
	require.Equal(t, exitUsage, code)
	require.Contains(t, out, bad+":5:3: spec.entrypont: ")

	out, _, code = c.run("lint", "-o", "json", dir)
	require.Equal(t, exitUsage, code)
	var results []lintResult
	require.NoError(t, json.Unmarshal([]byte(out), &results))
	require.Len(t, results, 2)
	require.NotEmpty(t, results[0].Errors)
	require.Empty(t, results[1].Errors)

	require.Equal(t, "no errors in 1 objects of 1 files\n", c.ok("lint", filepath.Join(dir, "good.yml")))
}

// TestCommands drives the commands against a server with a coordinator and a worker on a
// real Redis. Every subtest has a namespace of its own.
func TestCommands(t *testing.T) {
	t.Parallel()
	d := start(t, "up", "--addr", "127.0.0.1:0", "--artifacts", t.TempDir(), "--metrics-addr", "", "--slots", "8", "--grace", "1s")
	address := regexp.MustCompile(`--argosy-server (\S+) `).FindStringSubmatch(d.await("argosy is up"))[1]
	for name, test := range map[string]func(t *testing.T, c *commandLine){
		"a run from submit to delete":      fromSubmitToDelete,
		"a failed run":                     failedRun,
		"runs are chosen by what they are": choosing,
		"logs":                             readingLogs,
		"logs of items":                    itemLogs,
		"stopping":                         stopping,
		"waiting":                          waitingForSomebody,
		"running again":                    runningAgain,
		"resubmitting":                     resubmitting,
		"several at once":                  severalAtOnce,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := "ns-" + strings.ReplaceAll(name, " ", "-")
			test(t, &commandLine{t: t, env: map[string]string{"ARGOSY_SERVER": address, "ARGOSY_NAMESPACE": ns}})
		})
	}
	t.Run("the API", func(t *testing.T) {
		t.Parallel()
		testAPI(t, "http://"+strings.TrimPrefix(address, "http://"))
	})
}

func shell(script string) string {
	quoted, _ := json.Marshal(script)
	return "  - name: main\n    container: {image: busybox, command: [sh, -c, " + string(quoted) + "]}\n"
}

func fromSubmitToDelete(t *testing.T, c *commandLine) {
	file := write(t, "hello", `  - name: main
    steps:
    - - {name: first, template: say, arguments: {parameters: [{name: what, value: ahoy}]}}
    - - {name: each, template: say, arguments: {parameters: [{name: what, value: "{{item}}"}]}, withItems: [1, 2]}
    outputs: {parameters: [{name: said, valueFrom: {parameter: "{{steps.first.outputs.result}}"}}]}
  - name: say
    inputs: {parameters: [{name: what}]}
    script: {image: busybox, command: [sh], source: "echo {{inputs.parameters.what}}"}
`)
	out := c.ok("submit", "--watch", file)
	name := regexp.MustCompile(`hello-[a-z0-9]{5}`).FindString(out)
	require.NotEmpty(t, name)
	for _, want := range []string{name + " submitted\n", "✔ first Succeeded", "✔ each(1:2) Succeeded", "✔ " + name + " Succeeded in ", ", 3/3 steps", "said = ahoy"} {
		require.Contains(t, out, want)
	}

	require.Equal(t, name+"\n", c.ok("list", "-o", "name"))
	require.Regexp(t, `^NAME +STATUS +AGE +DURATION +PRIORITY +MESSAGE\n`+name+` +Succeeded +\d+s +\d+s +0`, c.ok("list"))
	require.Regexp(t, `^NAMESPACE +NAME `, c.ok("list", "-A"))
	require.Contains(t, c.ok("get", "@latest"), "Progress:            3/3")
	require.Regexp(t, `(?m)^ +└─┬─✔ each\(0:1\) +say +`+name+`-say-\d+ `, c.ok("get", name))
	require.Contains(t, c.ok("get", "-o", "yaml", name), "phase: Succeeded")
	require.Contains(t, c.ok("wait", name), name+" Succeeded at ")
	require.Contains(t, c.ok("watch", "@latest"), name+" Succeeded in ")
	require.Regexp(t, name+`-say-\d+: ahoy\n`, c.ok("logs", name))

	_, errs, code := c.run("stop", name)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "cannot shutdown a completed workflow")

	require.Equal(t, "workflow "+name+" deleted (dry-run)\n", c.ok("delete", "--dry-run", name))
	require.Equal(t, "workflow "+name+" deleted\n", c.ok("delete", name))
	for _, verb := range []string{"get", "wait", "watch", "logs", "stop", "terminate", "delete"} {
		_, errs, code = c.run(verb, name)
		require.Equal(t, exitUsage, code, verb)
		require.Contains(t, errs, `workflows.argoproj.io "`+name+`" not found`, verb)
	}
	c.ok("wait", "--ignore-not-found", name)
	c.ok("delete", "--ignore-not-found", name)
}

func failedRun(t *testing.T, c *commandLine) {
	file := write(t, "fails", shell("echo one; echo two; exit 3"))
	out, errs, code := c.run("submit", "--watch", file)
	require.Equal(t, exitRunFailed, code, errs)
	require.Contains(t, out, "exit code 3")
	require.Contains(t, out, "│ two\n", "the last lines of the log are shown")
	require.Empty(t, errs)
	out, _, code = c.run("wait", "@latest")
	require.Equal(t, exitRunFailed, code)
	require.Contains(t, out, " Failed at ")
	_, _, code = c.run("submit", "--log", file)
	require.Equal(t, exitRunFailed, code)
}

func choosing(t *testing.T, c *commandLine) {
	ok, bad := write(t, "good", shell("true")), write(t, "bad", shell("exit 1"))
	c.ok("submit", "--wait", "--name", "good-1", "--labels", "team=ships", ok)
	c.ok("submit", "--wait", "--name", "good-2", ok)
	_, _, code := c.run("submit", "--wait", "--name", "bad-1", "--labels", "team=ships", bad)
	require.Equal(t, exitRunFailed, code)
	for _, tt := range []struct{ args, want string }{
		{"", "bad-1 good-2 good-1"}, // the newest first
		{"--chunk-size 1", "bad-1 good-2 good-1"},
		{"--limit 2", "bad-1 good-2"},
		{"-l team=ships", "bad-1 good-1"},
		{"--status Failed,Error", "bad-1"},
		{"--status Succeeded -l team=ships", "good-1"},
		{"--prefix good-", "good-2 good-1"},
		{"--prefix good- --chunk-size 1 -l team", "good-1"},
		{"--running", ""},
		{"--completed --prefix b", "bad-1"},
		{"--field-selector metadata.name=good-2", "good-2"},
		{"--field-selector metadata.name!=good-2", "bad-1 good-1"},
		{"--since 1h", "bad-1 good-2 good-1"},
		{"--older 1h", ""},
	} {
		out := c.ok(append([]string{"list", "-o", "name"}, strings.Fields(tt.args)...)...)
		require.Equal(t, tt.want, strings.Join(strings.Fields(out), " "), "argosy list %s", tt.args)
	}
	_, errs, code := c.run("submit", "--name", "good-1", ok)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, `workflows.argoproj.io "good-1" already exists`)
	require.Equal(t, "workflow good-1 deleted\n", c.ok("delete", "-l", "team=ships", "--status", "Succeeded"))
	c.ok("delete", "--all")
	out, errs, code := c.run("list")
	require.Zero(t, code)
	require.Empty(t, out)
	require.Equal(t, "no workflows found\n", errs)
}

func readingLogs(t *testing.T, c *commandLine) {
	file := write(t, "talks", `  - name: main
    dag:
      tasks:
      - {name: a, template: speak}
      - {name: b, template: speak, depends: a}
  - name: speak
    container: {image: busybox, command: [sh, -c, "echo first of $0; printf '\\033[2Jcleared\\n'; echo error: last; printf unended", x]}
`)
	followed := c.ok("submit", "--log", file)
	name := regexp.MustCompile(`talks-[a-z0-9]{5}`).FindString(followed)
	require.Equal(t, 8, strings.Count(followed, name+"-speak-"), followed)
	require.Contains(t, followed, name+" Succeeded at ")
	require.NotContains(t, followed, "\x1b", "output of steps does not act on the terminal")

	all := c.ok("logs", name)
	require.Equal(t, 8, strings.Count(all, "\n"), all)
	require.Contains(t, all, ": unended\n")
	pod := regexp.MustCompile(name + `-speak-\d+`).FindString(all)
	require.Equal(t, 4, strings.Count(c.ok("logs", name, pod), pod+": "))
	require.Equal(t, 2, strings.Count(c.ok("logs", "@latest", "--tail", "1"), "\n"))
	require.Equal(t, pod+": error: last\n", c.ok("logs", name, pod, "--grep", "^err"))
	require.Regexp(t, `: \d{4}-\d\d-\d\dT[0-9:.]+Z error: last`, c.ok("logs", name, "--timestamps"))
	require.Equal(t, 8, strings.Count(c.ok("logs", name, "--since", "1h", "-f"), "\n"))
	_, errs, code := c.run("logs", name, "no-such-pod")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, `pods "no-such-pod" not found`)
}

func stopping(t *testing.T, c *commandLine) {
	file := write(t, "long", shell("sleep 600"))
	for verb, args := range map[string][]string{"stop": {"stop", "one", "--message", "enough"}, "terminate": {"terminate", "-l", "way=label"}} {
		name := map[string]string{"stop": "one", "terminate": "two"}[verb]
		c.ok("submit", "--name", name, "--labels", "way=label", file)
		require.Eventually(t, func() bool {
			return strings.Contains(c.ok("get", "-o", "json", name), `"phase": "Running"`)
		}, 20*time.Second, 20*time.Millisecond)
		out := c.ok(args...)
		require.Contains(t, out, "workflow "+name+" "+map[string]string{"stop": "stopped", "terminate": "terminated"}[verb])
		_, _, code := c.run("wait", name)
		require.Equal(t, exitRunFailed, code)
		c.ok("delete", name)
	}
}

func severalAtOnce(t *testing.T, c *commandLine) {
	ok, bad := write(t, "good", shell("true")), write(t, "bad", shell("exit 1"))
	c.stdin = "nonsense: true\n"
	_, errs, code := c.run("submit", ok, "-", bad)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "stdin:1:")
	require.Empty(t, c.ok("list", "-o", "name"), "nothing was started")
	out, _, code := c.run("submit", "--wait", ok, bad)
	require.Equal(t, exitRunFailed, code)
	require.Regexp(t, `(?s)good-\w+ submitted\nbad-\w+ submitted\ngood-\w+ Succeeded.*bad-\w+ Failed`, out)
}
