package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"argosy/worker/handover"
)

// ending is how the user's command ended.
type ending struct {
	code       int
	message    string // why it was not started
	result     *string
	terminated bool // we were asked to end it
}

// pipeDelay is how long stdout may stay open after the command's end, for something that
// the command left in the background.
const pipeDelay = 2 * time.Second

// runCommand runs the user's command to its end, and passes on the signals that it gets.
func (s step) runCommand(capture bool, env []string) ending {
	path, err := lookPath(s.command[0], env)
	if err != nil {
		return ending{code: handover.RunnerExitCode, message: "failed to find name in PATH: " + err.Error()}
	}
	cmd := exec.Command(path, s.command[1:]...)
	cmd.Args[0] = s.command[0]
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, os.Stdin, s.stdout, s.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a signal is for all of it
	cmd.WaitDelay = pipeDelay
	var out head
	if capture {
		cmd.Stdout = io.MultiWriter(s.stdout, &out)
	}

	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT,
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGCONT, syscall.SIGWINCH)
	defer signal.Stop(signals)

	if err := cmd.Start(); err != nil {
		return ending{code: handover.RunnerExitCode, message: "failed to start command: " + err.Error()}
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var end ending
	stop, kill := s.stop, (<-chan time.Time)(nil)
	for {
		select {
		case <-stop:
			end.terminated, stop, kill = true, nil, time.After(s.grace)
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		case <-kill:
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		case sig := <-signals:
			end.terminated = end.terminated || sig == syscall.SIGTERM
			// It may have ended just now.
			_ = syscall.Kill(-cmd.Process.Pid, sig.(syscall.Signal))
		case err := <-ended:
			end.code = exitCode(cmd.ProcessState, err)
			if capture {
				result := strings.TrimSuffix(string(out), "\n")
				end.result = &result
			}
			return end
		}
	}
}

// lookPath finds the command as the command's own environment says.
func lookPath(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return exec.LookPath(name)
	}
	search := ""
	for _, v := range env {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			search = path
		}
	}
	for _, dir := range filepath.SplitList(search) {
		if dir == "" {
			dir = "."
		}
		if path, err := exec.LookPath(dir + "/" + name); err == nil {
			return path, nil
		}
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

// exitCode is the command's, or 128 plus the signal that killed it.
func exitCode(state *os.ProcessState, err error) int {
	if state == nil {
		return handover.RunnerExitCode
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	if code := state.ExitCode(); code != 0 || err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return code
	}
	return handover.RunnerExitCode
}

// head keeps the first MaxResult bytes.
type head []byte

func (h *head) Write(p []byte) (int, error) {
	*h = append(*h, p[:min(len(p), handover.MaxResult-len(*h))]...)
	return len(p), nil
}
