package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"argosy/worker/handover"
)

// pauseLook is how often a container that pauses looks whether it may go on.
const pauseLook = time.Second

// paused runs the command, and has the container wait before it, after it or both, if its environment
// says so: until somebody makes a file in the container. A command that cannot be found is nothing to
// wait with.
func (s step) paused(ctx context.Context, name string, env []string, run func() ending) ending {
	if _, err := lookPath(s.command[0], env); err != nil {
		return run()
	}
	if end := s.pause(ctx, name, "before", handover.EnvPauseBefore, env); end != nil {
		return *end
	}
	end := run()
	if end.terminated {
		return end
	}
	if asked := s.pause(ctx, name, "after", handover.EnvPauseAfter, env); asked != nil {
		end.terminated = true // nobody waits for outputs
	}
	return end
}

// pause waits for the file, if the variable is set. An ending says that we were asked to end first, or
// that there is no place for the file.
func (s step) pause(ctx context.Context, name, when, variable string, env []string) *ending {
	if !slices.Contains(env, variable+"=true") {
		return nil
	}
	dir := s.pauses
	if dir == "" {
		dir = handover.PauseDir
	}
	dir = filepath.Join(dir, name)
	file := filepath.Join(dir, when)
	if err := openDir(dir); err != nil {
		return &ending{code: handover.RunnerExitCode, message: fmt.Sprintf("pausing %s the command: %v", when, err)}
	}
	// Of an earlier step, in a container that runs many.
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &ending{code: handover.RunnerExitCode, message: fmt.Sprintf("pausing %s the command: %v", when, err)}
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	fmt.Fprintf(s.stderr, "argosy-step: paused %s the command, until there is %s\n", when, file)
	look := s.look
	if look == 0 {
		look = pauseLook
	}
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		if _, err := os.Stat(file); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return &ending{code: 128 + int(syscall.SIGTERM), terminated: true}
		case <-s.stop:
			return &ending{code: 128 + int(syscall.SIGTERM), terminated: true}
		case <-tick.C:
		}
	}
}

// openDir makes a directory in which anybody may make files: those who debug may be other users.
func openDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(dir, 0o777) //nolint:gosec // see above
}
