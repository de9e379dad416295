package process

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"argosy/worker"
	"argosy/worker/executortest"
	"argosy/workflow"
	"argosy/workflow/spec"
)

func TestMain(m *testing.M) {
	if code, ok := RunHelper(os.Args); ok {
		os.Exit(code)
	}
	// What must never reach a step.
	os.Setenv("ARGOSY_REDIS", "redis://:secret@localhost") //nolint:errcheck // the name is valid
	os.Exit(m.Run())
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func newExecutor(t testing.TB, cfg Config) *Executor {
	t.Helper()
	cfg.Log = quiet()
	e, err := New(context.Background(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

func TestExecutor(t *testing.T) {
	t.Parallel()
	executortest.Run(t, func(t *testing.T, store worker.ArtifactStore) executortest.Fixture {
		// The directory's name shows in the helpers' arguments: that is how to tell this
		// executor's processes from those of others.
		own := t.TempDir()
		e := newExecutor(t, Config{Hide: []string{own}})
		return executortest.Fixture{
			Executor: worker.Decorate(e, worker.Decoration{Store: store, Deadlines: true}, quiet()),
			Residue:  func(t testing.TB, _ *worker.Step) []string { return residue(t, own) },
		}
	})
}

// residue finds processes below the helpers that have the mark in their arguments, and
// mounts of ours that the host can see.
func residue(t testing.TB, mark string) []string {
	t.Helper()
	var left []string
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, f := range files {
		stat, err := os.ReadFile(f)
		if err != nil {
			continue // ended meanwhile
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		parent := strings.Fields(rest)[1]
		line, err := os.ReadFile(filepath.Join("/proc", parent, "cmdline"))
		if err == nil && bytes.HasPrefix(line, []byte("argosy-sandbox")) && bytes.Contains(line, []byte(mark)) {
			left = append(left, "process "+string(stat))
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	require.NoError(t, err)
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, " argosy ") {
			left = append(left, "mount "+line)
		}
	}
	return left
}

func newStep(c *corev1.Container) *worker.Step {
	return &worker.Step{
		Run:      &workflow.Run{ID: "id", Name: "run"},
		Delivery: 1,
		Spec:     &spec.WorkflowSpec{},
		Template: &spec.Template{Name: "t", Container: c},
		Log:      &executortest.Log{},
	}
}

func TestOutputFilesOfParallelStepsNeverCollide(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, Config{})
	const n = 8
	results := make(chan string, n)
	for i := range n {
		go func() {
			s := newStep(&corev1.Container{Command: []string{"sh", "-c",
				fmt.Sprintf("echo %d > /tmp/x; echo %d > /argosy-x; sleep 0.2; cat /tmp/x /argosy-x", i, i)}})
			s.CaptureResult = true
			r, err := e.Execute(t.Context(), s)
			if err != nil || r.Outputs == nil || r.Outputs.Result == nil {
				results <- fmt.Sprint(r, err)
				return
			}
			results <- *r.Outputs.Result
		}()
	}
	seen := map[string]bool{}
	for range n {
		seen[<-results] = true
	}
	for i := range n {
		require.Contains(t, seen, fmt.Sprintf("%d\n%d", i, i))
	}
	require.NoFileExists(t, "/argosy-x")
}

func TestAStepSeesItsTemplateAndNothingOfOurs(t *testing.T) {
	t.Parallel()
	const state = "/etc/ssl" // a directory that every host has stands for our state
	e := newExecutor(t, Config{Hide: []string{state}})
	s := newStep(&corev1.Container{
		Command:      []string{"sh", "-c", `env | sort; pwd; ls -A "$1" /cache`, "$(WHO)", state, "$$(WHO)"},
		Env:          []corev1.EnvVar{{Name: "WHO", Value: "me"}, {Name: "HELLO", Value: "hello $(WHO) $(YOU)"}, {Name: "HOME", Value: "/tmp"}},
		WorkingDir:   "/work/dir",
		VolumeMounts: []corev1.VolumeMount{{Name: "cache", MountPath: "/cache"}},
	})
	s.Spec.Volumes = []corev1.Volume{{Name: "cache", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	r, err := e.Execute(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, spec.NodeSucceeded, r.Phase, s.Log)
	require.Equal(t, fmt.Sprintf("ARGO_PROGRESS_FILE=/tmp/argo-progress\nHELLO=hello me $(YOU)\nHOME=/tmp\n"+
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nPWD=/work/dir\nWHO=me\n"+
		"/work/dir\n/cache:\n\n%s:\n", state), fmt.Sprint(s.Log))
	require.NotEmpty(t, r.Host)
	require.NotZero(t, r.Started)
	require.GreaterOrEqual(t, r.Finished, r.Started)
}

func TestWhatOnlyAClusterCanGiveIsRefused(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, Config{Volumes: filepath.Join(t.TempDir(), "volumes")})
	run := []string{"true"}
	secret := corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}, Key: "k"}
	yes := true
	for name, c := range map[string]struct {
		step func() *worker.Step
		why  string
	}{
		"no command": {
			func() *worker.Step { return newStep(&corev1.Container{Image: "whalesay", Args: []string{"x"}}) },
			`process executor needs a command: it does not know what image "whalesay" starts`,
		},
		"secret variable": {
			func() *worker.Step {
				return newStep(&corev1.Container{Command: run, Env: []corev1.EnvVar{{Name: "V", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &secret}}}})
			},
			"variable V: the process executor cannot resolve its valueFrom",
		},
		"volume": {
			func() *worker.Step {
				s := newStep(&corev1.Container{Command: run, VolumeMounts: []corev1.VolumeMount{{Name: "v", MountPath: "/v"}}})
				s.Template.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}
				return s
			},
			`volume "v": the process executor has emptyDir, configMap, secret, projected and persistentVolumeClaim only`,
		},
		"a daemon of several containers": {
			func() *worker.Step {
				s := newStep(nil)
				s.Template.Daemon, s.Template.ContainerSet = &yes, &spec.ContainerSetTemplate{}
				return s
			},
			"no daemons of several containers",
		},
		"probes of other kinds": {
			func() *worker.Step {
				s := newStep(&corev1.Container{Command: run, ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: 1}}}})
				s.Template.Daemon, s.Ready = &yes, func(context.Context, workflow.Ready) {}
				return s
			},
			"readinessProbes with exec, httpGet and tcpSocket only",
		},
		"resource": {
			func() *worker.Step {
				s := newStep(nil)
				s.Template.Resource = &spec.ResourceTemplate{}
				return s
			},
			"does not run Resource templates",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := e.Execute(t.Context(), c.step())
			var fault *worker.Fault
			require.ErrorAs(t, err, &fault)
			require.Equal(t, worker.ClassInvalid, fault.Class)
			require.ErrorContains(t, err, c.why)
		})
	}
}

func TestAScriptRunsInItsLanguage(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, Config{Scratch: filepath.Join(t.TempDir(), "scratch")})
	s := newStep(nil)
	s.CaptureResult = true
	s.Template.Script = &spec.ScriptTemplate{
		Container: corev1.Container{Image: "python:alpine", Command: []string{"python3"}},
		Source:    "import sys\nprint(sum(range(10)), sys.argv)\n",
	}
	staged := worker.Staging(e, executortest.NewStore())
	r, err := staged.Execute(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, spec.NodeSucceeded, r.Phase, s.Log)
	require.Equal(t, "45 ['/argo/staging/script']", *r.Outputs.Result)
}

func TestAStubbornStepIsKilledAfterItsGrace(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, Config{Grace: 100 * time.Millisecond})
	s := newStep(&corev1.Container{Command: []string{"sh", "-c", "trap '' TERM; echo up; while :; do sleep 1000; done"}})
	ctx, cancel := context.WithCancelCause(t.Context())
	seen := s.Log.(*executortest.Log).Wait("up")
	go func() {
		<-seen
		cancel(worker.ErrStopped)
	}()
	r, err := e.Execute(ctx, s)
	require.ErrorIs(t, err, worker.ErrStopped)
	require.Equal(t, 137, *r.Outputs.ExitCode)
}

func TestAStepTellsItsProgress(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, Config{Look: time.Millisecond, Grace: time.Minute})
	ctx, stop := context.WithCancelCause(t.Context())
	s := newStep(&corev1.Container{Command: []string{"sh", "-c",
		`trap 'echo 2/3 >> $ARGO_PROGRESS_FILE; exit 0' TERM; echo 1/3 > $ARGO_PROGRESS_FILE; while :; do sleep 0.01; done`}})
	var told []spec.Progress
	s.Tells = func(_ context.Context, p spec.Progress) error {
		told = append(told, p)
		stop(worker.ErrStopped)
		return nil
	}
	r, err := e.Execute(ctx, s)
	require.ErrorIs(t, err, worker.ErrStopped)
	require.Equal(t, spec.Progress("2/3"), r.Progress, "what it told last")
	require.Equal(t, spec.Progress("1/3"), told[0])
}
