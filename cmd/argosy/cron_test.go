package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCronWorkflowsFire(t *testing.T) {
	t.Parallel()
	example, err := os.ReadFile("../../examples/cron.yaml")
	require.NoError(t, err)
	text := strings.Replace(string(example), `"5,30 7-19 * * MON-FRI"`, `"@every 1s"`, 1)
	require.NotEqual(t, text, string(example))
	path := file(t, text)

	r := startRoles(t)
	r.start("coordinator")
	r.start("coordinator")
	r.worker()
	ok := func(args ...string) string {
		out, errs, code := r.argosy(args...)
		require.Zero(t, code, "%v: %s%s", args, out, errs)
		return out
	}
	require.Contains(t, ok("cron", "lint", path, "../../examples/cron.yaml"), "no errors")
	require.Equal(t, "report created\n", ok("cron", "create", path))
	fired := regexp.MustCompile(`(?m)^report-\d{10}$`)
	runs := func() []string {
		return fired.FindAllString(ok("list", "-l", "workflows.argoproj.io/cron-workflow=report,team=reports", "--status", "Succeeded", "-o", "name"), -1)
	}
	require.Eventually(t, func() bool { return len(runs()) >= 4 }, 30*time.Second, 100*time.Millisecond)
	require.Equal(t, "CronWorkflow 'report' suspended\n", ok("cron", "suspend", "report"))
	require.Eventually(t, func() bool { return !strings.Contains(ok("cron", "get", "report"), "Active Workflows") }, 30*time.Second, 100*time.Millisecond)
	got := ok("cron", "get", "report")
	for _, part := range []string{"Suspended: ", "true", "Succeeded: ", "LastScheduledTime: ", "Europe/Berlin", "Phase: ", "Active"} {
		require.Contains(t, got, part)
	}
	require.NotContains(t, got, "NextScheduledTime")
	kept := runs()
	require.Len(t, kept, 4, "the history has a limit")
	require.Regexp(t, `the report of \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`, ok("logs", kept[0], "--no-color"))

	require.Regexp(t, `report +\S+ +\S+ +N/A +@every 1s,@daily +Europe/Berlin +true`, ok("cron", "list"))
	require.Contains(t, ok("submit", "--from", "cronwf/report", "--name", "by-hand", "--wait"), "by-hand")
	require.Equal(t, "report updated\n", ok("cron", "update", "../../examples/cron.yaml"))
	require.Equal(t, "CronWorkflow 'report' resumed\n", ok("cron", "resume", "report"))
	require.Contains(t, ok("cron", "get", "report"), "NextScheduledTime")
	require.Equal(t, "4 workflows submitted\n",
		ok("cron", "backfill", "report", "--start", "2026-01-05T10:00:00Z", "--end", "2026-01-05T12:00:00Z", "--parallel", "--name", "again"))
	ok("wait", "again-1767611100")
	require.Equal(t, "report deleted\n", ok("cron", "delete", "report"))
	require.Eventually(t, func() bool { return len(runs()) == 0 }, 30*time.Second, 100*time.Millisecond, "its runs go with it")
}
