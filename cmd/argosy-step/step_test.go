package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"argosy/worker"
	"argosy/worker/executortest"
	"argosy/worker/handover"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// pod runs steps as a pod would, against a real gateway. Paths of the step are below dir.
type pod struct {
	told    chan string // progress
	look    time.Duration
	dir     string
	store   *executortest.Store
	gateway *worker.Gateway
	step    *worker.Step
	outcome *handover.Outcome // of the last run
	stdout  bytes.Buffer
	stderr  bytes.Buffer
}

func newPod(t *testing.T, command ...string) *pod {
	t.Helper()
	tokens, err := worker.NewTokens(nil)
	require.NoError(t, err)
	p := &pod{dir: t.TempDir(), store: executortest.NewStore(), told: make(chan string, 9)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p.gateway = worker.NewGateway(worker.GatewayConfig{
		URL: "https://" + l.Addr().String(), Store: p.store, Tokens: tokens,
		Tells: func(_ context.Context, _ string, _ workflow.Key, progress spec.Progress) error {
			p.told <- string(progress)
			// The command goes on when its progress is known.
			return os.WriteFile(p.path(strings.ReplaceAll(string(progress), "/", "-")), nil, 0o600)
		},
	}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- p.gateway.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-served)
	})
	p.step = &worker.Step{
		Run: &workflow.Run{ID: "run-1", Name: "wf"}, Key: workflow.Root.Step(0, "a"), PodName: "wf-a-1", Delivery: 1,
		Template: &spec.Template{Name: "a", Container: &corev1.Container{Command: command}},
	}
	return p
}

// reach is the environment that tells a runner where its gateway is, and lets it in.
func (p *pod) reach(token string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), handover.EnvGateway + "=" + p.gateway.URL(), handover.EnvKey + "=" + p.gateway.KeySum(), handover.EnvToken + "=" + token,
	}
}

func (p *pod) path(name string) string { return filepath.Join(p.dir, name) }

func (p *pod) artifact(name string, archive *spec.ArchiveStrategy) spec.Artifact {
	a := spec.Artifact{Name: name, Path: p.path(name), Archive: archive}
	a.S3 = &spec.S3Artifact{Key: "key/" + name}
	return a
}

// run runs the step to its end and returns the exit code and what the worker makes of it.
func (p *pod) run(t *testing.T, env ...string) (int, workflow.Result, error) {
	t.Helper()
	plan, err := p.gateway.Plan(t.Context(), p.step)
	require.NoError(t, err)
	t.Cleanup(p.gateway.Open(p.step, plan))
	token, err := p.gateway.Token(p.step, time.Now())
	require.NoError(t, err)
	data, err := json.Marshal(plan)
	require.NoError(t, err)
	env = append(env, p.reach(token)...)
	if len(data) <= handover.MaxPlanEnv {
		env = append(env, handover.EnvPlan+"="+string(data))
	}
	code := step{
		command: p.step.Template.Container.Command, env: env,
		stdout: &p.stdout, stderr: &p.stderr, message: p.path("message"), patience: time.Second, look: p.look,
	}.run(context.Background())

	message, err := os.ReadFile(p.path("message"))
	require.NoError(t, err)
	require.LessOrEqual(t, len(message), handover.MaxMessage)
	outcome, ok := handover.Decode(string(message))
	require.True(t, ok, "message: %s", message)
	if outcome.Elsewhere != "" {
		outcome, err = p.gateway.Outcome(t.Context(), p.step, outcome.Elsewhere)
		require.NoError(t, err)
	}
	p.outcome = outcome
	r, err := worker.FromOutcome(p.step, outcome)
	return code, r, err
}

func TestTheRunnerTellsWhatItsTimeWentInto(t *testing.T) {
	for name, c := range map[string]struct {
		outputs bool
		command string
		times   int // when it began, the command started, it ended, its outputs were there
	}{
		"a command":        {false, "true", 3},
		"one with outputs": {true, "true", 4},
		"one that fails":   {true, "exit 3", 4},
	} {
		p := newPod(t, "sh", "-c", "sleep 0.02; "+c.command)
		if c.outputs {
			p.step.Template.Outputs.Parameters = []spec.Parameter{{Name: "p", ValueFrom: &spec.ValueFrom{Path: "/etc/hostname"}}}
		}
		began := time.Now().UnixMilli()
		_, _, err := p.run(t)
		require.NoError(t, err, name)
		require.Len(t, p.outcome.Times, c.times, name)
		require.True(t, slices.IsSorted(p.outcome.Times), name)
		require.GreaterOrEqual(t, p.outcome.Times[0], began, name)
		require.GreaterOrEqual(t, p.outcome.Times[2]-p.outcome.Times[1], int64(20), name)
	}
}

func TestTheCommandsExitCodeIsPassedOn(t *testing.T) {
	for _, c := range []struct {
		command []string
		code    int
		message string
	}{
		{[]string{"true"}, 0, ""},
		{[]string{"sh", "-c", "exit 3"}, 3, "main: Error (exit code 3)"},
		{[]string{"sh", "-c", "kill -9 $$"}, 137, "main: Error (exit code 137)"},
		{[]string{"no-such-command"}, 64, `main: Error (exit code 64): failed to find name in PATH: exec: "no-such-command": executable file not found in $PATH`},
	} {
		p := newPod(t, c.command...)
		code, r, err := p.run(t)
		require.NoError(t, err)
		require.Equal(t, c.code, code)
		require.Equal(t, c.message, r.Message)
	}
}

func TestTheCommandSeesItsOwnEnvironmentOnly(t *testing.T) {
	p := newPod(t, "env")
	_, _, err := p.run(t, "GREETING=hi")
	require.NoError(t, err)
	require.Contains(t, p.stdout.String(), "GREETING=hi\n")
	require.NotContains(t, p.stdout.String(), "ARGOSY_STEP_")
}

func TestTheResultIsCapturedAndShown(t *testing.T) {
	p := newPod(t, "sh", "-c", "echo out; echo err >&2")
	p.step.CaptureResult = true
	_, r, err := p.run(t)
	require.NoError(t, err)
	require.Equal(t, "out", *r.Outputs.Result)
	require.Equal(t, "out\n", p.stdout.String())
	require.Equal(t, "err\n", p.stderr.String())
}

func TestALargeOutcomeGoesThroughTheGateway(t *testing.T) {
	p := newPod(t, "sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x")
	p.step.CaptureResult = true
	_, r, err := p.run(t)
	require.NoError(t, err)
	require.True(t, strings.Repeat("x", handover.MaxResult) == *r.Outputs.Result)
}

func TestALargePlanComesFromTheGateway(t *testing.T) {
	p := newPod(t, "sh", "-c", "true")
	a := p.artifact("raw", nil)
	a.S3, a.Raw = nil, &spec.RawArtifact{Data: strings.Repeat("y", 100_000)}
	p.step.Template.Inputs.Artifacts = []spec.Artifact{a}
	_, _, err := p.run(t)
	require.NoError(t, err)
	got, err := os.ReadFile(p.path("raw"))
	require.NoError(t, err)
	require.True(t, a.Raw.Data == string(got))
}

func TestArtifactsComeAndGo(t *testing.T) {
	p := newPod(t)
	p.step.Template.Container.Command = []string{"sh", "-c", "cd " + p.dir + " && cat tree/sub/b plain && cp -r tree copy && cp plain same && cp -r tree loose"}
	p.store.Pack("key/tree", executortest.Tree{"a": "1", "sub/b": "2"})
	p.store.Set("key/plain", "3")
	none := &spec.ArchiveStrategy{None: &spec.NoneStrategy{}}
	missing := p.artifact("missing", nil)
	missing.Optional = true
	p.step.Template.Inputs.Artifacts = []spec.Artifact{p.artifact("tree", nil), p.artifact("plain", nil), missing}
	p.step.Template.Outputs.Artifacts = []spec.Artifact{p.artifact("copy", nil), p.artifact("same", none), p.artifact("loose", none)}
	_, r, err := p.run(t)
	require.NoError(t, err)
	require.Equal(t, "23", p.stdout.String())
	require.Len(t, r.Outputs.Artifacts, 3)
	require.Equal(t, executortest.Tree{"a": "1", "sub/b": "2"}, p.store.Unpack(t, "key/copy"))
	require.Equal(t, "3", p.store.Objects()["key/same"])
	require.Equal(t, "2", p.store.Objects()["key/loose/sub/b"])
}

func TestOutputsThatAreMissingAreFaults(t *testing.T) {
	p := newPod(t, "true")
	p.step.Template.Outputs.Artifacts = []spec.Artifact{p.artifact("gone", nil)}
	code, _, err := p.run(t)
	require.ErrorContains(t, err, "open "+p.path("gone")+": no such file or directory")
	require.Equal(t, handover.RunnerExitCode, code)
}

func TestASupersededPodIsRefused(t *testing.T) {
	p := newPod(t)
	p.step.Template.Container.Command = []string{"sh", "-c", "echo late > " + p.path("out")}
	p.step.Template.Outputs.Artifacts = []spec.Artifact{p.artifact("out", nil)}
	plan, err := p.gateway.Plan(t.Context(), p.step)
	require.NoError(t, err)
	old, err := p.gateway.Token(p.step, time.Now())
	require.NoError(t, err)
	later := *p.step
	later.Delivery = 2
	defer p.gateway.Open(&later, plan)()
	data, err := json.Marshal(plan)
	require.NoError(t, err)
	code := step{
		command: p.step.Template.Container.Command,
		env:     append(p.reach(old), handover.EnvPlan+"="+string(data)),
		stdout:  &p.stdout, stderr: &p.stderr, message: p.path("message"), patience: time.Second,
	}.run(context.Background())
	require.Equal(t, handover.RunnerExitCode, code)
	require.Contains(t, p.stderr.String(), "superseded")
	require.Empty(t, p.store.Objects())
}

func TestAStepTellsNothingToWhoHasNotItsGatewaysKey(t *testing.T) {
	p, other := newPod(t), newPod(t)
	code := step{
		command: []string{"true"}, stdout: &p.stdout, stderr: &p.stderr, message: p.path("message"), patience: time.Millisecond,
		env: append(p.reach("secret"), handover.EnvKey+"="+other.gateway.KeySum()),
	}.run(context.Background())
	require.Equal(t, handover.RunnerExitCode, code)
	require.Contains(t, p.stderr.String(), "another key than the gateway")
}

func TestAStepWaitsForTheWorkerThatTakesOver(t *testing.T) {
	p := newPod(t)
	p.step.Template.Container.Command = []string{"sh", "-c", "echo made > " + p.path("out")}
	p.step.Template.Outputs.Artifacts = []spec.Artifact{p.artifact("out", &spec.ArchiveStrategy{None: &spec.NoneStrategy{}})}
	plan, err := p.gateway.Plan(t.Context(), p.step)
	require.NoError(t, err)
	token, err := p.gateway.Token(p.step, time.Now())
	require.NoError(t, err)
	data, err := json.Marshal(plan)
	require.NoError(t, err)
	asked := make(chan struct{})
	takesOver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.gateway.Handler().ServeHTTP(w, r)
		select {
		case <-asked:
		default:
			close(asked)
			p.gateway.Open(p.step, plan) // never closed: the gateway ends with the test
		}
	}))
	defer takesOver.Close()
	code := step{
		command: p.step.Template.Container.Command,
		env:     []string{"PATH=" + os.Getenv("PATH"), handover.EnvGateway + "=" + takesOver.URL, handover.EnvToken + "=" + token, handover.EnvPlan + "=" + string(data)},
		stdout:  &p.stdout, stderr: &p.stderr, message: p.path("message"), patience: 10 * time.Second,
	}.run(context.Background())
	require.Zero(t, code, "%s", p.stderr.String())
	require.Equal(t, "made\n", p.store.Objects()["key/out"])
}

func TestTheCommandsOwnTerminationMessageIsKept(t *testing.T) {
	p := newPod(t)
	p.step.Template.Container.Command = []string{"sh", "-c", "echo 'no disk' > " + p.path("message") + "; exit 2"}
	_, r, err := p.run(t)
	require.NoError(t, err)
	require.Equal(t, "main: Error (exit code 2): no disk", r.Message)
}

func TestInstallCopiesTheProgram(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, install(dir))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	info, err := entries[0].Info()
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o755), info.Mode())
}

func TestUsage(t *testing.T) {
	require.Equal(t, 2, run(nil))
	require.Equal(t, 2, run([]string{"run", "--"}))
}

func TestProgressIsToldWhileTheCommandRuns(t *testing.T) {
	p := newPod(t, "sh", "-c", `
		case $ARGO_PROGRESS_FILE in /tmp/*) exit 2; esac # which is the step's own
		await() { while [ ! -e "$DIR/$1" ]; do sleep 0.01; done; }
		echo none > $ARGO_PROGRESS_FILE
		echo 1/3 >> $ARGO_PROGRESS_FILE; await 1-3
		echo 2/3 >> $ARGO_PROGRESS_FILE; await 2-3
		echo 3/3 > $ARGO_PROGRESS_FILE; exit 1`)
	p.look = time.Millisecond
	_, r, err := p.run(t, "DIR="+p.dir)
	require.NoError(t, err)
	require.Equal(t, spec.NodeFailed, r.Phase)
	require.Equal(t, spec.Progress("3/3"), r.Progress, "what it told last")
	require.Equal(t, "1/3", <-p.told)
	require.Equal(t, "2/3", <-p.told)
}

func TestWhatNobodyCanReadIsNoProgress(t *testing.T) {
	for name, make := range map[string]string{"a pipe": "mkfifo", "a directory": "mkdir", "nothing": "echo"} {
		p := newPod(t, "sh", "-c", make+" $FILE; sleep 0.05")
		p.look = time.Millisecond
		_, r, err := p.run(t, "FILE="+p.path("p"), "ARGO_PROGRESS_FILE="+p.path("p"))
		require.NoError(t, err)
		require.Equal(t, spec.NodeSucceeded, r.Phase, name)
		require.Empty(t, r.Progress, name)
	}
	require.NotPanics(t, func() { _ = lastLine("/nowhere") })
}
