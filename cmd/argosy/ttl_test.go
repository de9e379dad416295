package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestARunThatEndedIsDeletedWhenItsTimeHasCome(t *testing.T) {
	t.Parallel()
	r := startRoles(t)
	r.start("coordinator")
	r.worker()
	run := func(name, ttl, command string) string {
		return "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: " + name + "}\nspec:\n  entrypoint: main\n  ttlStrategy: " + ttl +
			"\n  templates: [{name: main, container: {image: busybox, command: [" + command + "]}}]\n---\n"
	}
	_, errs, _ := r.argosy("submit", "--wait", file(t,
		run("kept", "{secondsAfterFailure: 1}", "'true'")+run("failed", "{secondsAfterFailure: 1, secondsAfterCompletion: 1000}", "'false'")+
			run("succeeded", "{secondsAfterCompletion: 1}", "'true'")))
	for _, name := range []string{"failed", "succeeded"} {
		require.Eventually(t, func() bool {
			_, errs, code := r.argosy("get", name)
			return code == exitUsage && errs != ""
		}, 30*time.Second, 100*time.Millisecond, "%s: %s", name, errs)
	}
	out, _, code := r.argosy("list", "-o", "name")
	require.Zero(t, code)
	require.Equal(t, "kept\n", out)
}
