//go:build cluster

package kube

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"argosy/worker"
	"argosy/worker/executortest"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// busybox is in the devcluster, and everywhere else.
const busybox = "busybox:latest"

// cluster is what the tests of this package share: the way to the API server, and an image
// with argosy-step of this checkout.
type cluster struct {
	client      kubernetes.Interface
	config      *rest.Config
	address     string // of this machine, for pods
	runnerImage string
}

var theCluster = sync.OnceValues(func() (*cluster, error) {
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		return nil, fmt.Errorf("KUBECONFIG is not set: run `make cluster-up` and `eval \"$(bin/devcluster env)\"`")
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 100, 200
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	address := os.Getenv("ARGOSY_DEVCLUSTER_HOST")
	if address == "" {
		if address, err = LocalAddress(context.Background(), config.Host); err != nil {
			return nil, err
		}
	}
	c := &cluster{client: client, config: config, address: address, runnerImage: os.Getenv("ARGOSY_RUNNER_IMAGE")}
	if c.runnerImage == "" {
		c.runnerImage, err = loadRunnerImage()
	}
	return c, err
})

func testCluster(t *testing.T) *cluster {
	t.Helper()
	c, err := theCluster()
	require.NoError(t, err)
	return c
}

// loadRunnerImage builds argosy-step and brings it into the devcluster as an image.
func loadRunnerImage() (string, error) {
	dir, err := os.MkdirTemp("", "argosy-step-image-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	binary, archive := filepath.Join(dir, "argosy-step"), filepath.Join(dir, "image.tar")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "../../cmd/argosy-step")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building argosy-step: %w: %s", err, out)
	}
	image, err := writeImage(archive, binary)
	if err != nil {
		return "", err
	}
	load := exec.Command("go", "run", ".", "load-image", archive)
	load.Dir = "../../deploy/devcluster"
	if out, err := load.CombinedOutput(); err != nil {
		return "", fmt.Errorf("loading the image (set ARGOSY_RUNNER_IMAGE for another cluster than the devcluster): %w: %s", err, out)
	}
	return image, nil
}

// bench makes an executor of its own for a test.
func (c *cluster) executor(t *testing.T, store worker.ArtifactStore, adjust func(*Config)) *Executor {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	l, err := net.Listen("tcp", ":0")
	require.NoError(t, err)
	tokens, err := worker.NewTokens(nil)
	require.NoError(t, err)
	gateway := worker.NewGateway(worker.GatewayConfig{
		URL:    fmt.Sprintf("https://%s:%d", c.address, l.Addr().(*net.TCPAddr).Port),
		Store:  store,
		Tokens: tokens,
	}, log)
	cfg := Config{Install: "test", RunnerImage: c.runnerImage, Grace: 5 * time.Second, TTL: time.Minute}
	if adjust != nil {
		adjust(&cfg)
	}
	e, err := New(cfg, c.client, gateway, log)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- gateway.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-served)
	})
	require.NoError(t, e.Start(ctx))
	return e
}

// residue lists pods of the run that still run.
func (c *cluster) residue(t testing.TB, s *worker.Step) []string {
	pods, err := c.client.CoreV1().Pods(s.Run.Namespace).List(context.Background(), metav1.ListOptions{LabelSelector: labelRun + "=" + s.Run.ID})
	require.NoError(t, err)
	var left []string
	for i := range pods.Items {
		p := &pods.Items[i]
		main := containerStatus(p.Status.ContainerStatuses, mainContainer)
		if !containersEnded(p) && (main == nil || main.State.Terminated == nil) {
			left = append(left, p.Name+" is "+string(p.Status.Phase))
		}
	}
	return left
}

func TestSuite(t *testing.T) {
	c := testCluster(t)
	executortest.Run(t, func(t *testing.T, store worker.ArtifactStore) executortest.Fixture {
		e := c.executor(t, store, nil)
		return executortest.Fixture{
			Executor: worker.Decorate(e, worker.Decoration{}, slog.New(slog.DiscardHandler)),
			Image:    busybox,
			Patience: 30 * time.Second,
			Adopts:   true,
			Residue:  c.residue,
		}
	})
}

func clusterStep(t *testing.T, script string) *worker.Step {
	id := fmt.Sprintf("kube-%x", time.Now().UnixNano())
	key := workflow.Root.Step(0, "a")
	return &worker.Step{
		Run: &workflow.Run{ID: id, Name: id, Namespace: "default"}, Key: key, PodName: workflow.PodName(id, "a", key), Delivery: 1,
		Spec: &spec.WorkflowSpec{},
		Template: &spec.Template{Name: "a", Container: &corev1.Container{
			Image: busybox, ImagePullPolicy: corev1.PullIfNotPresent, Command: []string{"sh", "-c", script},
		}},
		Log: &executortest.Log{},
	}
}

func TestAStepThatNeedsNoRunnerIsTheUsersContainerAlone(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	e := c.executor(t, executortest.NewStore(), nil)
	s := clusterStep(t, "ls /var/run/secrets /var/run/argosy 2>&1; env")
	r, err := e.Execute(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, spec.NodeSucceeded, r.Phase)
	require.NotZero(t, r.Started)
	require.NotZero(t, r.Finished)
	require.NotEmpty(t, r.Host)
	log := s.Log.(*executortest.Log).String()
	require.Contains(t, log, "/var/run/secrets: No such file or directory")
	require.Contains(t, log, "/var/run/argosy: No such file or directory")
	require.NotContains(t, log, "ARGOSY")

	job, err := c.client.BatchV1().Jobs("default").Get(t.Context(), JobName(s), metav1.GetOptions{})
	require.NoError(t, err, "an ended Job stays to be looked at")
	require.Empty(t, job.Spec.Template.Spec.InitContainers)
	require.Len(t, job.Spec.Template.Spec.Containers, 1)
}

func TestInitContainersComeFirstAndSidecarsGoWithMain(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	e := c.executor(t, executortest.NewStore(), nil)
	mounts := []corev1.VolumeMount{{Name: "shared", MountPath: "/shared"}}
	beside := func(name, script string) spec.UserContainer {
		return spec.UserContainer{MirrorVolumeMounts: new(true), Container: corev1.Container{
			Name: name, Image: busybox, ImagePullPolicy: corev1.PullIfNotPresent, Command: []string{"sh", "-c", script},
		}}
	}
	s := clusterStep(t, "until [ -e /shared/side ]; do sleep 0.1; done; cat /shared/first /shared/side")
	s.Template.Container.VolumeMounts = mounts
	s.Template.Volumes = []corev1.Volume{{Name: "shared", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	s.Template.InitContainers = []spec.UserContainer{beside("first", "echo one > /shared/first")}
	s.Template.Sidecars = []spec.UserContainer{beside("side", "echo two > /shared/side; exec sleep 1000")}
	r, err := e.Execute(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, spec.NodeSucceeded, r.Phase, r.Message)
	require.Equal(t, "one\ntwo\n", s.Log.(*executortest.Log).String())
	require.Eventually(t, func() bool {
		job, err := c.client.BatchV1().Jobs("default").Get(t.Context(), JobName(s), metav1.GetOptions{})
		return err == nil && jobEnded(job) != nil
	}, time.Minute, 200*time.Millisecond, "the sidecar ends with the main container")
}

func TestAnImageThatCannotBeHadIsAFault(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	e := c.executor(t, executortest.NewStore(), func(cfg *Config) { cfg.ImageDeadline = 2 * time.Second })
	for image, policy := range map[string]corev1.PullPolicy{
		"127.0.0.1:1/nothing:1": corev1.PullIfNotPresent, // by address: who looks a name up may take long to find none
		"not-in-this-cluster:1": corev1.PullNever,
	} {
		s := clusterStep(t, "true")
		s.Template.Container.Image, s.Template.Container.ImagePullPolicy = image, policy
		_, err := e.Execute(t.Context(), s)
		require.Equal(t, worker.ClassImage, classOf(t, err), "%v", err)
		require.Empty(t, c.residue(t, s))
	}
}

func TestAPodThatDoesNotStartInTimeFails(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	e := c.executor(t, executortest.NewStore(), nil)
	s := clusterStep(t, "true")
	s.PendingTimeout = 2 * time.Second
	s.Template.NodeSelector = map[string]string{"no": "such-node"}
	r, err := e.Execute(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, spec.NodeFailed, r.Phase)
	require.Contains(t, r.Message, "Pod was pending longer than pendingTimeout 2s: Unschedulable")
	require.Empty(t, c.residue(t, s))
}

func classOf(t *testing.T, err error) string {
	t.Helper()
	var f *worker.Fault
	require.ErrorAs(t, err, &f)
	return f.Class
}

func TestAStepThatUsesTooMuchMemoryIsAFault(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	e := c.executor(t, executortest.NewStore(), nil)
	s := clusterStep(t, "head -c 200000000 /dev/zero | tail")
	s.Template.Container.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resourceOf("16Mi")}
	_, err := e.Execute(t.Context(), s)
	require.Equal(t, worker.ClassOOM, classOf(t, err), "%v", err)
}

func TestAPodDeletedByHandIsAFault(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	e := c.executor(t, executortest.NewStore(), nil)
	s := clusterStep(t, "echo ready; sleep 1000")
	ready := s.Log.(*executortest.Log).Wait("ready")
	go func() {
		<-ready
		_ = c.client.CoreV1().Pods("default").DeleteCollection(context.Background(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: labelRun + "=" + s.Run.ID})
	}()
	_, err := e.Execute(t.Context(), s)
	require.Equal(t, worker.ClassLost, classOf(t, err), "%v", err)
	require.ErrorContains(t, err, "pod deleted")
}

func TestAJobDeletedByHandIsAFault(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	e := c.executor(t, executortest.NewStore(), nil)
	s := clusterStep(t, "echo ready; sleep 1000")
	ready := s.Log.(*executortest.Log).Wait("ready")
	go func() {
		<-ready
		_ = c.client.BatchV1().Jobs("default").Delete(context.Background(), JobName(s), metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)})
	}()
	_, err := e.Execute(t.Context(), s)
	require.Equal(t, worker.ClassLost, classOf(t, err), "%v", err)
}

func TestAJobOfAnotherRunIsNotAdopted(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	e := c.executor(t, executortest.NewStore(), nil)
	s := clusterStep(t, "true")
	foreign, err := buildJob(e.cfg, s, nil, time.Now())
	require.NoError(t, err)
	foreign.Labels[labelRun] = "another"
	_, err = c.client.BatchV1().Jobs("default").Create(t.Context(), foreign, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = e.Execute(t.Context(), s)
	require.Equal(t, worker.ClassExecutor, classOf(t, err))
	require.ErrorContains(t, err, "belongs to something else")
}

func TestManyHeirsStartAStepOnce(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	s := clusterStep(t, "echo started; sleep 2")
	var running sync.WaitGroup
	for n := range 4 {
		heir := *s
		heir.Delivery, heir.Log = n+1, &executortest.Log{}
		e := c.executor(t, executortest.NewStore(), nil)
		running.Go(func() {
			r, err := e.Execute(t.Context(), &heir)
			if err != nil || r.Phase != spec.NodeSucceeded {
				t.Errorf("heir %d: %+v, %v", n, r, err)
			}
		})
	}
	running.Wait()
	pods, err := c.client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{LabelSelector: labelRun + "=" + s.Run.ID})
	require.NoError(t, err)
	require.Len(t, pods.Items, 1)
	require.Zero(t, pods.Items[0].Status.ContainerStatuses[0].RestartCount)
}

func TestAWorkerWithoutHeirsEndsItsSteps(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	e := c.executor(t, executortest.NewStore(), func(cfg *Config) { cfg.EndOnShutdown = true })
	s := clusterStep(t, "echo ready; sleep 1000")
	ctx, cancel := context.WithCancelCause(t.Context())
	ready := s.Log.(*executortest.Log).Wait("ready")
	go func() {
		<-ready
		cancel(worker.ErrShutdown)
	}()
	_, err := e.Execute(ctx, s)
	require.ErrorIs(t, err, worker.ErrShutdown)
	require.Empty(t, c.residue(t, s))
}

func TestAnyGatewayServesAStep(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	store := executortest.NewStore()
	s := clusterStep(t, "echo made > /tmp/out")
	out := spec.Artifact{Name: "out", Path: "/tmp/out", Archive: &spec.ArchiveStrategy{None: &spec.NoneStrategy{}}}
	out.S3 = &spec.S3Artifact{Key: "kept"}
	s.Template.Outputs.Artifacts = []spec.Artifact{out}

	// The pod knows the address of a gateway that has never heard of the step.
	log, served := slog.New(slog.DiscardHandler), 0
	tokens, err := worker.NewTokens(nil)
	require.NoError(t, err)
	l, err := net.Listen("tcp", ":0")
	require.NoError(t, err)
	url := fmt.Sprintf("https://%s:%d", c.address, l.Addr().(*net.TCPAddr).Port)
	own := worker.NewGateway(worker.GatewayConfig{URL: url, Store: store, Tokens: tokens}, log)
	e, err := New(Config{Install: "test", RunnerImage: c.runnerImage, Grace: time.Second, TTL: time.Minute}, c.client, own, log)
	require.NoError(t, err)
	other := worker.NewGateway(worker.GatewayConfig{URL: url, Store: store, Tokens: tokens, Resolve: func(ctx context.Context, g worker.Grant) (*worker.Step, error) {
		served++
		return s.AsDelivery(g.Delivery), e.Current(ctx, s.AsDelivery(g.Delivery))
	}}, log)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- other.Serve(ctx, l) }()
	require.NoError(t, e.Start(ctx))

	r, err := e.Execute(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, spec.NodeSucceeded, r.Phase)
	require.Equal(t, executortest.Tree{"kept": "made\n"}, store.Objects())
	later := *s
	later.Delivery = 2
	require.ErrorIs(t, e.Current(t.Context(), &later), worker.ErrSuperseded)
	cancel()
	require.NoError(t, <-ended)
	require.Equal(t, 2, served, "as the output begins, and as it is there")
}

func TestWhatTheUserNamesIsInThePod(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	e := c.executor(t, executortest.NewStore(), nil)
	s := clusterStep(t, "cat /var/run/secrets/kubernetes.io/serviceaccount/namespace; touch /data/x && echo written; id -u")
	s.Template.ServiceAccountName = "default"
	s.Template.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	s.Template.Container.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	s.Template.SecurityContext = &corev1.PodSecurityContext{RunAsUser: new(int64(1000))}
	s.Template.Metadata.Labels = map[string]string{"team": "a"}
	r, err := e.Execute(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, spec.NodeSucceeded, r.Phase, r.Message)
	require.Equal(t, "defaultwritten\n1000\n", s.Log.(*executortest.Log).String())
	pods, err := c.client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{LabelSelector: "team=a," + labelRun + "=" + s.Run.ID})
	require.NoError(t, err)
	require.Len(t, pods.Items, 1)
}

func TestANamespaceThatIsNotThereIsInvalid(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	e := c.executor(t, executortest.NewStore(), nil)
	s := clusterStep(t, "true")
	s.Run.Namespace = "no-such-namespace"
	_, err := e.Execute(t.Context(), s)
	require.Equal(t, worker.ClassInvalid, classOf(t, err), "%v", err)
	require.True(t, strings.Contains(err.Error(), "no-such-namespace"))
}

// TestMain lets many tests run at once, whatever the number of processors: all they do is
// wait for the cluster.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "12"); err != nil {
		panic(err)
	}
	m.Run()
}
