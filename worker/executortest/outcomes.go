package executortest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"argosy/worker"
	"argosy/workflow/spec"
)

// outcomes are the ways in which a command ends by itself, and what it sees and says. As
// everywhere in a container's command, $$ stands for one dollar.
var outcomes = []testCase{
	{"exit code 0 is success", func(t *testing.T, b *bench) {
		b.succeed(t, b.step(t, "true"))
	}},
	{"exit code 3 is failure", func(t *testing.T, b *bench) {
		b.fail(t, b.step(t, "exit 3"), 3, "main: Error (exit code 3)")
	}},
	// A shell's own number cannot be named here: Kubernetes reads $$ in a command as one $.
	{"killed by a signal is failure with 128 plus the signal", func(t *testing.T, b *bench) {
		b.fail(t, b.step(t, "sh -c 'kill -9 $PPID'; sleep 10"), 137, "main: Error (exit code 137)")
	}},
	{"ended by SIGTERM from within is failure", func(t *testing.T, b *bench) {
		b.fail(t, b.step(t, "sh -c 'kill -15 $PPID'; sleep 10"), 143, "main: Error (exit code 143)")
	}},
	{"a command that is not found is failure", func(t *testing.T, b *bench) {
		s := b.step(t, "")
		s.Template.Container.Command = []string{"no-such-command"}
		b.fail(t, s, 64, `main: Error (exit code 64): failed to find name in PATH: exec: "no-such-command": executable file not found in $PATH`)
	}},
	{"a path that is not there is failure", func(t *testing.T, b *bench) {
		s := b.step(t, "")
		s.Template.Container.Command = []string{"/no/such/file"}
		b.fail(t, s, 64, `main: Error (exit code 64): failed to find name in PATH: exec: "/no/such/file": stat /no/such/file: no such file or directory`)
	}},
	{"arguments come unchanged", func(t *testing.T, b *bench) {
		s := b.step(t, `printf '<%s>' "$@"`, "name", "two words", `quo"te'`, "", "line\nbreak", "$HOME")
		b.succeed(t, s)
		require.Equal(t, "<two words><quo\"te'><><line\nbreak><$HOME>", logText(s))
	}},
	{"variables in arguments are expanded as Kubernetes does", func(t *testing.T, b *bench) {
		s := b.step(t, `printf '<%s>' "$@"`, "name", "$(GREETING)!", "$$(GREETING)", "$(UNSET)", "a$$b", "$")
		s.Template.Container.Env = []corev1.EnvVar{{Name: "NAME", Value: "you"}, {Name: "GREETING", Value: "hi $(NAME)"}}
		b.succeed(t, s)
		require.Equal(t, "<hi you!><$(GREETING)><$(UNSET)><a$b><$>", logText(s))
	}},
	{"args follow the command", func(t *testing.T, b *bench) {
		s := b.step(t, "")
		s.Template.Container.Command, s.Template.Container.Args = []string{"echo", "a"}, []string{"b", "c"}
		b.succeed(t, s)
		require.Equal(t, "a b c\n", logText(s))
	}},
	{"the environment is the template's", func(t *testing.T, b *bench) {
		s := b.step(t, `echo "$GREETING|$TOKEN"`)
		s.Template.Container.Env = []corev1.EnvVar{{Name: "GREETING", Value: "hello world"}}
		b.succeed(t, s)
		require.Equal(t, "hello world|\n", logText(s))
	}},
	{"the step sees none of our variables", func(t *testing.T, b *bench) {
		s := b.step(t, "env")
		s.CaptureResult = true
		b.succeed(t, s)
		require.NotContains(t, logText(s), "ARGOSY_")
	}},
	{"the working directory is the template's", func(t *testing.T, b *bench) {
		s := b.step(t, "pwd")
		s.Template.Container.WorkingDir = "/usr"
		b.succeed(t, s)
		require.Equal(t, "/usr\n", logText(s))
	}},
	{"podSpecPatches change what runs, the workflow's before the template's", func(t *testing.T, b *bench) {
		s := b.of(t, script(b, `echo "$WHO is in $(pwd)"`))
		s.Spec = &spec.WorkflowSpec{PodSpecPatch: "containers:\n- {name: main, workingDir: /usr, env: [{name: WHO, value: nobody}]}"}
		s.Template.PodSpecPatch = `{"containers":[{"name":"main","env":[{"name":"WHO","value":"somebody"}]},{"name":"wait","resources":{"limits":{"memory":"64Mi"}}}]}`
		b.succeed(t, s)
		require.Equal(t, "somebody is in /usr\n", logText(s))
	}},
	{"a podSpecPatch that is no patch is an error", func(t *testing.T, b *bench) {
		s := b.step(t, "true")
		s.Template.PodSpecPatch = `{"containers":`
		b.fault(t, s, worker.ClassInvalid, "applying podSpecPatch")
	}},
	{"the log has stdout and stderr", func(t *testing.T, b *bench) {
		s := b.step(t, "echo out; echo err >&2")
		b.succeed(t, s)
		require.Contains(t, logText(s), "out\n")
		require.Contains(t, logText(s), "err\n")
	}},
	{"the log is complete when the step has ended", func(t *testing.T, b *bench) {
		s := b.step(t, `i=0; while [ $i -lt 20000 ]; do echo "line $i"; i=$((i+1)); done`)
		b.succeed(t, s)
		var want strings.Builder
		for i := range 20000 {
			fmt.Fprintf(&want, "line %d\n", i)
		}
		require.True(t, want.String() == logText(s), "the log has %d bytes of %d", len(logText(s)), want.Len())
	}},
	{"a script's source is run by its command", func(t *testing.T, b *bench) {
		s := b.of(t, script(b, "echo \"it's $0\"\nexit 5\n"))
		b.fail(t, s, 5, "main: Error (exit code 5)")
		require.Equal(t, "it's "+worker.ScriptPath+"\n", logText(s))
	}},
	{"a script without source is a container", func(t *testing.T, b *bench) {
		tmpl := script(b, "")
		tmpl.Script.Command = []string{"echo", "plain"}
		s := b.of(t, tmpl)
		b.succeed(t, s)
		require.Equal(t, "plain\n", logText(s))
	}},
	{"a large script works", func(t *testing.T, b *bench) {
		s := b.of(t, script(b, strings.Repeat("# a comment of some length\n", 20_000)+"echo done\n"))
		b.succeed(t, s)
		require.Equal(t, "done\n", logText(s))
	}},
	{"what one step writes another does not see", func(t *testing.T, b *bench) {
		b.succeed(t, b.step(t, "echo mine > /tmp/argosy-suite-private"))
		b.succeed(t, b.step(t, "test ! -e /tmp/argosy-suite-private"))
	}},
}

func script(b *bench, source string) *spec.Template {
	return &spec.Template{
		Name: "case",
		Script: &spec.ScriptTemplate{
			Container: corev1.Container{Image: b.Image, ImagePullPolicy: corev1.PullIfNotPresent, Command: []string{"sh"}},
			Source:    source,
		},
	}
}

func logText(s *worker.Step) string { return s.Log.(*Log).String() }
