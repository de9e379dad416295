//go:build cluster

package e2e

import (
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// gitServer serves a repository with the example's program to the cluster's pods, for whoever
// knows the password of examples/ci-pipeline/objects.yaml.
func gitServer(t *testing.T) (url, dir string) {
	t.Helper()
	dir = t.TempDir()
	say(t, "", "sh", "-ec", `
work=$(mktemp -d); cd $work
git init -q -b main
git config user.email a@example.com; git config user.name A
mkdir app deploy
printf 'def main():\n    print("hello from the app")\n' > app/hello.py
printf 'kind: Deployment\nimage: registry.example.com/app:0.9.0 # by the pipeline\n' > deploy/app.yaml
git add .; git commit -qm start
git init -q --bare -b main `+dir+`/app.git
git push -q `+dir+`/app.git main
git -C `+dir+`/app.git config http.receivepack true
rm -rf $work`)
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(say(t, "", "git", "--exec-path")), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
	}
	host := os.Getenv("ARGOSY_DEVCLUSTER_HOST")
	require.NotEmpty(t, host, `eval "$(bin/devcluster env)"`)
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	require.NoError(t, err)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return "http://" + l.Addr().String() + "/app.git", dir + "/app.git"
}

func TestTheExamplePipelineBuildsAndDeploys(t *testing.T) {
	program(t)
	if os.Getenv("ARGOSY_E2E_IMAGES") != "there" {
		builder := filepath.Join(t.TempDir(), "builder")
		say(t, "", "env", "CGO_ENABLED=0", "go", "build", "-o", builder, "./examples/ci-pipeline/builder")
		say(t, "", "go", "run", "./deploy/image", "-o", "dist/builder.tar", "builder", builder)
		say(t, "", devcluster, "load-image", "dist/builder.tar")
	}
	objects := "examples/ci-pipeline/objects.yaml"
	say(t, "", devcluster, "kubectl", "-n", "default", "apply", "-f", objects)
	defer func() {
		say(t, "", devcluster, "kubectl", "-n", "default", "delete", "--ignore-not-found", "-f", objects)
	}()
	repo, bare := gitServer(t)

	for _, c := range []struct{ flavour, version, layers string }{
		{"release", "1.2.3", `"layers":1`},
		{"debug", "1.2.4", `"layers":2`},
	} {
		out := say(t, "", "dist/argosy", "run", "--executor", "kubernetes", "--embedded", "memory", "-n", "default", "--log", "-p", "repo="+repo, "-p", "flavour="+c.flavour, "-p", "version="+c.version,
			objects, "examples/ci-pipeline/templates.yaml", "examples/ci-pipeline/pipeline.yaml")
		for _, text := range []string{
			"hello from the app", "pushed ", `"flavour":"` + c.flavour + `"`, c.layers, "app.pyz",
			"the pipeline for " + c.version + " has ended: Succeeded",
		} {
			require.Contains(t, out, text)
		}
		deployed := say(t, "", "git", "-c", "safe.directory=*", "-C", bare, "show", "main:deploy/app.yaml")
		require.Equal(t, "kind: Deployment\nimage: registry.example.com/app:"+c.version+" # by the pipeline\n", deployed)
	}

	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	require.NoError(t, err)
	kube, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		claims, err := kube.CoreV1().PersistentVolumeClaims("default").List(t.Context(), metav1.ListOptions{})
		pods, err2 := kube.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{FieldSelector: "status.phase=Running"})
		if err != nil || err2 != nil {
			return false
		}
		for _, c := range claims.Items {
			if strings.HasPrefix(c.Name, "ci-") {
				return false
			}
		}
		for _, p := range pods.Items {
			if strings.HasPrefix(p.Name, "ci-") {
				return false
			}
		}
		return true
	}, time.Minute, 200*time.Millisecond, "the claim and the registry go with their run")
}
