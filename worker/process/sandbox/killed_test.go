package sandbox

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const workerArg = "argosy-test-worker"

// testWorker is a worker that runs one endless step, until somebody kills it.
func testWorker(scratch, mark string) error {
	ctx := context.Background()
	p, err := NewPool(ctx, Config{Log: quiet(), Scratch: scratch})
	if err != nil {
		return err
	}
	box, err := p.Get(ctx)
	if err != nil {
		return err
	}
	_, err = box.Run(ctx, Command{
		Args: []string{"sh", "-c", `trap "" TERM HUP; echo x > /opt/file; mkdir -m 0 /opt/shut; setsid sleep "$0" & echo up; wait`, mark},
		Env:  stepEnv, Stdout: os.Stdout, Stderr: os.Stderr,
	})
	return fmt.Errorf("the step ended: %w", err)
}

func TestStepsOfAKilledWorkerEndAndItsFilesAreSwept(t *testing.T) {
	t.Parallel()
	scratch := filepath.Join(t.TempDir(), "scratch")
	mark := fmt.Sprintf("10000000.%d", time.Now().UnixNano())
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", workerArg, scratch, mark)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "up\n", line)
	require.NotEmpty(t, processesWith(t, mark))

	// While it lives, another pool leaves its files alone.
	other, err := NewPool(t.Context(), Config{Log: quiet(), Scratch: scratch})
	require.NoError(t, err)
	require.NoError(t, other.Close())
	left, err := filepath.Glob(filepath.Join(scratch, scratchPrefix+"*"))
	require.NoError(t, err)
	require.Len(t, left, 1)
	require.Regexp(t, "file$", findFile(t, left[0]))

	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.Eventually(t, func() bool { return len(processesWith(t, mark)) == 0 }, 10*time.Second, time.Millisecond)

	next, err := NewPool(t.Context(), Config{Log: quiet(), Scratch: scratch})
	require.NoError(t, err)
	require.NoDirExists(t, left[0])
	require.NoError(t, next.Close())
	entries, err := os.ReadDir(scratch)
	require.NoError(t, err)
	require.Empty(t, entries)
}

// processesWith returns the processes that have the text in their command line, but for the
// test's own and the worker's.
func processesWith(t *testing.T, text string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	var found []string
	for _, f := range files {
		line, err := os.ReadFile(f)
		if err == nil && strings.Contains(string(line), text) && !strings.Contains(string(line), workerArg) {
			found = append(found, string(line))
		}
	}
	return found
}

func findFile(t *testing.T, root string) string {
	t.Helper()
	found := ""
	filepath.WalkDir(root, func(p string, _ os.DirEntry, err error) error { //nolint:errcheck // what cannot be read is not what we look for
		if err == nil && strings.HasSuffix(p, "/file") {
			found = p
		}
		return nil
	})
	return found
}
