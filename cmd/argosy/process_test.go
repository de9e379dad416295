package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// asMain makes the test binary behave as argosy itself, so that tests can start and kill
// real processes.
const asMain = "ARGOSY_TEST_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" || len(os.Args) > 0 && strings.HasPrefix(filepath.Base(os.Args[0]), "argosy-") {
		main()
		return
	}
	os.Exit(m.Run())
}

// command prepares argosy as a process of its own, with no settings of the surroundings.
func command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", args...)
	cmd.Env = []string{asMain + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir()}
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// argosy runs a command line to its end.
func argosy(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := command(ctx, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	require.NoError(t, ctx.Err(), "argosy %s does not end\n%s%s", strings.Join(args, " "), &out, &errs)
	if err != nil {
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// daemon is a role that runs until it is killed.
type daemon struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string // of stderr
	ended chan struct{}

	mu  sync.Mutex
	log bytes.Buffer
}

// start starts a role; it is killed at the end of the test.
func start(t *testing.T, args ...string) *daemon { return startWith(t, nil, args...) }

// startWith starts it with further settings from the environment.
func startWith(t *testing.T, env []string, args ...string) *daemon {
	t.Helper()
	d := &daemon{t: t, cmd: command(context.WithoutCancel(t.Context()), args...), lines: make(chan string, 1000), ended: make(chan struct{})}
	d.cmd.Env = append(d.cmd.Env, env...)
	stderr, err := d.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, d.cmd.Start())
	go func() {
		defer close(d.ended)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			d.mu.Lock()
			fmt.Fprintln(&d.log, lines.Text())
			d.mu.Unlock()
			select {
			case d.lines <- lines.Text():
			default:
			}
		}
		_ = d.cmd.Wait()
	}()
	t.Cleanup(func() {
		d.kill(syscall.SIGKILL)
		if t.Failed() {
			d.mu.Lock()
			t.Logf("argosy %s:\n%s", strings.Join(args, " "), d.log.String())
			d.mu.Unlock()
		}
	})
	return d
}

// kill sends a signal and waits for the process's end.
func (d *daemon) kill(s syscall.Signal) {
	_ = d.cmd.Process.Signal(s)
	select {
	case <-d.ended:
	case <-time.After(30 * time.Second):
		d.t.Errorf("process %d does not end on %s", d.cmd.Process.Pid, s)
	}
}

// await waits for a line that contains the text, and returns it.
func (d *daemon) await(text string) string {
	d.t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		select {
		case line := <-d.lines:
			if strings.Contains(line, text) {
				return line
			}
		case <-d.ended:
			require.FailNow(d.t, "the process ended", "before it said %q", text)
		case <-timeout:
			require.FailNow(d.t, "the process does not say it", "%q", text)
		}
	}
}

// write puts a workflow with the given templates into a file.
func write(t *testing.T, name, templates string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name+".yaml")
	text := fmt.Sprintf("apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: %s-}\nspec:\n  entrypoint: main\n  templates:\n%s", name, templates)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}
