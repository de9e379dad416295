//go:build cluster

package kube

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"argosy/worker"
	"argosy/worker/executortest"
	"argosy/workflow/spec"
)

func shell(name, script string, after ...string) spec.ContainerNode {
	return spec.ContainerNode{
		Container:    corev1.Container{Name: name, Image: busybox, ImagePullPolicy: corev1.PullIfNotPresent, Command: []string{"sh", "-c", script}},
		Dependencies: after,
	}
}

func setStep(t *testing.T, nodes ...spec.ContainerNode) *worker.Step {
	s := clusterStep(t, "")
	s.Template = &spec.Template{
		Name:    "a",
		Volumes: []corev1.Volume{{Name: "work", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		ContainerSet: &spec.ContainerSetTemplate{
			Containers: nodes, VolumeMounts: []corev1.VolumeMount{{Name: "work", MountPath: "/w"}},
		},
	}
	return s
}

func TestASetRunsInOnePodAsItsGraphSays(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	twice := intstr.FromInt32(2)
	for name, tt := range map[string]struct {
		nodes    []spec.ContainerNode
		retry    *spec.ContainerSetRetryStrategy
		phase    spec.NodePhase
		message  string
		log      string
		messages map[string]string // of containers that failed
	}{
		"a diamond": {
			nodes: []spec.ContainerNode{
				shell("main", "cat /w/b /w/c", "b", "c"), shell("a", "echo a > /w/a"),
				shell("b", "cat /w/a > /w/b", "a"), shell("c", "cat /w/a > /w/c", "a"),
			},
			phase: spec.NodeSucceeded, log: "a\na\n",
		},
		"without a graph": {
			nodes: []spec.ContainerNode{shell("one", "true"), shell("two", "exit 4")},
			phase: spec.NodeFailed, message: "two: Error (exit code 4)", messages: map[string]string{"two": "two: Error (exit code 4)"},
		},
		"what fails ends what waits for it": {
			nodes: []spec.ContainerNode{shell("a", "exit 5"), shell("b", "echo never", "a"), shell("d", "echo alone")},
			phase: spec.NodeFailed, message: "a: Error (exit code 5)", log: "alone\n",
			messages: map[string]string{
				"a": "a: Error (exit code 5)", "b": `b: Error (exit code 64): dependency "a" exited with non-zero code: 5`,
			},
		},
		"again in the same container": {
			nodes: []spec.ContainerNode{shell("main", "echo x >> /tries; [ $(wc -l < /tries) = 3 ] && echo third")},
			retry: &spec.ContainerSetRetryStrategy{Retries: &twice, Duration: "10ms"},
			phase: spec.NodeSucceeded, log: "third\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := c.executor(t, executortest.NewStore(), nil)
			s := setStep(t, tt.nodes...)
			s.Template.ContainerSet.RetryStrategy = tt.retry
			r, err := e.Execute(t.Context(), s)
			require.NoError(t, err)
			require.Equal(t, tt.phase, r.Phase, r.Message)
			require.Equal(t, tt.message, r.Message)
			require.Equal(t, tt.log, s.Log.(*executortest.Log).String())
			require.Len(t, r.Containers, len(tt.nodes))
			for i, one := range r.Containers {
				require.Equal(t, tt.nodes[i].Name, one.Name)
				require.Equal(t, tt.messages[one.Name], one.Message)
				require.NotZero(t, one.Finished)
			}
		})
	}
}

func TestASetsFilesAreMains(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	store := executortest.NewStore()
	store.Set("in", "given\n")
	e := c.executor(t, store, nil)
	s := setStep(t, shell("main", "cat /w/in"), shell("late", "sleep 1; echo late > /w/out", "main"))
	s.CaptureResult = true
	in := spec.Artifact{Name: "in", Path: "/w/in", Archive: &spec.ArchiveStrategy{None: &spec.NoneStrategy{}}}
	in.S3 = &spec.S3Artifact{Key: "in"}
	s.Template.Inputs.Artifacts = []spec.Artifact{in}
	out := spec.Artifact{Name: "out", Path: "/w/out", Archive: &spec.ArchiveStrategy{None: &spec.NoneStrategy{}}}
	out.S3 = &spec.S3Artifact{Key: "out"}
	s.Template.Outputs.Artifacts = []spec.Artifact{out}
	s.Template.Outputs.Parameters = []spec.Parameter{{Name: "out", ValueFrom: &spec.ValueFrom{Path: "/w/out"}}}
	r, err := e.Execute(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, spec.NodeSucceeded, r.Phase, r.Message)
	require.Equal(t, "given", *r.Outputs.Result)
	value, _ := r.Outputs.Parameter("out")
	require.Equal(t, "late", value)
	require.Equal(t, "late\n", store.Objects()["out"])
}

func TestASetThatIsStoppedEnds(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	e := c.executor(t, executortest.NewStore(), nil)
	s := setStep(t, shell("a", "echo up; sleep 1000"), shell("b", "echo never", "a"))
	ctx, cancel := context.WithCancelCause(t.Context())
	seen := s.Log.(*executortest.Log).Wait("up")
	go func() { <-seen; cancel(worker.ErrStopped) }()
	_, err := e.Execute(ctx, s)
	require.ErrorIs(t, err, worker.ErrStopped)
	require.Eventually(t, func() bool {
		pods, err := c.client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{LabelSelector: labelRun + "=" + s.Run.ID})
		return err == nil && len(pods.Items) == 0
	}, time.Minute, 200*time.Millisecond)
}

func TestStepsOfARunShareAClaimThatGoesWithIt(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	store := executortest.NewStore()
	e := c.executor(t, store, func(cfg *Config) { cfg.Owner = "claims-" + time.Now().Format("150405.000000") })
	first := clusterStep(t, "echo kept > /data/file")
	use := func(s *worker.Step) *worker.Step {
		s.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{
			ObjectMeta: metav1.ObjectMeta{Name: "data"},
			Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Mi")}},
			},
		}}
		s.Template.Container.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
		return s
	}
	r, err := e.Execute(t.Context(), use(first))
	require.NoError(t, err)
	require.Equal(t, spec.NodeSucceeded, r.Phase, r.Message)

	// The second reads it, and has artifacts on the volume.
	store.Set("in", "given")
	second := use(clusterStep(t, "cat /data/file /data/in; cp /data/file /data/out"))
	second.Run, second.Key = first.Run, first.Key.Child("b")
	for _, list := range []struct {
		into *[]spec.Artifact
		name string
	}{{&second.Template.Inputs.Artifacts, "in"}, {&second.Template.Outputs.Artifacts, "out"}} {
		a := spec.Artifact{Name: list.name, Path: "/data/" + list.name, Archive: &spec.ArchiveStrategy{None: &spec.NoneStrategy{}}}
		a.S3 = &spec.S3Artifact{Key: list.name}
		*list.into = append(*list.into, a)
	}
	r, err = e.Execute(t.Context(), second)
	require.NoError(t, err)
	require.Equal(t, spec.NodeSucceeded, r.Phase, r.Message)
	require.Equal(t, "kept\ngiven", second.Log.(*executortest.Log).String())
	require.Equal(t, "kept\n", store.Objects()["out"])

	require.NoError(t, e.SweepVolumes(t.Context(), func(context.Context, string) (spec.WorkflowPhase, bool, error) {
		return spec.WorkflowSucceeded, false, nil
	}))
	require.Eventually(t, func() bool {
		_, err := c.client.CoreV1().PersistentVolumeClaims("default").Get(t.Context(), first.Run.Name+"-data", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	}, time.Minute, 200*time.Millisecond)
}
