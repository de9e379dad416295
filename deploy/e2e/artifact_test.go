//go:build cluster

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/artifacts"
)

// program builds the command and brings the image with its runner into the cluster.
func program(t *testing.T) string {
	t.Helper()
	require.NotEmpty(t, os.Getenv("KUBECONFIG"), `there is no cluster: make cluster-up, then eval "$(bin/devcluster env)"`)
	say(t, "", "make", "-s", "bin/devcluster")
	if os.Getenv("ARGOSY_E2E_IMAGES") != "there" {
		say(t, "", "make", "-s", "image")
		say(t, "", devcluster, "load-image", "dist/argosy.tar")
	}
	return filepath.Join(root(t), "dist/argosy")
}

// ran runs a file in the cluster, whose store is the MinIO beside it, and gives the
// workflow as it ended.
func ran(t *testing.T, argosy string, args ...string) workflow {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argosy, append([]string{"run", "--executor", "kubernetes", "--embedded", "memory", "-n", "default", "-o", "json"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	require.NoError(t, err, "%s%s", &out, &errs)
	var wf workflow
	require.NoError(t, json.Unmarshal(out.Bytes(), &wf), &out)
	t.Logf("it took %v of CPU and at most %d MiB of memory", cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime(), cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss>>10)
	return wf
}

func TestAnArtifactMayBeMuchLargerThanAPodsMemory(t *testing.T) {
	argosy := program(t)
	size := "200000000"
	if asked := os.Getenv("ARGOSY_E2E_BYTES"); asked != "" {
		size = asked
	}
	began := time.Now()
	wf := ran(t, argosy, "-p", "bytes="+size, "testdata/large.yaml")
	require.Equal(t, "Succeeded", wf.Status.Phase, wf.Status.Message)
	t.Logf("%s bytes took %v to be made, kept, fetched, kept packed, and fetched", size, time.Since(began).Round(time.Second))

	// Through the worker they would have fewer parts.
	store, err := artifacts.NewS3(artifacts.S3Config{
		Endpoint: os.Getenv("ARGOSY_S3_ENDPOINT"), Bucket: os.Getenv("ARGOSY_S3_BUCKET"), Insecure: true,
		AccessKey: os.Getenv("ARGOSY_S3_ACCESS_KEY"), SecretKey: os.Getenv("ARGOSY_S3_SECRET_KEY"),
	})
	require.NoError(t, err)
	for _, name := range []string{"made", "passed"} {
		key := wf.Metadata.Name + "/" + name
		from, err := store.PresignGet(t.Context(), key, time.Minute)
		require.NoError(t, err)
		resp, err := http.Get(from.String())
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		etag := strings.Trim(resp.Header.Get("ETag"), `"`)
		parts := (resp.ContentLength + 8<<20 - 1) / (8 << 20)
		t.Logf("%s has %d bytes in parts: %s", name, resp.ContentLength, etag)
		require.Contains(t, etag, fmt.Sprintf("-%d", parts), "the pod itself sent it, in parts of 8 MiB")
		require.NoError(t, store.Delete(t.Context(), key))
	}
}
