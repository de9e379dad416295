package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const lockedWorkflow = `
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: NAME}
spec:
  entrypoint: main
  templates:
  - name: main
    synchronization: {semaphores: [{database: {key: builds}}]}
    container: {image: busybox, command: [sleep, "SECONDS"]}
`

func TestALimitThatIsRaisedLetsWaitersGoOn(t *testing.T) {
	t.Parallel()
	r := startRoles(t)
	r.start("coordinator")
	r.worker()
	ok := func(args ...string) string {
		t.Helper()
		out, errs, code := r.argosy(args...)
		require.Zero(t, code, "%v: %s%s", args, out, errs)
		return out
	}
	submit := func(name, seconds string) {
		t.Helper()
		ok("submit", file(t, strings.NewReplacer("NAME", name, "SECONDS", seconds).Replace(lockedWorkflow)))
	}
	shows := func(name, text string) {
		t.Helper()
		for !strings.Contains(ok("get", name), text) {
			require.NoError(t, t.Context().Err())
		}
	}
	require.Contains(t, ok("sync", "create", "builds", "--type", "database", "--limit", "1"), "Limit: 1")
	_, errs, code := r.argosy("sync", "create", "builds", "--type", "database", "--limit", "1")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "Database sync limit already exists")
	submit("first", "300")
	shows("first", "Running")
	submit("second", "0")
	shows("second", "Waiting for default/Database/builds lock. Lock status: 0/1")

	ok("sync", "update", "builds", "--type", "database", "--limit", "2")
	ok("wait", "second")
	ok("stop", "first")
	require.Contains(t, ok("sync", "get", "builds", "--type", "database"), "Limit: 2")
	ok("sync", "delete", "builds", "--type", "database")
	_, _, code = r.argosy("sync", "get", "builds")
	require.Equal(t, exitUsage, code, "it needs the name of a config map")
}
