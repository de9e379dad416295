package main

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/worker/executortest"
	"argosy/worker/handover"
	"argosy/workflow/spec"
)

// large is a pod whose step writes an output of 20 MiB: three parts.
func large(t *testing.T, archive *spec.ArchiveStrategy) (*pod, *executortest.PartServer) {
	p := newPod(t)
	p.step.Template.Container.Command = []string{"sh", "-c", "yes 0123456789 | head -c 20971520 > " + p.path("out")}
	p.step.Template.Outputs.Artifacts = []spec.Artifact{p.artifact("out", archive)}
	return p, p.store.TakeParts(t)
}

func requireLarge(t *testing.T, p *pod) {
	t.Helper()
	_, r, err := p.run(t)
	require.NoError(t, err, "%s", p.stderr.String())
	require.Len(t, r.Outputs.Artifacts, 1)
	whole := strings.Repeat("0123456789\n", 20971520/11+1)[:20971520]
	require.True(t, p.store.Objects()["key/out"] == whole, "%d bytes", len(p.store.Objects()["key/out"]))
}

var none = &spec.ArchiveStrategy{None: &spec.NoneStrategy{}}

func TestALargeOutputGoesToTheStoreInParts(t *testing.T) {
	p, parts := large(t, none)
	requireLarge(t, p)
	require.Equal(t, 3, parts.Stored())
	require.Zero(t, parts.Open())
}

func TestASmallOutputGoesThroughTheGateway(t *testing.T) {
	p, parts := large(t, nil) // packed it is small
	_, r, err := p.run(t)
	require.NoError(t, err)
	require.Len(t, r.Outputs.Artifacts, 1)
	require.Len(t, p.store.Unpack(t, "key/out")[""], 20971520)
	require.Zero(t, parts.Stored())
}

func TestAPartThatTheStoreDoesNotTakeIsSentAgain(t *testing.T) {
	p, parts := large(t, none)
	var asked atomic.Int32
	parts.Answer(func(*http.Request) int {
		if asked.Add(1)%2 == 1 {
			return http.StatusServiceUnavailable
		}
		return 0
	})
	requireLarge(t, p)
	require.Equal(t, 3, parts.Stored())
	require.EqualValues(t, 6, asked.Load())
}

func TestAnOutputGoesThroughTheGatewayWhereItsStoreIsNotToBeFound(t *testing.T) {
	p, parts := large(t, none)
	parts.Leave()
	requireLarge(t, p)
	require.Zero(t, parts.Open())
}

func TestAnOutputStartsOverThroughTheGatewayWhereItsStoreRefusesIt(t *testing.T) {
	p, parts := large(t, none)
	var asked atomic.Int32
	parts.Answer(func(*http.Request) int {
		if asked.Add(1) == 1 {
			return 0
		}
		return http.StatusForbidden
	})
	requireLarge(t, p)
	require.Equal(t, 1, parts.Stored())
	require.Zero(t, parts.Open(), "what was begun is given up")
}

func TestPartsAddUpToWhatIsPromised(t *testing.T) {
	t.Parallel()
	size := int64(0)
	for n := 1; n <= handover.MaxParts; n++ {
		size += int64(handover.PartSize(n))
	}
	require.Greater(t, size, int64(200)<<30)
}
