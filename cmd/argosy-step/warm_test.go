package main

import (
	"bufio"
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/worker"
	"argosy/worker/executortest"
	"argosy/worker/handover"
	pods "argosy/worker/warm"
	"argosy/workflow/spec"
)

// stays is a pod that stays, of a pool that has one at a time, with a real gateway. It runs in this
// process, whose working directory it changes.
type stays struct {
	*pod
	pools  *pods.Pools
	kind   pods.Kind
	stderr bytes.Buffer
	count  int // of pods
}

func newStays(t *testing.T, env ...string) *stays {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	t.Chdir(dir) // and back at the end, whatever the pod did
	s := &stays{pod: newPod(t), pools: pods.NewPools(slog.New(slog.DiscardHandler))}
	require.NoError(t, os.Mkdir(s.path("warm"), 0o700))
	s.kind = pods.Kind{Key: "k", Limits: spec.Warm{MaxPods: 1, MaxItems: 1000, Idle: time.Minute}, Launch: func(_ context.Context, p pods.Pod) *worker.Fault {
		s.count++
		defer s.gateway.Admit(p.Name, p.Serve)()
		token, err := s.gateway.PodToken(p.Name, time.Now())
		if err != nil {
			return worker.Faultf(worker.ClassExecutor, "%w", err)
		}
		code := warm{
			dir: s.path("warm"), stderr: &s.stderr, message: s.path("message"), patience: time.Second,
			env: append(env, s.reach(token)...),
		}.run(context.Background())
		if code != 0 {
			return worker.Faultf(worker.ClassExecutor, "it exited with %d: %s", code, &s.stderr)
		}
		return nil
	}}
	t.Cleanup(func() {
		require.NoError(t, s.pools.Close(context.Background()))
	})
	return s
}

// item runs a script as a step; do changes it.
func (s *stays) item(ctx context.Context, t *testing.T, script string, do func(*handover.Item)) (pods.Done, string, error) {
	t.Helper()
	item := &handover.Item{Command: []string{"sh", "-c", script}, Plan: &handover.Plan{}, Grace: 60_000, Tidy: []string{s.path("tmp")}, Fresh: []string{s.path("fresh")}}
	if do != nil {
		do(item)
	}
	var log executortest.Log
	if stop, ok := ctx.(*atText); ok {
		seen := log.Wait(stop.text)
		go func() {
			<-seen
			stop.cancel(worker.ErrStopped)
		}()
	}
	done, err := s.pools.Run(ctx, s.kind, item, &log, 0)
	return done, log.String(), err
}

// atText is a context that ends when the step has written a text.
type atText struct {
	context.Context
	text   string
	cancel context.CancelCauseFunc
}

func endAt(t *testing.T, text string) *atText {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	t.Cleanup(func() { cancel(nil) })
	return &atText{ctx, text, cancel}
}

func TestStepsInAPodThatStaysFindNothingOfEachOther(t *testing.T) {
	s := newStays(t, "OF=pod")
	require.NoError(t, os.Mkdir(s.path("tmp"), 0o700))
	require.NoError(t, os.WriteFile(s.path("tmp/kept"), nil, 0o600))
	script := "ls | wc -l; ls " + s.path("tmp") + "; ls " + s.path("fresh") + " 2>&1 | wc -w; echo $OF $NAME; " +
		"touch mine " + s.path("tmp/mine") + "; mkdir " + s.path("fresh") + "; exit $CODE"
	for i, name := range []string{"one", "two", "three"} {
		code, pod := string(rune('0'+i)), "$(NAME)'s"
		done, log, err := s.item(t.Context(), t, script, func(item *handover.Item) {
			item.Env = []handover.Var{{Name: "NAME", Value: &name}, {Name: "CODE", Value: &code}, {Name: "OF"}}
			if i == 1 {
				item.Env[2].Value = &pod
			}
		})
		require.NoError(t, err)
		require.Equal(t, i, done.Outcome.Code)
		want := []string{"pod one", "two's two", "pod three"}[i]
		require.Equal(t, []string{"0", "kept"}, strings.Fields(log)[:2], log)
		require.NotContains(t, log, "mine")
		require.Contains(t, log, want)
	}
	require.Equal(t, 1, s.count)
}

func TestAStepThatIsStoppedInAPodThatStaysIsAskedFirst(t *testing.T) {
	s := newStays(t)
	for range 20 {
		_, log, err := s.item(endAt(t, "ready"), t, "trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 0.1; done", nil)
		require.ErrorIs(t, err, worker.ErrStopped)
		require.Contains(t, log, "asked")
	}
	require.Equal(t, 1, s.count, "its pod goes on")
}

func TestAStepThatDoesNotEndWhenAskedIsKilled(t *testing.T) {
	s := newStays(t)
	_, _, err := s.item(endAt(t, "ready"), t, "trap '' TERM; echo ready; while :; do sleep 0.1; done", func(item *handover.Item) { item.Grace = 1 })
	require.ErrorIs(t, err, worker.ErrStopped)
	done, _, err := s.item(t.Context(), t, "exit 3", nil)
	require.NoError(t, err)
	require.Equal(t, 3, done.Outcome.Code)
}

func TestAPodThatCannotPrepareSaysSo(t *testing.T) {
	s := newStays(t)
	done, _, err := s.item(t.Context(), t, "true", func(item *handover.Item) { item.Dir = "/proc/none" })
	require.NoError(t, err)
	require.Contains(t, done.Outcome.Fault.Message, "preparing for the step: mkdir /proc/none")
	done, _, err = s.item(t.Context(), t, "true", nil)
	require.NoError(t, err)
	require.Nil(t, done.Outcome.Fault)
}

func TestAPodThatNobodyKnowsEnds(t *testing.T) {
	s := newStays(t)
	code := warm{dir: s.dir, stderr: &s.stderr, message: s.path("message"), patience: time.Second, env: s.reach("")}.run(t.Context())
	require.Equal(t, handover.RunnerExitCode, code)
	said, err := os.ReadFile(s.path("message"))
	require.NoError(t, err)
	require.Contains(t, string(said), "asking the worker for steps")
}

func TestACancelThatComesTooLateEndsNoOtherStep(t *testing.T) {
	ours, theirs := net.Pipe()
	worker, runner := handover.NewWire(ours, bufio.NewReader(ours)), handover.NewWire(theirs, bufio.NewReader(theirs))
	t.Cleanup(worker.Close)
	t.Cleanup(runner.Close)
	in := listen(runner)
	for n := range 3 {
		require.NoError(t, worker.SendJSON(handover.SayRun, &handover.Item{Number: n + 1}))
		require.Equal(t, n+1, (<-in.items).Number)
		require.NoError(t, worker.SendJSON(handover.SayCancel, n))
	}
	require.NoError(t, worker.Send(handover.SayLeave, nil)) // all before is heard
	<-in.over
	require.Empty(t, in.ends)
}
