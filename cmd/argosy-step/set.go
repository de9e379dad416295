package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"argosy/worker/handover"
)

// set is the place of a container among the others of its pod. A nil set is that of a container
// that is alone: its methods have nothing to do.
type set struct{ handover.Set }

// lookEvery is how often a container looks whether another one has ended.
const lookEvery = 50 * time.Millisecond

func loadSet(text string) (*set, error) {
	if text == "" {
		return nil, nil
	}
	s := &set{}
	if err := json.Unmarshal([]byte(text), &s.Set); err != nil {
		return nil, fmt.Errorf("decoding the container's place in its set: %w", err)
	}
	return s, nil
}

// name is the container's.
func (s *set) name() string {
	if s == nil {
		return handover.MainContainer
	}
	return s.Name
}

func (s *set) file(name string) string { return filepath.Join(s.Dir, name) }

// leave tells the others how the command ended. What is left first holds.
func (s *set) leave(o *handover.Outcome) error {
	if s == nil {
		return nil
	}
	if _, err := os.Stat(s.file(s.Name)); err == nil {
		return nil
	}
	code := o.Code
	if o.Fault != nil && code == 0 {
		code = handover.RunnerExitCode
	}
	// It appears whole.
	draft := s.file("." + s.Name)
	err := os.WriteFile(draft, []byte(strconv.Itoa(code)), 0o644) //nolint:gosec // other users' containers read it
	if err == nil {
		err = os.Rename(draft, s.file(s.Name))
	}
	if err != nil {
		return fmt.Errorf("telling the other containers of the set: %w", err)
	}
	return nil
}

// await waits for those that must have succeeded before. An outcome says that the command is
// not to be run.
func (s *set) await(ctx context.Context) *handover.Outcome {
	if s == nil || len(s.After) == 0 {
		return nil
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	for _, name := range s.After {
		code, err := s.code(ctx, name)
		switch {
		case ctx.Err() != nil:
			return &handover.Outcome{Code: 128 + int(syscall.SIGTERM)}
		case err != nil:
			return failed(faultf(classExecutor, "%w", err))
		case code != 0:
			return &handover.Outcome{
				Code: handover.RunnerExitCode, Waited: true,
				Message: fmt.Sprintf("dependency %q exited with non-zero code: %d", name, code),
			}
		}
	}
	return nil
}

// othersEnd waits until all others have ended; it does not say how. It is false if we were
// asked to end before.
func (s *set) othersEnd(ctx context.Context) bool {
	if s == nil {
		return true
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	for _, name := range s.Others {
		if _, err := s.code(ctx, name); err != nil && ctx.Err() != nil {
			return false
		}
	}
	return true
}

// code is what another container's command ended with, when it has.
func (s *set) code(ctx context.Context, name string) (int, error) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		data, err := os.ReadFile(s.file(name))
		if err == nil {
			code, err := strconv.Atoi(strings.TrimSpace(string(data)))
			if err != nil {
				return 0, fmt.Errorf("reading how container %q ended: %w", name, err)
			}
			return code, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return 0, fmt.Errorf("reading how container %q ended: %w", name, err)
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-tick.C:
		}
	}
}

// tries runs the command until it succeeds or was run often enough. One that cannot be found is
// not tried again, nor one that was asked to end.
func (s *set) tries(run func() ending) ending {
	for try := 1; ; try++ {
		end := run()
		if s == nil || end.code == 0 || end.code == handover.RunnerExitCode || end.terminated || try >= s.Tries {
			return end
		}
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		select {
		case <-ctx.Done():
			end.terminated = true
		case <-time.After(time.Duration(s.Pause) * time.Millisecond):
		}
		if stop(); end.terminated {
			return end
		}
	}
}
