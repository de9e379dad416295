package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/worker/handover"
)

// said is what a step writes, for others to wait for.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
	news chan struct{}
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.news <- struct{}{}:
	default:
	}
	return s.text.Write(p)
}

// await waits until the step has said something, and returns all that it has.
func (s *said) await(t *testing.T, text string) string {
	t.Helper()
	for {
		s.mu.Lock()
		all := s.text.String()
		s.mu.Unlock()
		if strings.Contains(all, text) {
			return all
		}
		select {
		case <-s.news:
		case <-t.Context().Done():
			t.Fatalf("it did not say %q: %s", text, all)
		}
	}
}

func TestAContainerPausesUntilItMayGoOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "main"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main", "after"), nil, 0o600), "of an earlier step")
	out := &said{news: make(chan struct{}, 1)}
	s := step{
		command: []string{"sh", "-c", "echo it runs; exit 3"}, stdout: out, stderr: out, look: time.Millisecond, pauses: dir,
		env:     []string{"PATH=" + os.Getenv("PATH"), handover.EnvPlan + "={}", handover.EnvPauseBefore + "=true", handover.EnvPauseAfter + "=true"},
		message: filepath.Join(t.TempDir(), "message"), patience: time.Second,
	}
	code := make(chan int, 1)
	go func() { code <- s.run(context.Background()) }()

	require.NotContains(t, out.await(t, "paused before the command"), "it runs")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main", "before"), nil, 0o600))
	out.await(t, "paused after the command")
	out.await(t, "it runs")
	require.Empty(t, code)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main", "after"), nil, 0o600))
	require.Equal(t, 3, <-code)
}

func TestAContainerThatPausesEndsWhenItIsAsked(t *testing.T) {
	t.Parallel()
	for _, variable := range []string{handover.EnvPauseBefore, handover.EnvPauseAfter} {
		out := &said{news: make(chan struct{}, 1)}
		stop := make(chan struct{})
		s := step{command: []string{"true"}, stdout: out, stderr: out, look: time.Millisecond, pauses: t.TempDir(), stop: stop}
		env := []string{"PATH=" + os.Getenv("PATH"), variable + "=true"}
		ended := make(chan ending, 1)
		go func() { ended <- s.paused(context.Background(), "main", env, func() ending { return ending{} }) }()
		out.await(t, "paused")
		close(stop)
		require.True(t, (<-ended).terminated, variable)
	}
}

func TestWhatDoesNotPause(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]step{
		"another value":                  {command: []string{"true"}, env: []string{handover.EnvPauseBefore + "=1", handover.EnvPauseAfter + "="}},
		"a command that cannot be found": {command: []string{"no-such-command"}, env: []string{handover.EnvPauseBefore + "=true"}},
	} {
		s.pauses = t.TempDir()
		ran := false
		s.paused(context.Background(), "main", append(s.env, "PATH="+os.Getenv("PATH")), func() ending { ran = true; return ending{} })
		require.True(t, ran, name)
	}
}

func TestAPauseNeedsAPlaceForItsFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	s := step{command: []string{"true"}, pauses: file}
	end := s.paused(context.Background(), "main", []string{"PATH=" + os.Getenv("PATH"), handover.EnvPauseBefore + "=true"}, func() ending { return ending{} })
	require.Equal(t, handover.RunnerExitCode, end.code)
	require.Contains(t, end.message, "pausing before the command")
}
