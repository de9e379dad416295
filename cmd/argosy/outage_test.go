package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/artifacts/artifactstest"
	"argosy/queue/queuetest"
	"argosy/workflow/spec"
)

// leaving is counting with an artifact of each item.
var leaving = strings.Replace(counting, "outputs: {parameters: [{name: i,", "outputs: {artifacts: [{name: f, path: /tmp/i}], parameters: [{name: i,", 1)

// midway returns when a run of counting has some items done and others not.
func (r *roles) midway(name string) {
	r.t.Helper()
	wf := r.await(name, "no item ends", func(wf *spec.Workflow) bool { return doneOf(wf) >= 3 || ended(wf) })
	require.False(r.t, ended(wf), "%s: %s", wf.Status.Phase, wf.Status.Message)
}

func TestARunWaitsForAnArtifactStoreThatIsAway(t *testing.T) {
	t.Parallel()
	const items = 16
	store := artifactstest.StartMinIO(t)
	r := startRoles(t)
	r.env = store.Environment()
	r.start("coordinator")
	worker := r.start("worker", "--slots", "4")
	name := r.submit(write(t, "leave", fmt.Sprintf(leaving, items, "1")))
	r.midway(name)
	store.Kill()
	worker.await("the artifact store is away")
	store.Restart(t)
	worker.await("the artifact store is back")
	requireCounted(t, r.await(name, "the run does not end", ended), items)
}

func TestAStoreThatRefusesFailsTheStepAtOnce(t *testing.T) {
	t.Parallel()
	r := startRoles(t)
	r.env = append(artifactstest.StartMinIO(t).Environment(), "ARGOSY_S3_SECRET_KEY=not-the-secret")
	r.start("coordinator")
	r.start("worker")
	name := r.submit(write(t, "leave", fmt.Sprintf(leaving, 1, "0")))
	wf := r.await(name, "the run does not end", ended)
	require.Equal(t, spec.WorkflowFailed, wf.Status.Phase)
	for _, n := range wf.Status.Nodes {
		if n.Type == spec.NodeTypePod {
			require.Equal(t, spec.NodeError, n.Phase)
			require.Contains(t, n.Message, "saving output artifact f: ")
			return
		}
	}
	require.Fail(t, "no step ran")
}

func TestARunGoesOnWhenRedisStalledForLongerThanItsLeases(t *testing.T) {
	t.Parallel()
	const items = 16
	redis := queuetest.StartServer(t, queuetest.AOF()...)
	r := startRolesOn(t, redis.URL())
	r.start("coordinator")
	r.worker("--slots", "4")
	name := r.submit(write(t, "count", fmt.Sprintf(counting, items, "1")))
	r.midway(name)
	redis.Stall(t)
	<-time.After(7 * time.Second)
	redis.Resume(t)
	requireCounted(t, r.await(name, "the run does not end", ended), items)
}

func TestARunGoesOnOnTheReplicaThatSentinelPromotes(t *testing.T) {
	t.Parallel()
	const items = 16
	s := queuetest.StartSentinels(t)
	r := startRolesOn(t, s.URL)
	r.start("coordinator")
	r.worker("--slots", "4")
	name := r.submit(write(t, "count", fmt.Sprintf(counting, items, "1")))
	r.midway(name)
	s.Master.Kill(t)
	requireCounted(t, r.await(name, "the run does not end", ended), items)
}
