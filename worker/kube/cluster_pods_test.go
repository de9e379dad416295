//go:build cluster

package kube

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"argosy/worker"
	"argosy/worker/executortest"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// namespace makes one for a test.
func (c *cluster) namespace(t *testing.T) string {
	t.Helper()
	ns, err := c.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "argosy-test-"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := c.client.CoreV1().Namespaces().Delete(context.Background(), ns.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	return ns.Name
}

// waitsOf has what a step waits for told to a channel.
func waitsOf(s *worker.Step) <-chan string {
	told := make(chan string, 100)
	s.Waits = func(_ context.Context, message string) error {
		told <- message
		return nil
	}
	return told
}

func TestWhatAStepWaitsForIsToldAndItsEventsAreKept(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	e := c.executor(t, executortest.NewStore(), nil)
	s := clusterStep(t, "true")
	s.PendingTimeout = consultAfter + 3*time.Second
	s.Template.NodeSelector = map[string]string{"no": "such-node"}
	told := waitsOf(s)
	r, err := e.Execute(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, spec.NodeFailed, r.Phase)
	require.Contains(t, <-told, "Unschedulable: ")
	require.Contains(t, s.Log.(*executortest.Log).String(), "argosy: FailedScheduling: ")
	require.Empty(t, c.residue(t, s))
}

func TestAQuotaIsWaitedFor(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	ns := c.namespace(t)
	none, one := resourceOf("0"), resourceOf("1")
	quotas := c.client.CoreV1().ResourceQuotas(ns)
	for name, kind := range map[string]corev1.ResourceName{"the Job": "count/jobs.batch", "its pod": corev1.ResourcePods} {
		quota, err := quotas.Create(t.Context(), &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Name: "q"}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{kind: none}},
		}, metav1.CreateOptions{})
		require.NoError(t, err)
		require.Eventually(t, func() bool { // it counts once its status is there
			quota, err = quotas.Get(t.Context(), "q", metav1.GetOptions{})
			return err == nil && len(quota.Status.Hard) > 0
		}, time.Minute, 100*time.Millisecond)
		e := c.executor(t, executortest.NewStore(), func(cfg *Config) { cfg.ImageDeadline = consultAfter + 3*time.Second })
		s := clusterStep(t, "true")
		s.Run.Namespace = ns
		told := waitsOf(s)
		ended := make(chan error, 1)
		go func() {
			r, err := e.Execute(t.Context(), s)
			if err == nil && r.Phase != spec.NodeSucceeded {
				err = errors.New(r.Message)
			}
			ended <- err
		}()
		select {
		case message := <-told:
			require.Contains(t, message, "exceeded quota", name)
		case err := <-ended:
			require.Fail(t, "it does not wait", "%s: %v", name, err)
		}
		more := fmt.Appendf(nil, `{"spec":{"hard":{%q:%q}}}`, kind, one.String())
		_, err = quotas.Patch(t.Context(), "q", types.MergePatchType, more, metav1.PatchOptions{}) // its status changes all the time
		require.NoError(t, err)
		require.NoError(t, <-ended, name)
		require.NoError(t, quotas.Delete(t.Context(), "q", metav1.DeleteOptions{}))
	}
}

func TestADaemonServesOnceItsProbePassesUntilItIsEnded(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	e := c.executor(t, executortest.NewStore(), nil)
	daemon := clusterStep(t, "mkdir /www; echo hello > /www/index.html; sleep 2; touch /tmp/ready; exec httpd -f -p 8080 -h /www")
	daemon.Template.Container.ReadinessProbe = &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"test", "-e", "/tmp/ready"}}},
		PeriodSeconds: 1,
	}
	serves := make(chan workflow.Ready, 1)
	daemon.Ready = func(_ context.Context, r workflow.Ready) { serves <- r }
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := e.Execute(ctx, daemon)
		ended <- err
	}()
	var ready workflow.Ready
	select {
	case ready = <-serves:
	case err := <-ended:
		require.Fail(t, "it does not serve", "%v", err)
	}
	require.NotEmpty(t, ready.Host)

	client := clusterStep(t, fmt.Sprintf("wget -q -O - http://%s:8080/", ready.Address))
	r, err := e.Execute(t.Context(), client)
	require.NoError(t, err)
	require.Equal(t, spec.NodeSucceeded, r.Phase, r.Message)
	require.Equal(t, "hello\n", client.Log.(*executortest.Log).String())

	cancel(worker.ErrStopped) // as a renewal does when the daemon's scope has ended
	require.ErrorIs(t, <-ended, worker.ErrStopped)
	require.Empty(t, c.residue(t, daemon))
}

func TestJobsThatNobodyHasAreSweptAndThoseThatPodGCNames(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	ns := c.namespace(t)
	executor := func(owner string) *Executor {
		return c.executor(t, executortest.NewStore(), func(cfg *Config) {
			cfg.Namespace, cfg.Owner, cfg.SweepAfter = ns, owner, time.Nanosecond
		})
	}
	left := clusterStep(t, "echo ready; sleep 1000")
	left.Run.Namespace = ns
	ctx, cancel := context.WithCancelCause(t.Context())
	ready := left.Log.(*executortest.Log).Wait("ready")
	go func() {
		<-ready
		cancel(worker.ErrLeaseLost) // its worker dies
	}()
	us := executor("us")
	_, err := us.Execute(ctx, left)
	require.ErrorIs(t, err, worker.ErrLeaseLost)

	collected, most := clusterStep(t, "true"), intstr.FromInt32(0)
	collected.Run.Namespace = ns
	collected.Spec.PodGC = &spec.PodGC{Strategy: spec.PodGCOnPodCompletion, DeleteDelayDuration: "0s"}
	collected.Spec.PodDisruptionBudget = &policyv1.PodDisruptionBudgetSpec{MaxUnavailable: &most}
	_, err = us.Execute(t.Context(), collected)
	require.NoError(t, err)
	_, err = c.client.PolicyV1().PodDisruptionBudgets(ns).Get(t.Context(), collected.Run.Name, metav1.GetOptions{})
	require.NoError(t, err)

	gone := func(context.Context, string, []workflow.Key) (Standing, error) { return Standing{Gone: true}, nil }
	them := executor("them")
	require.NoError(t, errors.Join(them.SweepJobs(t.Context(), gone), them.SweepBudgets(t.Context(), gone)))
	jobs := func() (names []string) {
		list, err := c.client.BatchV1().Jobs(ns).List(t.Context(), metav1.ListOptions{})
		require.NoError(t, err)
		for i := range list.Items {
			names = append(names, list.Items[i].Name)
		}
		return names
	}
	require.ElementsMatch(t, []string{JobName(left), JobName(collected)}, jobs(), "they are another install's")
	require.Eventually(t, func() bool { // the Job's end is seen some time after its pod's
		require.NoError(t, errors.Join(us.SweepJobs(t.Context(), gone), us.SweepBudgets(t.Context(), gone)))
		return len(jobs()) == 0
	}, time.Minute, 200*time.Millisecond)
	_, err = c.client.PolicyV1().PodDisruptionBudgets(ns).Get(t.Context(), collected.Run.Name, metav1.GetOptions{})
	require.True(t, apierrors.IsNotFound(err))
	require.Eventually(t, func() bool { return len(c.residue(t, left)) == 0 }, time.Minute, 200*time.Millisecond)
}

// loopItem is the step of an item of a loop that several workers run one after the other.
func loopItem(t *testing.T, run, ns string, i int) *worker.Step {
	s := clusterStep(t, fmt.Sprintf("echo item %d", i))
	s.Run = &workflow.Run{ID: run, Name: run, Namespace: ns}
	s.Key = workflow.Root.Step(0, fmt.Sprintf("item-%d", i))
	return s
}

// loopEnd is how a worker of the loop tells of an item's end.
type loopEnd struct {
	Item    int
	Phase   spec.NodePhase
	Message string
	Log     string
}

// TestWorkerOfALoop is such a worker, when its environment says so.
func TestWorkerOfALoop(t *testing.T) {
	text := os.Getenv("ARGOSY_TEST_LOOP")
	if text == "" {
		return
	}
	var loop struct {
		Run, Namespace string
		Delivery       int
		Items          []int
	}
	require.NoError(t, json.Unmarshal([]byte(text), &loop))
	e := testCluster(t).executor(t, executortest.NewStore(), func(cfg *Config) { cfg.Namespace, cfg.TTL = loop.Namespace, 10*time.Minute })
	var running sync.WaitGroup
	var out sync.Mutex
	for _, i := range loop.Items {
		running.Go(func() {
			s := loopItem(t, loop.Run, loop.Namespace, i)
			s.Delivery = loop.Delivery
			r, err := e.Execute(t.Context(), s)
			if err != nil {
				r.Phase = spec.NodePhase(err.Error())
			}
			line, err := json.Marshal(loopEnd{i, r.Phase, r.Message, s.Log.(*executortest.Log).String()})
			out.Lock()
			defer out.Unlock()
			fmt.Fprintf(os.Stderr, "ended %s %v\n", line, err)
		})
	}
	running.Wait()
}

// It is alone: its hundred pods at once keep the node from doing anything else in time.
func TestNoStepRunsTwiceHoweverOftenWorkersAreKilled(t *testing.T) {
	const items, kills = 100, 10
	c := testCluster(t)
	ns := c.namespace(t)
	run := fmt.Sprintf("loop-%x", time.Now().UnixNano())
	ends := map[int]loopEnd{}
	for generation := 1; len(ends) < items; generation++ {
		require.LessOrEqual(t, generation, kills+1, "the last worker did not end the loop")
		var left []int
		for i := range items {
			if _, ok := ends[i]; !ok {
				left = append(left, i)
			}
		}
		text, err := json.Marshal(map[string]any{"Run": run, "Namespace": ns, "Delivery": generation, "Items": left})
		require.NoError(t, err)
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWorkerOfALoop$")
		cmd.Env = append(os.Environ(), "ARGOSY_TEST_LOOP="+string(text), "ARGOSY_RUNNER_IMAGE="+c.runnerImage)
		stderr, err := cmd.StderrPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		enough := len(ends) + (items-len(ends))/(kills+2-generation)
		read(t, stderr, func(end loopEnd) {
			ends[end.Item] = end
			if generation <= kills && len(ends) >= enough {
				_ = cmd.Process.Kill()
			}
		})
		_ = cmd.Wait()
	}
	for i := range items {
		require.Equal(t, loopEnd{i, spec.NodeSucceeded, "", fmt.Sprintf("item %d\n", i)}, ends[i])
	}
	pods, err := c.client.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, pods.Items, items, "each step had one pod")
	for i := range pods.Items {
		require.Zero(t, pods.Items[i].Status.ContainerStatuses[0].RestartCount)
	}
}

// read gives each end that a worker tells of, until it is dead.
func read(t *testing.T, stderr io.Reader, found func(loopEnd)) {
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		rest, ok := strings.CutPrefix(lines.Text(), "ended ")
		if !ok {
			continue
		}
		var end loopEnd
		require.NoError(t, json.NewDecoder(strings.NewReader(rest)).Decode(&end), rest)
		found(end)
	}
}
