package manifests_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

// decode reads every object of a stream into its Go type; an unknown field is an error.
func decode(t *testing.T, r io.Reader) []runtime.Object {
	t.Helper()
	var objects []runtime.Object
	documents := utilyaml.NewYAMLReader(bufio.NewReader(r))
	for {
		body, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects
		}
		require.NoError(t, err)
		var kind metav1.TypeMeta
		require.NoError(t, yaml.Unmarshal(body, &kind))
		object, err := scheme.Scheme.New(schema.FromAPIVersionAndKind(kind.APIVersion, kind.Kind))
		require.NoError(t, err)
		require.NoError(t, yaml.UnmarshalStrict(body, object), "%s", body)
		objects = append(objects, object)
	}
}

// manifests gives the objects of all files that the kustomization names.
func manifests(t *testing.T) []runtime.Object {
	t.Helper()
	var all []runtime.Object
	for _, name := range resources(t) {
		body, err := os.ReadFile(name)
		require.NoError(t, err)
		all = append(all, decode(t, bytes.NewReader(body))...)
	}
	return all
}

func resources(t *testing.T) []string {
	t.Helper()
	body, err := os.ReadFile("kustomization.yaml")
	require.NoError(t, err)
	var k struct {
		Resources []string `json:"resources"`
	}
	require.NoError(t, yaml.Unmarshal(body, &k))
	require.NotEmpty(t, k.Resources)
	return k.Resources
}

// only gives the objects of one type.
func only[T runtime.Object](objects []runtime.Object) []T {
	var found []T
	for _, o := range objects {
		if typed, ok := o.(T); ok {
			found = append(found, typed)
		}
	}
	return found
}

type workload struct {
	name, namespace string
	selector        *metav1.LabelSelector
	template        corev1.PodTemplateSpec
}

// workloads gives whatever runs pods.
func workloads(t *testing.T) []workload {
	t.Helper()
	objects := manifests(t)
	var all []workload
	for _, d := range only[*appsv1.Deployment](objects) {
		all = append(all, workload{d.Name, d.Namespace, d.Spec.Selector, d.Spec.Template})
	}
	for _, s := range only[*appsv1.StatefulSet](objects) {
		all = append(all, workload{s.Name, s.Namespace, s.Spec.Selector, s.Spec.Template})
	}
	require.Len(t, all, 6)
	return all
}

// secret gives what secret.sh makes.
func secret(t *testing.T) *corev1.Secret {
	t.Helper()
	body, err := exec.Command("../secret.sh").Output()
	require.NoError(t, err)
	objects := decode(t, bytes.NewReader(body))
	require.Len(t, objects, 1)
	return objects[0].(*corev1.Secret)
}

func TestEveryFileIsApplied(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.yaml")
	require.NoError(t, err)
	require.ElementsMatch(t, files, append(resources(t), "kustomization.yaml"))
}

func TestEveryObjectSaysItsNamespace(t *testing.T) {
	t.Parallel()
	for _, o := range manifests(t) {
		m, ok := o.(metav1.Object)
		require.True(t, ok)
		if _, is := o.(*corev1.Namespace); !is {
			require.Contains(t, []string{"argosy", "argosy-runs"}, m.GetNamespace(), m.GetName())
		}
	}
}

func TestRightsAreNamedOneByOne(t *testing.T) {
	t.Parallel()
	objects := manifests(t)
	require.Empty(t, only[*rbacv1.ClusterRole](objects), "rights end at a namespace")
	require.Empty(t, only[*rbacv1.ClusterRoleBinding](objects), "rights end at a namespace")
	roles := only[*rbacv1.Role](objects)
	require.NotEmpty(t, roles)
	for _, role := range roles {
		for _, rule := range role.Rules {
			for _, word := range slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs) {
				require.NotContains(t, word, "*", role.Name)
			}
			for _, resource := range rule.Resources {
				for _, barred := range []string{"secrets", "pods/exec", "pods/attach", "roles", "rolebindings"} {
					require.NotEqual(t, barred, resource, role.Name)
				}
			}
			if slices.Contains(rule.Resources, "serviceaccounts/token") {
				require.Equal(t, "argosy-runs", role.Namespace)
				require.NotEmpty(t, rule.ResourceNames, "%s may act as every account", role.Name)
			}
			for _, barred := range []string{"escalate", "bind", "impersonate"} {
				require.NotContains(t, rule.Verbs, barred, role.Name)
			}
			writes := slices.ContainsFunc(rule.Verbs, func(v string) bool { return !slices.Contains([]string{"get", "list", "watch"}, v) })
			if writes && role.Namespace == "argosy" {
				require.NotEmpty(t, rule.ResourceNames, "%s may change more than it has to", role.Name)
			}
		}
	}
}

func TestOnlyWorkerAndAutoscalerHaveRightsAndATokenToUseThem(t *testing.T) {
	t.Parallel()
	objects := manifests(t)
	allowed := map[string]bool{}
	for _, b := range only[*rbacv1.RoleBinding](objects) {
		for _, s := range b.Subjects {
			require.Equal(t, "ServiceAccount", s.Kind)
			require.Equal(t, "argosy", s.Namespace)
			allowed[s.Name] = true
		}
	}
	require.Equal(t, map[string]bool{"argosy-worker": true, "argosy-autoscaler": true}, allowed)
	accounts := map[string]bool{}
	for _, a := range only[*corev1.ServiceAccount](objects) {
		accounts[a.Name] = true
		require.False(t, *a.AutomountServiceAccountToken, a.Name)
	}
	for _, w := range workloads(t) {
		spec := w.template.Spec
		require.True(t, accounts[spec.ServiceAccountName], w.name)
		require.Equal(t, allowed[spec.ServiceAccountName], *spec.AutomountServiceAccountToken, w.name)
	}
}

func TestNoCredentialIsWhereStepsRun(t *testing.T) {
	t.Parallel()
	for _, w := range workloads(t) {
		require.Equal(t, "argosy", w.namespace, w.name)
	}
	require.Equal(t, "argosy", secret(t).Namespace)
}

func TestPodsAreConfined(t *testing.T) {
	t.Parallel()
	for _, w := range workloads(t) {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			spec := w.template.Spec
			require.True(t, *spec.SecurityContext.RunAsNonRoot)
			require.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, spec.SecurityContext.SeccompProfile.Type)
			require.False(t, *spec.EnableServiceLinks)
			for _, c := range spec.Containers {
				require.True(t, *c.SecurityContext.ReadOnlyRootFilesystem)
				require.False(t, *c.SecurityContext.AllowPrivilegeEscalation)
				require.Equal(t, []corev1.Capability{"ALL"}, c.SecurityContext.Capabilities.Drop)
				require.Equal(t, corev1.PullIfNotPresent, c.ImagePullPolicy)
				require.False(t, c.Resources.Requests.Cpu().IsZero())
				require.False(t, c.Resources.Limits.Memory().IsZero())
				require.NotNil(t, c.LivenessProbe)
				require.NotNil(t, c.ReadinessProbe)
			}
		})
	}
}

func TestRolesTellTheirHealthOnTheMetricsPort(t *testing.T) {
	t.Parallel()
	for _, w := range workloads(t) {
		for _, c := range w.template.Spec.Containers {
			if c.Image != "argosy" {
				continue
			}
			require.Contains(t, c.Args, "--metrics-addr=:9090", w.name)
			require.Equal(t, "/healthz", c.LivenessProbe.HTTPGet.Path)
			require.Equal(t, "/readyz", c.ReadinessProbe.HTTPGet.Path)
			require.EqualValues(t, 9090, containerPort(c, c.LivenessProbe.HTTPGet.Port))
			require.Equal(t, "9090", w.template.Annotations["prometheus.io/port"])
		}
	}
}

// containerPort finds the number of a container's port by what a Service or probe calls it.
func containerPort(c corev1.Container, port intstr.IntOrString) int32 {
	for _, p := range c.Ports {
		if port.Type == intstr.String && p.Name == port.StrVal || port.Type == intstr.Int && p.ContainerPort == port.IntVal {
			return p.ContainerPort
		}
	}
	return 0
}

func TestSelectorsFindTheirPods(t *testing.T) {
	t.Parallel()
	all := workloads(t)
	for _, w := range all {
		selector, err := metav1.LabelSelectorAsSelector(w.selector)
		require.NoError(t, err)
		for _, other := range all {
			require.Equal(t, w.name == other.name, selector.Matches(labels.Set(other.template.Labels)), "%s and %s", w.name, other.name)
		}
	}
	for _, s := range only[*corev1.Service](manifests(t)) {
		for _, port := range s.Spec.Ports {
			found := false
			for _, w := range all {
				if labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(w.template.Labels)) {
					for _, c := range w.template.Spec.Containers {
						found = found || containerPort(c, port.TargetPort) != 0
					}
				}
			}
			require.True(t, found, "service %s has nobody behind port %s", s.Name, port.Name)
		}
	}
}

func TestWhatPodsReferToExists(t *testing.T) {
	t.Parallel()
	keys := secret(t).StringData
	var config map[string]string
	for _, c := range only[*corev1.ConfigMap](manifests(t)) {
		require.Equal(t, "argosy", c.Name)
		config = c.Data
	}
	for _, w := range workloads(t) {
		volumes := map[string]bool{"data": true} // of the claim templates
		for _, v := range w.template.Spec.Volumes {
			volumes[v.Name] = true
			if v.Secret != nil {
				require.Equal(t, "argosy", v.Secret.SecretName)
				for _, item := range v.Secret.Items {
					require.Contains(t, keys, item.Key)
				}
			}
		}
		for _, c := range w.template.Spec.Containers {
			for _, m := range c.VolumeMounts {
				require.True(t, volumes[m.Name], "%s has no volume %s", w.name, m.Name)
			}
			for _, e := range c.Env {
				switch {
				case e.ValueFrom == nil:
				case e.ValueFrom.SecretKeyRef != nil:
					require.Equal(t, "argosy", e.ValueFrom.SecretKeyRef.Name)
					require.Contains(t, keys, e.ValueFrom.SecretKeyRef.Key)
				case e.ValueFrom.ConfigMapKeyRef != nil:
					require.Equal(t, "argosy", e.ValueFrom.ConfigMapKeyRef.Name)
					require.Contains(t, config, e.ValueFrom.ConfigMapKeyRef.Key)
				}
			}
		}
	}
}

func TestEachSecretIsNew(t *testing.T) {
	t.Parallel()
	first, second := secret(t).StringData, secret(t).StringData
	require.Len(t, first, 5)
	for key, value := range first {
		require.GreaterOrEqual(t, len(value), 12, key)
		require.NotEqual(t, value, second[key], key)
	}
}

func TestAutoscalerAndWorkerAgree(t *testing.T) {
	t.Parallel()
	args := map[string][]string{}
	for _, d := range only[*appsv1.Deployment](manifests(t)) {
		args[d.Name] = d.Spec.Template.Spec.Containers[0].Args
	}
	slots := func(name string) string {
		i := slices.IndexFunc(args[name], func(a string) bool { return strings.HasPrefix(a, "--slots=") })
		require.GreaterOrEqual(t, i, 0, name)
		return args[name][i]
	}
	require.Equal(t, slots("argosy-worker"), slots("argosy-autoscaler"))
	require.Contains(t, args["argosy-autoscaler"], "--deployment=argosy-worker")
	require.Contains(t, args["argosy-autoscaler"], "--namespace=argosy")
}

func TestRolesKnowTheirFlagsAndVariables(t *testing.T) {
	t.Parallel()
	var source strings.Builder
	files, err := filepath.Glob("../../cmd/argosy/*.go")
	require.NoError(t, err)
	for _, path := range files {
		body, err := os.ReadFile(path)
		require.NoError(t, err)
		source.Write(body)
	}
	for _, w := range workloads(t) {
		for _, c := range w.template.Spec.Containers {
			if c.Image != "argosy" {
				continue
			}
			help, err := exec.Command("go", "run", "../../cmd/argosy", c.Args[0], "--help").Output()
			require.NoError(t, err)
			for _, arg := range c.Args[1:] {
				flag, _, _ := strings.Cut(arg, "=")
				require.Regexp(t, `(?m)^\s+(-\w, )?`+flag+`\b`, string(help), "%s has no flag %s", c.Args[0], flag)
			}
			for _, e := range c.Env {
				if strings.HasPrefix(e.Name, "ARGOSY_") {
					require.Contains(t, source.String(), `"`+e.Name+`"`, "%s does not read %s", c.Args[0], e.Name)
				}
			}
		}
	}
}
