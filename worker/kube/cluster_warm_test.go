//go:build cluster

package kube

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"argosy/worker"
	"argosy/worker/executortest"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// warmed has a step run in warm pods.
func warmed(s *worker.Step, more ...string) *worker.Step {
	s.Template.Metadata.Annotations = map[string]string{spec.AnnotationWarm: "true"}
	for i := 0; i < len(more); i += 2 {
		s.Template.Metadata.Annotations[more[i]] = more[i+1]
	}
	return s
}

// another is one more step of the same template and run.
func another(s *worker.Step, i int, script string) *worker.Step {
	n, t, c := *s, *s.Template, *s.Template.Container
	n.Key, n.Log = workflow.Root.Step(0, fmt.Sprintf("a(%d)", i)), &executortest.Log{}
	c.Command = []string{"sh", "-c", script}
	t.Container, n.Template = &c, &t
	return &n
}

// warmPods are the pods of a run, ended or not.
func (c *cluster) warmPods(t *testing.T, s *worker.Step) []corev1.Pod {
	t.Helper()
	pods, err := c.client.CoreV1().Pods(s.Run.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: labelWarm + "," + labelRun + "=" + s.Run.ID})
	require.NoError(t, err)
	return pods.Items
}

// warmExecutor leaves no pods when the test has ended. Pods without requests have next to nothing of
// a node that is busy: what they do within their grace takes longer than one would think.
func (c *cluster) warmExecutor(t *testing.T, store worker.ArtifactStore) *Executor {
	e := c.executor(t, store, func(cfg *Config) { cfg.Grace = 30 * time.Second })
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute) // as for pods of other tests
		defer cancel()
		require.NoError(t, e.pools.Close(ctx))
	})
	return e
}

// TestWarmSuite holds warm pods equal to pods of a step's own. What a step in a warm pod leaves is
// nothing: its pod stays.
func TestWarmSuite(t *testing.T) {
	c := testCluster(t)
	executortest.Run(t, func(t *testing.T, store worker.ArtifactStore) executortest.Fixture {
		e := c.warmExecutor(t, store)
		warm := worker.ExecutorFunc(func(ctx context.Context, s *worker.Step) (workflow.Result, error) {
			w, tmpl := *s, *s.Template
			tmpl.Metadata.Annotations = map[string]string{spec.AnnotationWarm: "true"}
			w.Template = &tmpl
			return e.Execute(ctx, &w)
		})
		return executortest.Fixture{
			Executor: worker.Decorate(warm, worker.Decoration{}, slog.New(slog.DiscardHandler)),
			Image:    busybox,
			Patience: 30 * time.Second,
		}
	})
}

func TestALoopRunsInFewPods(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	e := c.warmExecutor(t, executortest.NewStore())
	first := warmed(clusterStep(t, ""), spec.AnnotationWarmMaxPods, "3", spec.AnnotationWarmMaxItems, "40")
	first.CaptureResult = true
	first.Template.Container.Env = []corev1.EnvVar{{Name: "NODE", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "spec.nodeName"}}}}
	var running sync.WaitGroup
	began := time.Now()
	for i := range 100 {
		running.Go(func() {
			s := another(first, i, `echo "$0 is $I of $SHARE on $NODE, with $(ls | wc -l) files in $(ls /tmp | wc -l)"; touch mine /tmp/mine`)
			s.Template.Container.Command = append(s.Template.Container.Command, "$(I)")
			s.Template.Container.Env = append([]corev1.EnvVar{{Name: "I", Value: fmt.Sprint(i)}, {Name: "SHARE", Value: "a $(I)"}}, first.Template.Container.Env...)
			r, err := e.Execute(t.Context(), s)
			if err != nil || r.Phase != spec.NodeSucceeded || r.Outputs.Result == nil {
				t.Errorf("step %d: %+v, %v: %s", i, r, err, s.Log)
				return
			}
			if want := fmt.Sprintf("%d is %d of a %d on %s, with 0 files in 0", i, i, i, r.Host); *r.Outputs.Result != want || s.Log.(*executortest.Log).String() != want+"\n" {
				t.Errorf("step %d says %q, and its log %q", i, *r.Outputs.Result, s.Log)
			}
		})
	}
	running.Wait()
	t.Logf("100 steps took %v", time.Since(began))
	c.expectFewPods(t, e, first)
}

// expectFewPods expects that there were at most as many pods as the pool may have at once, and two
// for those that were replaced; and none soon after.
func (c *cluster) expectFewPods(t *testing.T, e *Executor, s *worker.Step) {
	t.Helper()
	require.LessOrEqual(t, len(c.warmPods(t, s)), 5)
	require.NoError(t, e.SweepWarmPods(t.Context(), func(_ context.Context, run string, _ []workflow.Key) (Standing, error) {
		if run == s.Run.ID {
			return Standing{Phase: spec.WorkflowSucceeded}, nil
		}
		return Standing{}, nil
	}))
	require.Eventually(t, func() bool { return len(c.warmPods(t, s)) == 0 }, time.Minute, 200*time.Millisecond, "pods go with their run")
}

func TestAWarmStepFailsAlone(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	e := c.warmExecutor(t, executortest.NewStore())
	first := warmed(clusterStep(t, ""), spec.AnnotationWarmMaxPods, "1")
	run := func(i int, script string) (workflow.Result, *worker.Step) {
		s := another(first, i, script)
		r, err := e.Execute(t.Context(), s)
		require.NoError(t, err)
		return r, s
	}
	r, _ := run(0, "exit 3")
	require.Equal(t, spec.NodeFailed, r.Phase)
	require.Equal(t, "main: Error (exit code 3)", r.Message)

	s := another(first, 1, "echo begins; sleep 1000")
	s.Deadline = time.Now().Add(2 * time.Second)
	r, err := e.Execute(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, spec.NodeFailed, r.Phase)
	require.Equal(t, worker.DeadlineMessage, r.Message)

	r, s = run(2, "ps | grep -c '[s]leep'; true")
	require.Equal(t, spec.NodeSucceeded, r.Phase)
	require.Equal(t, "0\n", s.Log.(*executortest.Log).String(), "what ran before has ended")
	require.Len(t, c.warmPods(t, first), 1)
}

func TestAWarmPodThatIsDeletedTakesItsStepWithIt(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	e := c.warmExecutor(t, executortest.NewStore())
	s := warmed(clusterStep(t, "echo ready; sleep 1000"), spec.AnnotationWarmMaxPods, "1")
	ready := s.Log.(*executortest.Log).Wait("ready")
	go func() {
		<-ready
		_ = c.client.CoreV1().Pods("default").DeleteCollection(context.Background(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: labelRun + "=" + s.Run.ID})
	}()
	_, err := e.Execute(t.Context(), s)
	require.Equal(t, worker.ClassLost, classOf(t, err), "%v", err)
	require.ErrorContains(t, err, "pod deleted")
	r, err := e.Execute(t.Context(), another(s, 1, "true"))
	require.NoError(t, err)
	require.Equal(t, spec.NodeSucceeded, r.Phase, "the next one has a new pod")
}

// Not beside others, such as a hundred pods that start: Close does not wait for longer than 15 s.
func TestAWarmPodEndsWhenItRestsOrItsWorkerIsGone(t *testing.T) {
	c := testCluster(t)
	e := c.warmExecutor(t, executortest.NewStore())
	s := warmed(clusterStep(t, "true"), spec.AnnotationWarmIdle, "1s")
	r, err := e.Execute(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, spec.NodeSucceeded, r.Phase)
	require.Eventually(t, func() bool { return len(c.warmPods(t, s)) == 0 }, time.Minute, 200*time.Millisecond)

	held := warmed(clusterStep(t, "true"), spec.AnnotationWarmIdle, "1h")
	_, err = e.Execute(t.Context(), held)
	require.NoError(t, err)
	require.Len(t, c.warmPods(t, held), 1)
	require.NoError(t, e.Close())
	require.Eventually(t, func() bool { return len(c.warmPods(t, held)) == 0 }, time.Minute, 200*time.Millisecond)
}

func TestAWarmStepThatUsesTooMuchMemoryIsAFault(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	e := c.warmExecutor(t, executortest.NewStore())
	s := warmed(clusterStep(t, "exec tail /dev/zero"))
	s.Template.Container.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resourceOf("32Mi")}
	_, err := e.Execute(t.Context(), s)
	require.Equal(t, worker.ClassOOM, classOf(t, err), "%v", err)
}

func TestWarmPodsWithoutAnImageFailTheirSteps(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	e := c.warmExecutor(t, executortest.NewStore())
	s := warmed(clusterStep(t, "true"))
	s.Template.Container.Image, s.Template.Container.ImagePullPolicy = "not-in-this-cluster:1", corev1.PullNever
	_, err := e.Execute(t.Context(), s)
	require.Equal(t, worker.ClassImage, classOf(t, err), "%v", err)
	require.True(t, strings.Contains(err.Error(), "ErrImageNeverPull"), err)
}
