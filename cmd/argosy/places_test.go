package main

import (
	"fmt"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/artifacts"
	"argosy/artifacts/artifactstest"
	"argosy/worker/egress"
	"argosy/workflow/spec"
)

// keysOf lists what a bucket has.
func keysOf(t *testing.T, cfg artifacts.S3Config) []string {
	t.Helper()
	s, err := artifacts.NewS3(cfg)
	require.NoError(t, err)
	var keys []string
	for o, err := range s.List(t.Context(), "") {
		require.NoError(t, err)
		keys = append(keys, o.Key)
	}
	slices.Sort(keys)
	return keys
}

func TestArtifactsGoWhereTheRepositoryAndTheirLocationsSay(t *testing.T) {
	t.Parallel()
	server := artifactstest.StartMinIO(t)
	ofRun, ofTemplate := server.Bucket(), server.Bucket()
	bucket := func(cfg artifacts.S3Config) string {
		return fmt.Sprintf("endpoint: %q, bucket: %s, insecure: true, createBucketIfNotPresent: {}, accessKeySecret: {name: cred, key: user}, secretKeySecret: {name: cred, key: password}",
			cfg.Endpoint, cfg.Bucket)
	}
	file := write(t, "places", `  - name: main
    steps:
    - - {name: make, template: make}
      - {name: elsewhere, template: elsewhere}
    - - name: read
        template: read
        arguments:
          artifacts:
          - {name: a, from: "{{steps.make.outputs.artifacts.a}}"}
          - {name: b, from: "{{steps.make.outputs.artifacts.b}}"}
          - {name: c, from: "{{steps.elsewhere.outputs.artifacts.c}}"}
  - name: make
    container: {image: busybox, command: [sh, -c, "echo A > /a; echo B > /b"]}
    outputs:
      artifacts:
      - {name: a, path: /a}
      - {name: b, path: /b, archive: {none: {}}, s3: {key: "named/{{workflow.name}}-b"}}
  - name: elsewhere
    archiveLocation: {s3: {key: "own/{{workflow.name}}", `+bucket(ofTemplate)+`}}
    container: {image: busybox, command: [sh, -c, "echo C > /c"]}
    outputs: {artifacts: [{name: c, path: /c}]}
  - name: read
    inputs: {artifacts: [{name: a, path: /in/a}, {name: b, path: /in/b}, {name: c, path: /in/c}]}
    container: {image: busybox, command: [sh, -c, "cat /in/*"]}
  artifactRepositoryRef: {}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: artifact-repositories
  annotations: {workflows.argoproj.io/default-artifact-repository: minio}
data:
  minio: |
    s3: {keyFormat: "runs/{{workflow.namespace}}/{{workflow.name}}/{{node.name}}", `+bucket(ofRun)+`}
---
apiVersion: v1
kind: Secret
metadata: {name: cred}
stringData: {user: "`+ofRun.AccessKey+`", password: "`+ofRun.SecretKey+`"}
`)
	out, errs, code := argosy(t, "run", "--log", file)
	require.Zero(t, code, "%s%s", out, errs)
	for _, text := range []string{"A", "B", "C"} {
		require.Contains(t, out, text)
	}
	keys := strings.Join(keysOf(t, ofRun), " ")
	require.Regexp(t, `^named/places-\w+-b runs/default/places-\w+/places-\w+\[0\]\.make/a\.tgz$`, keys)
	require.Regexp(t, `^own/places-\w+/c\.tgz$`, strings.Join(keysOf(t, ofTemplate), " "))
}

func TestARepositoryThatIsNotThereIsRefused(t *testing.T) {
	t.Parallel()
	file := write(t, "nowhere", "  - {name: main, container: {image: busybox, command: [\"true\"]}}\n  artifactRepositoryRef: {key: mine}\n")
	out, errs, code := argosy(t, "run", file)
	require.NotZero(t, code)
	require.Contains(t, out+errs, `artifactRepositoryRef: config map "artifact-repositories" not found in namespace "default"`)
}

func TestArtifactsComeFromTheWebAndFromGit(t *testing.T) {
	t.Parallel()
	repo := t.TempDir()
	script := `git init -q -b main . && git config user.email a@example.com && git config user.name A &&
		echo versioned > file && git add file && git commit -qm one`
	cmd := exec.CommandContext(t.Context(), "sh", "-ec", script)
	cmd.Dir = repo
	answer, err := cmd.CombinedOutput()
	require.NoError(t, err, string(answer))
	backend := gitBackend(t, repo)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); ok {
			fmt.Fprintf(w, "for %s %s", user, password)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	out, errs, code := argosy(t, "run", "--log", write(t, "sources", `  - name: main
    inputs:
      artifacts:
      - {name: page, path: /page, mode: 0644, http: {url: "`+server.URL+`/page", auth: {basicAuth: {usernameSecret: {name: cred, key: user}, passwordSecret: {name: cred, key: password}}}}}
      - {name: source, path: /src, git: {repo: "`+server.URL+`/.git", revision: main}}
      - {name: nothing, path: /nothing, optional: true, http: {url: ""}}
    container: {image: busybox, command: [sh, -c, "cat /page /src/file; ls /nothing || true"]}
---
apiVersion: v1
kind: Secret
metadata: {name: cred}
stringData: {user: me, password: secret}
`))
	require.Zero(t, code, "%s%s", out, errs)
	require.Contains(t, out, "for me secret")
	require.Contains(t, out, "versioned")
}

// gitBackend serves the repositories below a directory.
func gitBackend(t *testing.T, dir string) http.Handler {
	t.Helper()
	path, err := exec.CommandContext(t.Context(), "git", "--exec-path").Output()
	require.NoError(t, err)
	return &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(path)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
	}
}

func TestTheWorkersCloudIdentityIsLentToNobodyUnasked(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]spec.S3Bucket{
		"useSDKCreds": {Endpoint: "s3.amazonaws.com", Bucket: "b", UseSDKCreds: true},
		"roleARN":     {Endpoint: "s3.amazonaws.com", Bucket: "b", RoleARN: "arn:aws:iam::1:role/r"},
	} {
		a := &spec.Artifact{Name: "a", ArtifactLocation: spec.ArtifactLocation{S3: &spec.S3Artifact{S3Bucket: b, Key: "k"}}}
		_, _, err := (&artifactStore{buckets: &egress.Guard{}}).at(t.Context(), a)
		require.ErrorContains(t, err, name+" would lend a workflow the rights of the worker")
		_, _, err = (&artifactStore{buckets: &egress.Guard{}, lend: true}).at(t.Context(), a)
		require.NoError(t, err)
	}
}
