package process

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"argosy/worker"
	"argosy/worker/executortest"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// objects are those of namespace "default", config maps and secrets alike.
type objects map[string]map[string][]byte

func (o objects) Secret(_ context.Context, namespace, name string) (map[string][]byte, error) {
	if namespace != "default" {
		return nil, fmt.Errorf("asked for a secret of namespace %q", namespace)
	}
	return o["secret/"+name], nil
}

func (o objects) ConfigMap(_ context.Context, namespace, name string) (map[string][]byte, error) {
	if namespace != "default" {
		return nil, fmt.Errorf("asked for a config map of namespace %q", namespace)
	}
	return o["map/"+name], nil
}

var given = objects{
	"secret/cred": {"user": []byte("me"), "password": []byte("hidden")},
	"map/conf":    {"a": []byte("A"), "b": []byte("B")},
}

// podExecutor is one that has volumes and objects, and its directory of volumes.
func podExecutor(t *testing.T) (*Executor, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "volumes")
	return newExecutor(t, Config{Volumes: dir, Objects: given, Grace: 200 * time.Millisecond}), dir
}

func ofName(name string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: name} }

func shell(name, script string, mounts ...corev1.VolumeMount) corev1.Container {
	return corev1.Container{Name: name, Command: []string{"sh", "-c", script}, VolumeMounts: mounts}
}

func container(script string, mounts ...corev1.VolumeMount) *corev1.Container {
	c := shell("", script, mounts...)
	return &c
}

func at(volume, path string) corev1.VolumeMount {
	return corev1.VolumeMount{Name: volume, MountPath: path}
}

func emptyDir(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
}

func TestVolumesHoldWhatTheyAreFor(t *testing.T) {
	t.Parallel()
	e, dir := podExecutor(t)
	yes, mode := true, int32(0o400)
	for name, tt := range map[string]struct {
		volumes []corev1.Volume
		mounts  []corev1.VolumeMount
		script  string
		log     string
		fault   string
	}{
		"a config map": {
			volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: ofName("conf")}}}},
			mounts:  []corev1.VolumeMount{at("v", "/v")}, script: "ls /v; cat /v/*; echo no 2>/dev/null > /v/a || echo kept", log: "a\nb\nABsh: 1: cannot create /v/a: Read-only file system\nkept\n",
		},
		"one key of a secret": {
			volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
				SecretName: "cred", Items: []corev1.KeyToPath{{Key: "password", Path: "deep/word", Mode: &mode}},
			}}}},
			mounts: []corev1.VolumeMount{at("v", "/v")}, script: "cd /v; find . -type f; cat deep/word; stat -c ' %a' deep/word", log: "./deep/word\nhidden 400\n",
		},
		"one file by subPath": {
			volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: ofName("conf")}}}},
			mounts:  []corev1.VolumeMount{{Name: "v", MountPath: "/etc/app/setting", SubPath: "b"}}, script: "cat /etc/app/setting", log: "B",
		},
		"projected": {
			volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: ofName("conf")}}, {Secret: &corev1.SecretProjection{LocalObjectReference: ofName("cred")}},
			}}}}},
			mounts: []corev1.VolumeMount{at("v", "/v")}, script: "ls /v", log: "a\nb\npassword\nuser\n",
		},
		"an optional secret that is not there": {
			volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "none", Optional: &yes}}}},
			mounts:  []corev1.VolumeMount{at("v", "/v")}, script: "ls /v",
		},
		"a secret that is not there": {
			volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "none"}}}},
			mounts:  []corev1.VolumeMount{at("v", "/v")}, fault: `volume "v": there is no secret "none" in namespace "default"`,
		},
		"a volume that is not defined": {mounts: []corev1.VolumeMount{at("v", "/v")}, fault: `volume "v" at /v is not defined`},
		"a subPath that climbs": {
			volumes: []corev1.Volume{emptyDir("v")}, mounts: []corev1.VolumeMount{{Name: "v", MountPath: "/v", SubPath: "../x"}}, fault: `subPath "../x" leaves the volume`,
		},
		"one directory at two places": {
			volumes: []corev1.Volume{emptyDir("v")}, mounts: []corev1.VolumeMount{at("v", "/a"), {Name: "v", MountPath: "/b", SubPath: "sub"}},
			script: "echo x > /b/file; cat /a/sub/file", log: "x\n",
		},
		"a claim with a name that climbs": {
			volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "../../x"}}}},
			mounts:  []corev1.VolumeMount{at("v", "/v")}, fault: "is no name of a claim",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStep(container(tt.script, tt.mounts...))
			s.Run.Namespace, s.Spec.Volumes = "default", tt.volumes
			r, err := e.Execute(t.Context(), s)
			if tt.fault != "" {
				require.ErrorContains(t, err, tt.fault)
				return
			}
			require.NoError(t, err)
			require.Equal(t, spec.NodeSucceeded, r.Phase, s.Log)
			if name != "a config map" { // whose message is the shell's
				require.Equal(t, tt.log, fmt.Sprint(s.Log))
			} else {
				require.Contains(t, fmt.Sprint(s.Log), "a\nb\nAB")
				require.Contains(t, fmt.Sprint(s.Log), "kept")
			}
		})
	}
	t.Cleanup(func() {
		left, err := os.ReadDir(filepath.Join(dir, stepsDir))
		require.NoError(t, err)
		require.Empty(t, left)
	})
}

func TestClaimsOutliveStepsAndGoWithTheirRuns(t *testing.T) {
	t.Parallel()
	e, dir := podExecutor(t)
	execute := func(run, script string, always bool) string {
		t.Helper()
		s := newStep(container(script, at("work", "/work"), at("kept", "/kept")))
		s.Run = &workflow.Run{ID: run, Name: run, Namespace: "default"}
		s.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{}}
		s.Spec.VolumeClaimTemplates[0].Name = "work"
		if always {
			s.Spec.VolumeClaimGC = &spec.VolumeClaimGC{Strategy: spec.VolumeClaimGCOnCompletion}
		}
		s.Template.Volumes = []corev1.Volume{{Name: "kept", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "mine"}}}}
		r, err := e.Execute(t.Context(), s)
		require.NoError(t, err)
		require.Equal(t, spec.NodeSucceeded, r.Phase, s.Log)
		return fmt.Sprint(s.Log)
	}
	execute("one", "echo of one > /work/x; echo kept > /kept/x", false)
	require.Equal(t, "of one\nkept\n", execute("one", "cat /work/x /kept/x", false))
	require.Equal(t, "kept\n", execute("two", "ls /work; cat /kept/x", true))

	phases := map[string]spec.WorkflowPhase{"one": spec.WorkflowFailed, "two": ""}
	sweep := func() {
		t.Helper()
		require.NoError(t, e.SweepVolumes(t.Context(), func(_ context.Context, run string) (spec.WorkflowPhase, bool, error) {
			p, ok := phases[run]
			return p, !ok, nil
		}))
	}
	one, two := filepath.Join(dir, runsDir, "one"), filepath.Join(dir, runsDir, "two")
	sweep()
	require.DirExists(t, one)
	require.DirExists(t, two)
	phases["two"] = spec.WorkflowFailed
	sweep()
	require.DirExists(t, one, "a run that failed keeps its claims")
	require.NoDirExists(t, two)
	delete(phases, "one")
	sweep()
	require.NoDirExists(t, one)
	require.FileExists(t, filepath.Join(dir, claimsDir, "default", "mine", "x"))
}

func TestVariablesComeFromObjects(t *testing.T) {
	t.Parallel()
	e, _ := podExecutor(t)
	c := container("echo $USER_NAME $P_a $P_b $POD $NONE")
	c.EnvFrom = []corev1.EnvFromSource{{Prefix: "P_", ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: ofName("conf")}}}
	yes := true
	c.Env = []corev1.EnvVar{
		{Name: "USER_NAME", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: ofName("cred"), Key: "user"}}},
		{Name: "P_b", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: ofName("conf"), Key: "a"}}},
		{Name: "POD", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.namespace"}}},
		{Name: "NONE", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: ofName("none"), Key: "user", Optional: &yes}}},
	}
	s := newStep(c)
	s.Run.Namespace = "default"
	r, err := e.Execute(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, spec.NodeSucceeded, r.Phase)
	require.Equal(t, "me A A default\n", fmt.Sprint(s.Log))

	c.Env[0].ValueFrom.SecretKeyRef.Key = "other"
	_, err = e.Execute(t.Context(), s)
	require.ErrorContains(t, err, `secret "cred" of namespace "default" has no key "other"`)
}

func TestInitContainersComeFirstAndSidecarsGoWithMain(t *testing.T) {
	t.Parallel()
	e, _ := podExecutor(t)
	user := func(c corev1.Container) spec.UserContainer { return spec.UserContainer{Container: c} }
	yes := true
	mirrored := user(shell("helper", "until [ -e /shared/main ]; do sleep 0.01; done; echo seen > /shared/helper; exec sleep 1000"))
	mirrored.MirrorVolumeMounts = &yes
	for name, tt := range map[string]struct {
		init, sidecars []spec.UserContainer
		main           string
		phase          spec.NodePhase
		message, log   string
	}{
		"in order": {
			init: []spec.UserContainer{
				user(shell("first", "echo 1 > /shared/x", at("shared", "/shared"))), user(shell("second", "echo 2 >> /shared/x", at("shared", "/shared"))),
			},
			main: "cat /shared/x", phase: spec.NodeSucceeded, log: "1\n2\n",
		},
		"one that fails": {
			init: []spec.UserContainer{user(shell("first", "exit 3")), user(shell("second", "echo never"))},
			main: "echo never", phase: spec.NodeError, message: "first: Error (exit code 3)",
		},
		"a sidecar that sees what main does": {
			sidecars: []spec.UserContainer{mirrored},
			main:     "touch /shared/main; until [ -e /shared/helper ]; do sleep 0.01; done; cat /shared/helper", phase: spec.NodeSucceeded, log: "seen\n",
		},
		"a sidecar that does not want to go": {
			sidecars: []spec.UserContainer{user(shell("stubborn", "trap '' TERM; touch /shared/up; while :; do sleep 1; done", at("shared", "/shared")))},
			main:     "until [ -e /shared/up ]; do sleep 0.01; done; echo done", phase: spec.NodeSucceeded, log: "done\n",
		},
		"a sidecar that fails by itself": {
			sidecars: []spec.UserContainer{user(shell("broken", "touch /shared/up; exit 7", at("shared", "/shared")))},
			main:     "until [ -e /shared/up ]; do sleep 0.01; done; sleep 0.3", phase: spec.NodeFailed, message: "broken: Error (exit code 7)",
		},
		"main that fails beside one": {
			sidecars: []spec.UserContainer{user(shell("helper", "sleep 1000"))},
			main:     "exit 4", phase: spec.NodeFailed, message: "main: Error (exit code 4)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStep(container(tt.main, at("shared", "/shared")))
			s.Template.Volumes = []corev1.Volume{emptyDir("shared")}
			s.Template.InitContainers, s.Template.Sidecars = tt.init, tt.sidecars
			r, err := e.Execute(t.Context(), s)
			require.NoError(t, err)
			require.Equal(t, tt.phase, r.Phase, "%s %s", r.Message, s.Log)
			require.Equal(t, tt.message, r.Message)
			require.Equal(t, tt.log, fmt.Sprint(s.Log))
		})
	}
}

func TestASetOfContainersRunsAsItsGraphSays(t *testing.T) {
	t.Parallel()
	e, _ := podExecutor(t)
	after := func(c corev1.Container, deps ...string) spec.ContainerNode {
		return spec.ContainerNode{Container: c, Dependencies: deps}
	}
	twice := intstr.FromInt32(2)
	for name, tt := range map[string]struct {
		containers []spec.ContainerNode
		retry      *spec.ContainerSetRetryStrategy
		phase      spec.NodePhase
		message    string
		log        string
		messages   map[string]string // of containers that failed
	}{
		"a diamond": {
			containers: []spec.ContainerNode{
				after(shell("main", "cat /w/b /w/c"), "b", "c"),
				after(shell("a", "echo a > /w/a")), after(shell("b", "cat /w/a > /w/b"), "a"), after(shell("c", "cat /w/a > /w/c"), "a"),
			},
			phase: spec.NodeSucceeded, log: "a\na\n",
		},
		"what fails ends what waits for it": {
			containers: []spec.ContainerNode{
				after(shell("a", "exit 5")), after(shell("b", "echo never"), "a"), after(shell("c", "echo never"), "b"), after(shell("d", "echo alone")),
			},
			phase: spec.NodeFailed, message: "a: Error (exit code 5)", log: "alone\n",
			messages: map[string]string{
				"a": "a: Error (exit code 5)",
				"b": `b: Error (exit code 64): dependency "a" exited with non-zero code: 5`,
				"c": `c: Error (exit code 64): dependency "b" exited with non-zero code: 64`,
			},
		},
		"main's failure is the one to tell": {
			containers: []spec.ContainerNode{after(shell("a", "exit 5")), after(shell("main", "exit 6"))},
			phase:      spec.NodeFailed, message: "main: Error (exit code 6)",
			messages: map[string]string{"a": "a: Error (exit code 5)", "main": "main: Error (exit code 6)"},
		},
		"again in the same container": {
			containers: []spec.ContainerNode{after(shell("main", "echo x >> /tries; [ $(wc -l < /tries) = 3 ] && echo third"))},
			retry:      &spec.ContainerSetRetryStrategy{Retries: &twice, Duration: "1ms"},
			phase:      spec.NodeSucceeded, log: "third\n",
		},
		"not often enough": {
			containers: []spec.ContainerNode{after(shell("main", "echo x; exit 1"))},
			retry:      &spec.ContainerSetRetryStrategy{Retries: &twice},
			phase:      spec.NodeFailed, message: "main: Error (exit code 1)", log: "x\nx\nx\n", messages: map[string]string{"main": "main: Error (exit code 1)"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStep(nil)
			s.Template.Volumes = []corev1.Volume{emptyDir("work")}
			s.Template.ContainerSet = &spec.ContainerSetTemplate{
				Containers: tt.containers, VolumeMounts: []corev1.VolumeMount{at("work", "/w")}, RetryStrategy: tt.retry,
			}
			r, err := e.Execute(t.Context(), s)
			require.NoError(t, err)
			require.Equal(t, tt.phase, r.Phase, "%s %s", r.Message, s.Log)
			require.Equal(t, tt.message, r.Message)
			require.Equal(t, tt.log, fmt.Sprint(s.Log))
			require.Len(t, r.Containers, len(tt.containers))
			for i, c := range r.Containers {
				require.Equal(t, tt.containers[i].Name, c.Name)
				require.Equal(t, tt.messages[c.Name], c.Message)
			}
		})
	}
}

func TestMainsFilesAreTheSets(t *testing.T) {
	t.Parallel()
	e, _ := podExecutor(t)
	store := executortest.NewStore()
	store.Set("in", "given\n")
	s := newStep(nil)
	s.CaptureResult = true
	s.Template.Volumes = []corev1.Volume{emptyDir("work")}
	s.Template.ContainerSet = &spec.ContainerSetTemplate{
		VolumeMounts: []corev1.VolumeMount{at("work", "/w")},
		Containers: []spec.ContainerNode{
			{Container: shell("main", "cat /w/in")},
			{Container: shell("late", "echo late > /w/out"), Dependencies: []string{"main"}},
		},
	}
	s.Template.Inputs.Artifacts = []spec.Artifact{{Name: "in", Path: "/w/in"}}
	s.Template.Inputs.Artifacts[0].S3 = &spec.S3Artifact{Key: "in"}
	s.Template.Outputs.Parameters = []spec.Parameter{{Name: "out", ValueFrom: &spec.ValueFrom{Path: "/w/out"}}}
	r, err := worker.Staging(e, store).Execute(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, spec.NodeSucceeded, r.Phase, "%s %s", r.Message, s.Log)
	require.Equal(t, "given", *r.Outputs.Result)
	out, _ := r.Outputs.Parameter("out")
	require.Equal(t, "late", out)
}

func TestASetEndsWithItsStep(t *testing.T) {
	t.Parallel()
	e, _ := podExecutor(t)
	s := newStep(nil)
	s.Template.ContainerSet = &spec.ContainerSetTemplate{Containers: []spec.ContainerNode{
		{Container: shell("a", "echo up; sleep 1000")}, {Container: shell("b", "echo never"), Dependencies: []string{"a"}},
	}}
	ctx, cancel := context.WithCancelCause(t.Context())
	seen := s.Log.(*executortest.Log).Wait("up")
	go func() { <-seen; cancel(worker.ErrStopped) }()
	_, err := e.Execute(ctx, s)
	require.ErrorIs(t, err, worker.ErrStopped)
}
