package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/artifacts"
	"argosy/artifacts/artifactstest"
	"argosy/worker"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// archiving is a fleet whose runs are archived in MinIO.
func archiving(t *testing.T, coordinator ...string) (*roles, *daemon) {
	t.Helper()
	r := startRoles(t)
	r.env = append(r.env, artifactstest.StartMinIO(t).Environment()...)
	r.server = r.serve()
	c := r.start("coordinator", append([]string{"--archive"}, coordinator...)...)
	r.start("worker")
	return r, c
}

func (r *roles) ok(args ...string) string {
	r.t.Helper()
	out, errs, code := r.argosy(args...)
	require.Zero(r.t, code, "%v: %s%s", args, out, errs)
	return out
}

// eventually waits until a command prints something, and fails with what it printed last.
func (r *roles) eventually(want string, args ...string) {
	r.t.Helper()
	var out, errs string
	require.Eventually(r.t, func() bool {
		out, errs, _ = r.argosy(args...)
		return strings.Contains(out+errs, want)
	}, 60*time.Second, 50*time.Millisecond, "%v: %q is not in %s%s", args, want, out, errs)
}

func (r *roles) archived(name string) *spec.Workflow {
	r.t.Helper()
	wf := &spec.Workflow{}
	require.NoError(r.t, json.Unmarshal([]byte(r.ok("archive", "get", name, "-o", "json")), wf))
	return wf
}

const archiveLabel = "workflows.argoproj.io/workflow-archiving-status"

const keptRun = `apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: NAME, labels: {team: ships, size: LABEL}}
spec:
  entrypoint: main
  archiveLogs: true
  arguments: {parameters: [{name: who, value: NAME}]}
  templates:
  - name: main
    steps:
    - - {name: one, template: say, arguments: {parameters: [{name: text, value: "one {{workflow.parameters.who}}"}]}}
    - - {name: wide, template: say, withSequence: {count: "1500"}, when: "{{item}} < 2", arguments: {parameters: [{name: text, value: "{{item}}"}]}}
  - name: say
    inputs: {parameters: [{name: text}]}
    container: {image: busybox, command: [echo, "{{inputs.parameters.text}}"]}
`

func keptAs(name, label string) string {
	return strings.NewReplacer("NAME", name, "LABEL", label).Replace(keptRun)
}

func TestADeletedRunIsReadFromTheArchive(t *testing.T) {
	t.Parallel()
	r, _ := archiving(t)
	small := strings.ReplaceAll(keptAs("small", "s"), "1500", "3")
	r.ok("submit", "--wait", file(t, small+"---\n"+keptAs("large", "l")))
	r.eventually("Archived", "get", "small", "-o", "json")
	r.eventually("Archived", "get", "large", "-o", "json")
	require.Equal(t, "large\nsmall\n", r.ok("list", "-o", "name"), "each is listed once")
	before := &spec.Workflow{}
	require.NoError(t, json.Unmarshal([]byte(r.ok("get", "small", "-o", "json")), before))
	all := r.ok("get", "large", "--all", "-o", "name")
	logs := r.ok("logs", "small")

	r.ok("delete", "--all")
	r.eventually("no workflows found", "list", "-l", archiveLabel+"!=Persisted")
	require.Equal(t, "large\nsmall\n", r.ok("list", "-o", "name"))
	require.Equal(t, "large\n", r.ok("list", "-o", "name", "-l", "size=l"))
	require.Equal(t, "small\n", r.ok("list", "-o", "name", "--prefix", "sm"))
	require.ElementsMatch(t, lines(all), lines(r.ok("get", "large", "--all", "-o", "name")))
	require.Greater(t, len(lines(all)), 1500)
	require.ElementsMatch(t, lines(logs), lines(r.ok("logs", "small")))

	wf := r.archived("small")
	require.Equal(t, "Persisted", wf.Labels[archiveLabel])
	require.Equal(t, spec.WorkflowSucceeded, wf.Status.Phase)
	require.Equal(t, "say", wf.Spec.Templates[1].Name)
	require.Equal(t, before.Status, wf.Status)
	before.Labels[archiveLabel] = "Persisted"
	require.Equal(t, before.ObjectMeta, wf.ObjectMeta)
	require.Equal(t, before.Spec, wf.Spec)
	require.Equal(t, "small", wf.Spec.Arguments.Parameters[0].GetValue())
	same := &spec.Workflow{}
	require.NoError(t, json.Unmarshal([]byte(r.ok("get", "small", "-o", "json")), same))
	require.Equal(t, wf, same)

	require.Contains(t, r.ok("archive", "list"), string(wf.UID))
	require.Equal(t, "small\n", r.ok("archive", "list", "-o", "name", "-l", "size=s", "--chunk-size", "1"))
	require.Equal(t, "large\nsmall\n", r.ok("archive", "list", "-o", "name", "--chunk-size", "1"))
	require.Contains(t, r.ok("archive", "list-label-keys"), "team\n")
	require.Equal(t, "l\ns\n", r.ok("archive", "list-label-values", "-l", "size"))
	_, errs, code := r.argosy("archive", "list-label-values", "-l", "size=l")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "is not supported")

	require.Equal(t, "Archived workflow '"+string(wf.UID)+"' deleted\n", r.ok("archive", "delete", "small"))
	_, errs, code = r.argosy("archive", "get", "small")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "archived workflow 'small' not found")
	_, errs, code = r.argosy("archive", "get", string(wf.UID))
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "not found")
	require.Equal(t, "l\n", r.ok("archive", "list-label-values", "-l", "size"))
	require.Equal(t, "large\n", r.ok("list", "-o", "name"))
}

func TestWorkflowsDoNotReachTheArchive(t *testing.T) {
	t.Parallel()
	d, err := artifacts.NewDir(t.TempDir())
	require.NoError(t, err)
	s := (&artifactStore{own: d}).For(&worker.Step{Run: &workflow.Run{Namespace: "default"}})
	for key, refused := range map[string]bool{
		"archived-workflows": true, "archived-workflows/other/uid": true, "/archived-workflows/other/uid": true, "archived-workflows/": true,
		"archived-workflows-2/x": false, "mine/archived-workflows/x": false,
	} {
		a := &spec.Artifact{Name: "a"}
		a.S3 = &spec.S3Artifact{Key: key}
		a.Archive = &spec.ArchiveStrategy{None: &spec.NoneStrategy{}}
		path := file(t, "mine")
		err := s.Save(t.Context(), a, path)
		if !refused {
			require.NoError(t, err, key)
			continue
		}
		require.ErrorContains(t, err, "choose another key", key)
		require.ErrorContains(t, s.Load(t.Context(), a, path), "choose another key", key)
		require.ErrorContains(t, s.(*artifactStore).Delete(t.Context(), a), "choose another key", key)
	}
}

func lines(text string) []string { return strings.Split(strings.TrimSpace(text), "\n") }

const shortRun = `apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: NAME, labels: {keep: "yes"}}
spec:
  entrypoint: main
  ttlStrategy: {secondsAfterCompletion: 1}
  templates: [{name: main, container: {image: busybox, command: ['true']}}]
`

func short(name string) string { return strings.ReplaceAll(shortRun, "NAME", name) }

func TestNothingIsLostWhileTheStoreOfTheArchiveIsAway(t *testing.T) {
	t.Parallel()
	r := startRoles(t)
	dir := filepath.Join(r.dir, "store")
	r.server = r.serve("--artifacts", dir)
	// Where the archive's files would go is something else.
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "objects"), 0o755))
	away := filepath.Join(dir, "objects", "archived-workflows")
	require.NoError(t, os.WriteFile(away, nil, 0o600))
	c := r.start("coordinator", "--archive", "--artifacts", dir)
	r.worker()
	r.ok("submit", "--wait", file(t, short("expires")+"---\n"+short("deleted")+"---\n"+short("forced")))
	c.await("a run is not archived yet")
	r.ok("delete", "deleted")
	r.ok("delete", "--force", "forced")
	_, errs, code := r.argosy("get", "forced")
	require.NotZero(t, code, "it waits for nothing")
	require.Contains(t, errs, "not found")
	require.Contains(t, r.ok("get", "deleted", "-o", "json"), `"`+archiveLabel+`": "Pending"`)
	require.Contains(t, r.ok("get", "expires", "-o", "json"), `"Pending"`)
	_, errs, code = r.argosy("retry", "deleted")
	require.NotZero(t, code, "it is about to go")
	require.NotEmpty(t, errs)

	require.NoError(t, os.Remove(away))
	for _, name := range []string{"expires", "deleted"} {
		r.eventually("Persisted", "get", name, "-o", "json")
	}
}

func TestArchivedRunsGoWhenTheirTimeHasComeAndOthersAreNotArchived(t *testing.T) {
	t.Parallel()
	r := startRoles(t)
	r.server = r.serve("--artifacts", r.dir)
	r.start("coordinator", "--archive", "--archive-ttl", "6s", "--archive-label-selector", "keep=yes", "--artifacts", r.dir)
	r.worker()
	other := strings.ReplaceAll(short("other"), "keep:", "drop:")
	r.ok("submit", "--wait", file(t, short("kept")+"---\n"+other))
	r.eventually("not found", "get", "other")
	r.eventually("Persisted", "get", "kept", "-o", "json")
	r.eventually("not found", "get", "kept")
	require.Empty(t, r.kept(), "its file is there")
	_, errs, _ := r.argosy("archive", "list")
	require.Contains(t, errs, "no workflows found")
}
