package executortest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"argosy/worker"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// Fixture is an executor under test.
type Fixture struct {
	Executor  worker.Executor
	Namespace string // of the runs; default "default"
	Image     string // of the steps; it has a POSIX shell
	// Patience is how long a step may take to start or to end; default 10 s.
	Patience time.Duration
	// Adopts says that another worker takes over a step whose lease was lost or whose worker
	// shuts down: the executor leaves it running then.
	Adopts bool
	// Residue lists what is left of a run's steps: processes, mounts, directories, pods.
	// It is asked after Execute has returned and must find nothing.
	Residue func(t testing.TB, s *worker.Step) []string
}

// Run runs the suite. The function is called once for each case.
func Run(t *testing.T, fixture func(t *testing.T, store worker.ArtifactStore) Fixture) {
	for _, group := range []struct {
		name  string
		cases []testCase
	}{
		{"outcome", outcomes}, {"output", outputs}, {"artifact", artifactCases}, {"end", ends},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range group.cases {
				t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
					t.Parallel()
					store := NewStore()
					f := fixture(t, store)
					if f.Patience == 0 {
						f.Patience = 10 * time.Second
					}
					if f.Namespace == "" {
						f.Namespace = "default"
					}
					c.run(t, &bench{Fixture: f, store: store})
				})
			}
		})
	}
}

type testCase struct {
	name string
	run  func(t *testing.T, b *bench)
}

// bench is what a case works with.
type bench struct {
	Fixture
	store *Store
}

// step makes a step that runs a shell script as a container template.
func (b *bench) step(t *testing.T, script string, args ...string) *worker.Step {
	return b.of(t, &spec.Template{
		Name: "case",
		Container: &corev1.Container{
			Image:           b.Image,
			ImagePullPolicy: corev1.PullIfNotPresent,
			Command:         append([]string{"sh", "-c", script}, args...),
		},
	})
}

// of makes a step of a template.
func (b *bench) of(t *testing.T, tmpl *spec.Template) *worker.Step {
	id := fmt.Sprintf("%x-%x", time.Now().UnixNano(), len(t.Name()))
	name := "suite-" + id
	key := workflow.Root.Step(0, "case")
	return &worker.Step{
		Run:      &workflow.Run{ID: id, Name: name, Namespace: b.Namespace},
		Key:      key,
		PodName:  workflow.PodName(name, tmpl.Name, key),
		Delivery: 1,
		Spec:     &spec.WorkflowSpec{},
		Template: tmpl,
		Log:      &Log{},
	}
}

// execute runs the step to its end and checks that nothing is left of it.
func (b *bench) execute(t *testing.T, ctx context.Context, s *worker.Step) (workflow.Result, error) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(ctx, 6*b.Patience, errors.New("the step took too long for the suite"))
	defer cancel()
	r, err := b.Executor.Execute(ctx, s)
	if b.Residue != nil {
		assert.Empty(t, b.Residue(t, s), "left of the step")
	}
	return r, err
}

// succeed runs the step, which must succeed.
func (b *bench) succeed(t *testing.T, s *worker.Step) workflow.Result {
	t.Helper()
	r, err := b.execute(t, t.Context(), s)
	require.NoError(t, err, "log: %s", s.Log)
	require.Equal(t, spec.NodeSucceeded, r.Phase, "message: %s, log: %s", r.Message, s.Log)
	require.Empty(t, r.Message)
	require.NotNil(t, r.Outputs)
	require.NotNil(t, r.Outputs.ExitCode)
	require.Zero(t, *r.Outputs.ExitCode)
	return r
}

// fail runs the step, which must fail with the exit code and message.
func (b *bench) fail(t *testing.T, s *worker.Step, code int, message string) workflow.Result {
	t.Helper()
	r, err := b.execute(t, t.Context(), s)
	require.NoError(t, err, "log: %s", s.Log)
	require.Equal(t, spec.NodeFailed, r.Phase)
	require.Equal(t, message, r.Message)
	require.NotNil(t, r.Outputs)
	require.NotNil(t, r.Outputs.ExitCode)
	require.Equal(t, code, *r.Outputs.ExitCode)
	return r
}

// fault runs the step, which must end by a fault of the class.
func (b *bench) fault(t *testing.T, s *worker.Step, class, message string) {
	t.Helper()
	r, err := b.execute(t, t.Context(), s)
	fault, ok := errors.AsType[*worker.Fault](err)
	require.True(t, ok, "want a fault, got %v and %+v", err, r)
	require.Equal(t, class, fault.Class, "fault: %v", fault)
	require.ErrorContains(t, fault, message)
	if r.Outputs != nil {
		require.Empty(t, r.Outputs.Artifacts, "references to artifacts")
	}
}

// cancelWhen runs the step and ends its context once the log contains the text.
func (b *bench) cancelWhen(t *testing.T, s *worker.Step, text string, cause error) (workflow.Result, error) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	log := s.Log.(*Log)
	seen := log.Wait(text)
	go func() {
		select {
		case <-seen:
		case <-time.After(3 * b.Patience):
		}
		cancel(cause)
	}()
	r, err := b.execute(t, ctx, s)
	require.Contains(t, log.String(), text, "the step did not come to the point where the case cancels it")
	return r, err
}

// Log collects what a step writes.
type Log struct {
	mu    sync.Mutex
	text  bytes.Buffer
	waits []wait
}

type wait struct {
	text string
	seen chan struct{}
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	rest := l.waits[:0]
	for _, w := range l.waits {
		if bytes.Contains(l.text.Bytes(), []byte(w.text)) {
			close(w.seen)
		} else {
			rest = append(rest, w)
		}
	}
	l.waits = rest
	return len(p), nil
}

// Wait returns a channel that is closed when the log contains the text.
func (l *Log) Wait(text string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := wait{text, make(chan struct{})}
	l.waits = append(l.waits, w)
	return w.seen
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
