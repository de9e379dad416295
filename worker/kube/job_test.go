package kube

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"argosy/worker"
	"argosy/worker/executortest"
	"argosy/worker/handover"
	"argosy/workflow"
	"argosy/workflow/spec"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

func unitStep(tmpl *spec.Template) *worker.Step {
	tmpl.Name = "build"
	key := workflow.Root.Task("compile").Attempt(1)
	return &worker.Step{
		Run: &workflow.Run{ID: "0b5f7f1c-1111-2222-3333-444444444444", Name: "ci-x7k2p", Namespace: "team"},
		Key: key, PodName: "ci-x7k2p-build-1", Delivery: 2,
		Spec: &spec.WorkflowSpec{}, Template: tmpl,
	}
}

func TestJobsOfSteps(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	cfg := Config{}.withDefaults()
	for _, c := range []struct {
		name string
		step func() *worker.Step
	}{
		{"alone", func() *worker.Step {
			return unitStep(&spec.Template{Container: &corev1.Container{Image: "alpine:3", Args: []string{"hello"}}})
		}},
		{"everything-named", func() *worker.Step {
			s := unitStep(&spec.Template{
				Container: &corev1.Container{
					Image: "golang:1", Command: []string{"go", "build"}, Env: []corev1.EnvVar{{Name: "A", Value: "1"}},
					Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}},
				},
				NodeSelector:       map[string]string{"disk": "fast"},
				Tolerations:        []corev1.Toleration{{Key: "ci", Operator: corev1.TolerationOpExists}},
				ServiceAccountName: "builder",
				PriorityClassName:  "high",
				Volumes:            []corev1.Volume{{Name: "cache", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
				Metadata:           spec.Metadata{Labels: map[string]string{"team": "b"}, Annotations: map[string]string{"note": "x"}},
			})
			s.Deadline = now.Add(1500 * time.Millisecond)
			s.Spec = &spec.WorkflowSpec{
				NodeSelector:     map[string]string{"zone": "a", "disk": "slow"},
				Volumes:          []corev1.Volume{{Name: "shared", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/srv"}}}},
				ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}},
				PodMetadata:      &spec.Metadata{Labels: map[string]string{"team": "a", "app": "ci"}},
			}
			return s
		}},
		{"script", func() *worker.Step {
			s := unitStep(&spec.Template{Script: &spec.ScriptTemplate{
				Container: corev1.Container{Image: "python:3", Command: []string{"python"}},
				Source:    "print('$(HOME)', 1)\n",
			}})
			s.CaptureResult = true
			return s
		}},
		{"patched", func() *worker.Step {
			s := unitStep(&spec.Template{
				Container:    &corev1.Container{Image: "alpine:3", Command: []string{"echo"}, Args: []string{"hello"}},
				PodSpecPatch: `{"containers":[{"name":"main","args":["bye"],"resources":{"limits":{"cpu":"1"}}},{"name":"beside","image":"busybox"}]}`,
			})
			s.CaptureResult = true
			s.Spec.PodSpecPatch = "terminationGracePeriodSeconds: 3\ncontainers:\n- name: main\n  resources: {limits: {cpu: 2, memory: 1Gi}}\n- name: wait\n  resources: {limits: {cpu: 2}}\n"
			return s
		}},
		{"sidecar", func() *worker.Step {
			mounts := []corev1.VolumeMount{{Name: "shared", MountPath: "/shared"}}
			return unitStep(&spec.Template{
				Container:      &corev1.Container{Image: "alpine:3", Command: []string{"wget", "localhost"}, VolumeMounts: mounts},
				InitContainers: []spec.UserContainer{{Container: corev1.Container{Name: "prepare", Image: "busybox"}, MirrorVolumeMounts: new(true)}},
				Sidecars:       []spec.UserContainer{{Container: corev1.Container{Name: "web", Image: "nginx"}}},
				Volumes:        []corev1.Volume{{Name: "shared", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
			})
		}},
		{"staged", func() *worker.Step {
			in, out := spec.Artifact{Name: "src", Path: "/src"}, spec.Artifact{Name: "bin", Path: "/bin/out"}
			in.Raw = &spec.RawArtifact{Data: "data"}
			out.S3 = &spec.S3Artifact{Key: "k"}
			return unitStep(&spec.Template{
				Container: &corev1.Container{Image: "alpine:3", Command: []string{"sh", "-c"}, Args: []string{"make"}},
				Inputs:    spec.Inputs{Artifacts: []spec.Artifact{in}},
				Outputs: spec.Outputs{
					Artifacts:  []spec.Artifact{out},
					Parameters: []spec.Parameter{{Name: "v", ValueFrom: &spec.ValueFrom{Path: "/v", Default: spec.AnyStringPtr("d")}}},
				},
			})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := c.step()
			var r *runner
			if worker.NeedsRunner(s) {
				plan, err := worker.HandoverPlan(t.Context(), s, executortest.NewStore())
				require.NoError(t, err)
				r = &runner{plan: plan, url: "http://10.0.0.1:8080", token: "TOKEN"}
			}
			job, err := buildJob(cfg, s, r, now)
			require.NoError(t, err)
			got, err := yaml.Marshal(job)
			require.NoError(t, err)
			golden := filepath.Join("testdata", c.name+".yaml")
			if *update {
				require.NoError(t, os.WriteFile(golden, got, 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), string(got), "if the change is meant, run with -update")
		})
	}
}

func TestAStepToStageWithoutCommandIsRefused(t *testing.T) {
	t.Parallel()
	s := unitStep(&spec.Template{Container: &corev1.Container{Image: "alpine:3"}})
	_, err := buildJob(Config{}.withDefaults(), s, &runner{plan: &handover.Plan{Result: true}}, time.Unix(0, 0))
	require.ErrorContains(t, err, "no command")
}

func TestALargePlanIsLeftToTheGateway(t *testing.T) {
	t.Parallel()
	s := unitStep(&spec.Template{Container: &corev1.Container{Image: "alpine:3", Command: []string{"true"}}})
	plan := &handover.Plan{ScriptPath: worker.ScriptPath, Script: strings.Repeat("x", handover.MaxPlanEnv)}
	job, err := buildJob(Config{}.withDefaults(), s, &runner{plan: plan}, time.Unix(0, 0))
	require.NoError(t, err)
	for _, v := range job.Spec.Template.Spec.Containers[0].Env {
		require.NotEqual(t, handover.EnvPlan, v.Name)
	}
}

func TestANodesRunnerNeedsNoInitContainer(t *testing.T) {
	t.Parallel()
	cfg := Config{NodeRunner: "/var/lib/argosy"}.withDefaults()
	s := unitStep(&spec.Template{Container: &corev1.Container{Image: "alpine", Command: []string{"true"}}})
	job, err := buildJob(cfg, s, &runner{plan: &handover.Plan{}}, time.Unix(0, 0))
	require.NoError(t, err)
	pod := job.Spec.Template.Spec
	require.Empty(t, pod.InitContainers)
	require.Equal(t, []string{runnerPath, "run", "--"}, pod.Containers[0].Command)
	require.Equal(t, []corev1.VolumeMount{{Name: runnerVolume, MountPath: runnerDir, ReadOnly: true}}, pod.Containers[0].VolumeMounts)
	require.Equal(t, "/var/lib/argosy", pod.Volumes[0].HostPath.Path)
	require.Equal(t, corev1.HostPathDirectory, *pod.Volumes[0].HostPath.Type, "a node without it is waited for, and told of")

	job, err = buildJob(cfg, s, nil, time.Unix(0, 0))
	require.NoError(t, err)
	require.Empty(t, job.Spec.Template.Spec.Volumes, "a step that needs no runner mounts nothing")
}

func TestThePullPolicyIsForThoseThatNameNone(t *testing.T) {
	t.Parallel()
	cfg := Config{PullPolicy: corev1.PullNever}.withDefaults()
	for named, want := range map[corev1.PullPolicy]corev1.PullPolicy{"": corev1.PullNever, corev1.PullAlways: corev1.PullAlways} {
		s := unitStep(&spec.Template{Container: &corev1.Container{Image: "alpine", ImagePullPolicy: named}})
		job, err := buildJob(cfg, s, nil, time.Unix(0, 0))
		require.NoError(t, err)
		require.Equal(t, want, job.Spec.Template.Spec.Containers[0].ImagePullPolicy)
	}
}

func TestJobNames(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, c := range []struct {
		run, id, template string
		key               workflow.Key
		prefix            string
	}{
		{"wf", "1", "main", workflow.Root, "wf-main-"},
		{"wf", "2", "main", workflow.Root, "wf-main-"},
		{"wf", "1", "main", workflow.Root.Attempt(1), "wf-main-"},
		{"wf-main", "3", "main", workflow.Root, "wf-main-"},
		{"Wf.With.Dots", "4", "A_b", workflow.Root, "wf-with-dots-a-b-"},
		{strings.Repeat("long-", 30), "5", "main", workflow.Root, "long-long-"},
		{"123", "6", "---", workflow.Root, "step-"},
	} {
		s := &worker.Step{Run: &workflow.Run{ID: c.id, Name: c.run}, Key: c.key, Template: &spec.Template{Name: c.template}}
		name := JobName(s)
		require.True(t, strings.HasPrefix(name, c.prefix), name)
		require.Empty(t, validation.IsDNS1123Label(name), name)
		require.Empty(t, seen[name], "%s is used twice", name)
		seen[name] = c.run
		later := *s
		later.Delivery = 7
		require.Equal(t, name, JobName(&later), "the delivery is not in the name")
	}
}

func TestLocalAddressIsOnTheWayToTheAPIServer(t *testing.T) {
	t.Parallel()
	got, err := LocalAddress(context.Background(), "https://127.0.0.1:6443")
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", got)
}
