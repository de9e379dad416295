package executortest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/worker"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// ends are the ways in which we end a step.
var ends = []testCase{
	{"a deadline fails the step", func(t *testing.T, b *bench) {
		s := b.step(t, "echo started; sleep 1000")
		s.Deadline = time.Now().Add(2 * time.Second)
		r, err := b.execute(t, t.Context(), s)
		require.NoError(t, err)
		require.Equal(t, spec.NodeFailed, r.Phase)
		require.Equal(t, worker.DeadlineMessage, r.Message)
	}},
	{"a deadline that is not reached changes nothing", func(t *testing.T, b *bench) {
		s := b.step(t, "true")
		s.Deadline = time.Now().Add(5 * b.Patience)
		b.succeed(t, s)
	}},
	{"a stopped step is asked to end first", func(t *testing.T, b *bench) {
		s := b.step(t, `trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 0.1; done`)
		_, err := b.cancelWhen(t, s, "ready", worker.ErrStopped)
		require.ErrorIs(t, err, worker.ErrStopped)
		require.Contains(t, logText(s), "asked")
	}},
	{"a stopped step with a result is asked to end first", func(t *testing.T, b *bench) {
		s := b.step(t, `trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 0.1; done`)
		s.CaptureResult = true
		_, err := b.cancelWhen(t, s, "ready", worker.ErrStopped)
		require.ErrorIs(t, err, worker.ErrStopped)
		require.Contains(t, logText(s), "asked")
	}},
	{"what a stopped step started in the background ends too", func(t *testing.T, b *bench) {
		s := b.step(t, `sleep 1000 & sleep 1000 & echo ready; wait`)
		_, err := b.cancelWhen(t, s, "ready", worker.ErrStopped)
		require.ErrorIs(t, err, worker.ErrStopped)
	}},
	{"what a finished step left in the background ends with it", func(t *testing.T, b *bench) {
		s := b.step(t, `sleep 1000 >/dev/null 2>&1 & echo done`)
		b.succeed(t, s)
	}},
	{"a lost lease ends the step or leaves it to its heir", func(t *testing.T, b *bench) {
		s := b.step(t, "echo ready; sleep 5; echo done")
		residue := b.Residue
		if b.Adopts {
			b.Residue = nil
		}
		_, err := b.cancelWhen(t, s, "ready", worker.ErrLeaseLost)
		require.ErrorIs(t, err, worker.ErrLeaseLost)
		if b.Adopts {
			b.Residue = residue
			heir := *s
			heir.Delivery++
			heir.Log = &Log{}
			b.succeed(t, &heir)
			require.Equal(t, "ready\ndone\n", logText(&heir), "the log of one and the same start")
		}
	}},
	{"an heir has the outputs of the step that it adopted", func(t *testing.T, b *bench) {
		if !b.Adopts {
			return
		}
		s := b.step(t, "echo ready; sleep 3; echo made > /tmp/out; echo 7 > /tmp/p")
		s.CaptureResult = true
		s.Template.Outputs.Parameters = []spec.Parameter{parameter("p", "/tmp/p")}
		s.Template.Outputs.Artifacts = []spec.Artifact{output("out", "/tmp/out", none)}
		residue := b.Residue
		b.Residue = nil
		_, err := b.cancelWhen(t, s, "ready", worker.ErrShutdown)
		require.ErrorIs(t, err, worker.ErrShutdown)
		b.Residue = residue
		heir := *s
		heir.Delivery++
		heir.Log = &Log{}
		r := b.succeed(t, &heir)
		require.Equal(t, "ready", result(t, r))
		require.Equal(t, []workflow.Param{{Name: "p", Value: "7"}}, r.Outputs.Parameters)
		require.Equal(t, "made\n", b.store.Objects()["kept/out"])
	}},
	{"nothing starts for a context that has ended", func(t *testing.T, b *bench) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(worker.ErrStopped)
		s := b.step(t, "echo started")
		_, err := b.execute(t, ctx, s)
		require.ErrorIs(t, err, worker.ErrStopped)
		require.Empty(t, logText(s))
	}},
	{"a template that cannot be run is invalid", func(t *testing.T, b *bench) {
		b.fault(t, b.of(t, &spec.Template{Name: "case"}), worker.ClassInvalid, "")
	}},
	{"a store that fails is our fault", func(t *testing.T, b *bench) {
		b.store.Break(errors.New("disk on fire"))
		s := b.step(t, "echo x > /tmp/out")
		s.Template.Outputs.Artifacts = []spec.Artifact{output("out", "/tmp/out", nil)}
		b.fault(t, s, worker.ClassStore, "disk on fire")
	}},
}
