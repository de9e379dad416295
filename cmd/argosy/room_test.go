package main

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow/spec"
)

func TestSubmitsWaitForRoom(t *testing.T) {
	t.Parallel()
	r := startRoles(t, "--max-queued-runs", "2")
	file := write(t, "quick", `
  - name: main
    container: {image: busybox, command: ["true"]}
`)
	names := []string{r.submit(file), r.submit(file)}
	_, errs, code := r.argosy("submit", file)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "2 workflows have not finished, of at most 2: submit again when some have (argosy submit --wait-for-room does)")

	// The one that waits gets in when others have ended.
	r.start("coordinator")
	waits := start(t, "submit", "--wait-for-room", "--wait", "--argosy-server", r.server, file)
	waits.await("waiting for room: 2 workflows have not finished")
	r.worker("--executor", "noop")
	<-waits.ended
	require.True(t, waits.cmd.ProcessState.Success())
	for _, name := range names {
		require.Equal(t, spec.WorkflowSucceeded, r.await(name, "an end", ended).Status.Phase)
	}
}

func TestNothingIsTakenInOrStartedBeyondTheMemoryLimit(t *testing.T) {
	t.Parallel()
	r := startRoles(t)
	file := write(t, "quick", `
  - name: main
    container: {image: busybox, command: ["true"]}
`)
	name := r.submit(file)
	full := &roles{t: t, redis: r.redis, dir: r.dir}
	full.server = full.serve("--redis-memory-limit", "1Ki")
	_, errs, code := full.argosy("submit", file)
	require.Equal(t, exitUsage, code)
	require.Regexp(t, `Redis uses \d+(Ki|Mi) of memory and takes no more workflows from 1Ki on`, errs)
	_, errs, code = argosy(t, "coordinator", "--redis-url", r.redis, "--redis-memory-limit", "much")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, `--redis-memory-limit: "much" is no amount of memory`)

	r.worker("--executor", "noop")
	held := r.start("coordinator", "--redis-memory-limit", "1Ki")
	held.await("nothing new is started")
	require.Empty(t, r.await(name, "an answer", func(*spec.Workflow) bool { return true }).Status.Nodes)
	held.kill(syscall.SIGTERM)
	r.start("coordinator")
	require.Equal(t, spec.WorkflowSucceeded, r.await(name, "an end", ended).Status.Phase)
}
