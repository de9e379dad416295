package main

import (
	"io"
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWorkflowsHaveMetricsOfTheirOwn(t *testing.T) {
	t.Parallel()
	d := start(t, "up", "--addr", "127.0.0.1:0", "--artifacts", t.TempDir(), "--metrics-addr", "", "--slots", "4", "--grace", "1s")
	address := regexp.MustCompile(`--argosy-server (\S+) `).FindStringSubmatch(d.await("argosy is up"))[1]
	for range 2 {
		_, errs, code := argosy(t, "submit", "--wait", "--argosy-server", address, "../../examples/metrics.yaml")
		require.Zero(t, code, errs)
	}
	r, err := http.Get("http://" + address + "/metrics")
	require.NoError(t, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, r.StatusCode, string(body))
	for _, line := range []string{
		`# TYPE argo_workflows_example_runs_total counter`,
		`argo_workflows_example_runs_total{status="Succeeded"} 2`,
		`argo_workflows_example_ends_total{exit_code="3",status="Failed"} 2`,
		`argo_workflows_example_large_total 2`,
		`argo_workflows_example_size_bytes_bucket{le="1024"} 2`,
		`argo_workflows_example_size_bytes_bucket{le="1.048576e+06"} 4`,
		`argo_workflows_example_size_bytes_count 6`,
		`argo_workflows_example_duration_seconds{workflow="metrics"}`,
	} {
		require.Contains(t, string(body), line)
	}
	out, errs, code := argosy(t, "get", "@latest", "-o", "yaml", "--argosy-server", address)
	require.Zero(t, code, errs)
	require.Regexp(t, `conditions:\n +- status: "False"\n +type: PodRunning\n +- status: "True"\n +type: Completed\n`, out)
}
