package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/queue/queuetest"
	"argosy/workflow/spec"
)

// roles are the processes of a fleet on one Redis.
type roles struct {
	t      *testing.T
	redis  string
	dir    string // of artifacts
	env    []string
	server string // address
}

func startRoles(t *testing.T, server ...string) *roles {
	t.Helper()
	return startRolesOn(t, queuetest.Start(t), server...)
}

func startRolesOn(t *testing.T, redis string, server ...string) *roles {
	t.Helper()
	r := &roles{t: t, redis: redis, dir: t.TempDir()}
	r.server = r.serve(server...)
	return r
}

// serve starts a server and returns its address.
func (r *roles) serve(args ...string) string {
	r.t.Helper()
	line := r.start("server", append([]string{"--addr", "127.0.0.1:0"}, args...)...).await("serving")
	match := regexp.MustCompile(`"address":"([^"]+)"`).FindStringSubmatch(line)
	require.NotNil(r.t, match, line)
	return match[1]
}

func (r *roles) start(role string, args ...string) *daemon {
	r.t.Helper()
	all := []string{role, "--redis-url", r.redis}
	if role == "coordinator" || role == "worker" {
		all = append(all, "--metrics-addr", "")
	}
	return startWith(r.t, r.env, append(all, args...)...)
}

func (r *roles) worker(args ...string) *daemon {
	return r.start("worker", append([]string{"--artifacts", r.dir}, args...)...)
}

// argosy runs a client command against the fleet's server.
func (r *roles) argosy(args ...string) (stdout, stderr string, code int) {
	r.t.Helper()
	return argosy(r.t, append(args, "--argosy-server", r.server)...)
}

// submit returns the run's name.
func (r *roles) submit(file string) string {
	r.t.Helper()
	out, errs, code := r.argosy("submit", "-o", "name", file)
	require.Zero(r.t, code, errs)
	return out[:len(out)-1]
}

// await waits until the run satisfies the condition.
func (r *roles) await(name string, what string, ok func(*spec.Workflow) bool) *spec.Workflow {
	r.t.Helper()
	wf := &spec.Workflow{}
	require.Eventually(r.t, func() bool {
		// While its Redis is away a server says so.
		out, _, code := r.argosy("get", "-o", "json", name)
		return code == 0 && json.Unmarshal([]byte(out), wf) == nil && ok(wf)
	}, 50*time.Second, 50*time.Millisecond, what)
	return wf
}

func ended(wf *spec.Workflow) bool { return wf.Status.Phase.Completed() }

// counting is a workflow whose items each return their number, and whose last step adds
// them up: an item that was lost or counted twice shows in the sum.
const counting = `
  - name: main
    steps:
    - - name: item
        template: item
        withSequence: {count: "%d"}
        arguments: {parameters: [{name: i, value: "{{item}}"}]}
    - - name: sum
        template: sum
        arguments: {parameters: [{name: all, value: "{{steps.item.outputs.parameters.i}}"}]}
  - name: item
    inputs: {parameters: [{name: i}]}
    outputs: {parameters: [{name: i, valueFrom: {path: /tmp/i}}]}
    container: {image: busybox, command: [sh, -c, "sleep %s; echo {{inputs.parameters.i}} > /tmp/i"]}
  - name: sum
    inputs: {parameters: [{name: all}]}
    outputs: {parameters: [{name: total, valueFrom: {path: /tmp/total}}]}
    container:
      image: busybox
      command: [sh, -c]
      args: ["echo '{{inputs.parameters.all}}' | tr -d '[]\"' | tr ',' '\\n' | awk '{ n++; s += $1 } END { print n, s }' > /tmp/total"]
`

// requireCounted checks that the run of counting counted every item once.
func requireCounted(t *testing.T, wf *spec.Workflow, n int) {
	t.Helper()
	require.Equal(t, spec.WorkflowSucceeded, wf.Status.Phase, wf.Status.Message)
	require.Equal(t, spec.Progress(fmt.Sprintf("%d/%d", n+1, n+1)), wf.Status.Progress)
	for _, node := range wf.Status.Nodes {
		if node.DisplayName == "sum" {
			require.Equal(t, fmt.Sprintf("%d %d", n, n*(n-1)/2), node.Outputs.Parameters[0].GetValue())
			return
		}
	}
	require.Fail(t, "the run has no node sum")
}

func TestTwoCoordinatorsOneOfThemKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	const items = 40
	r := startRoles(t)
	r.start("coordinator")
	victim := r.start("coordinator")
	r.worker("--slots", "4")
	name := r.submit(write(t, "count", fmt.Sprintf(counting, items, "0.1")))
	for done := 5; done <= 25; done += 10 {
		r.await(name, "the run does not go on", func(wf *spec.Workflow) bool { return doneOf(wf) >= done || ended(wf) })
		victim.kill(syscall.SIGKILL)
		victim = r.start("coordinator")
	}
	requireCounted(t, r.await(name, "the run does not end", ended), items)
}

func doneOf(wf *spec.Workflow) (done int) {
	_, _ = fmt.Sscanf(string(wf.Status.Progress), "%d/", &done)
	return done
}

func TestAKilledWorkersStepsGoOnElsewhere(t *testing.T) {
	t.Parallel()
	const items = 12
	r := startRoles(t)
	r.start("coordinator")
	victim := r.worker("--slots", "4")
	name := r.submit(write(t, "count", fmt.Sprintf(counting, items, "0.5")))
	r.await(name, "no step starts", func(wf *spec.Workflow) bool { return doneOf(wf) >= 2 })
	victim.kill(syscall.SIGKILL)
	killed := time.Now()
	r.worker("--slots", "4")
	wf := r.await(name, "the run does not end", ended)
	requireCounted(t, wf, items)
	require.Less(t, time.Since(killed), 25*time.Second)
}

func TestAWorkerToldToStopHandsItsStepsOver(t *testing.T) {
	t.Parallel()
	const items = 6
	r := startRoles(t)
	r.start("coordinator")
	victim := r.worker("--slots", "3", "--grace", "1s")
	name := r.submit(write(t, "count", fmt.Sprintf(counting, items, "1")))
	r.await(name, "no step starts", func(wf *spec.Workflow) bool { return doneOf(wf) >= 1 })
	victim.kill(syscall.SIGTERM)
	require.Equal(t, 0, victim.cmd.ProcessState.ExitCode())
	r.worker("--slots", "3")
	requireCounted(t, r.await(name, "the run does not end", ended), items)
}

func TestStopEndsARun(t *testing.T) {
	t.Parallel()
	r := startRoles(t)
	r.start("coordinator")
	r.worker("--slots", "2", "--grace", "1s")
	name := r.submit(write(t, "count", fmt.Sprintf(counting, 50, "30")))
	r.await(name, "no step starts", func(wf *spec.Workflow) bool { return runningNodes(wf) == 2 })
	_, errs, code := r.argosy("stop", name, "--message", "enough")
	require.Zero(t, code, errs)
	wf := r.await(name, "the run does not end", ended)
	require.Equal(t, spec.WorkflowFailed, wf.Status.Phase)
	for _, n := range wf.Status.Nodes {
		require.True(t, n.Phase.Fulfilled(), "%s is %s", n.Name, n.Phase)
	}

	_, errs, code = r.argosy("delete", name)
	require.Zero(t, code, errs)
	_, errs, code = r.argosy("get", name)
	require.Equal(t, exitUsage, code, errs)
}

func runningNodes(wf *spec.Workflow) int {
	n := 0
	for _, node := range wf.Status.Nodes {
		if node.Type == spec.NodeTypePod && node.Phase == spec.NodeRunning {
			n++
		}
	}
	return n
}

func TestAnInstanceOfEveryRoleInOneProcess(t *testing.T) {
	t.Parallel()
	d := start(t, "up", "--addr", "127.0.0.1:0", "--artifacts", t.TempDir(), "--metrics-addr", "")
	address := regexp.MustCompile(`--argosy-server (\S+) `).FindStringSubmatch(d.await("argosy is up"))[1]
	out, errs, code := argosy(t, "submit", "--wait", "--argosy-server", address, "../../examples/map-reduce.yaml")
	require.Zero(t, code, "%s%s", out, errs)
	require.Contains(t, out, "Succeeded")
	d.kill(syscall.SIGTERM)
	require.Zero(t, d.cmd.ProcessState.ExitCode())
}
