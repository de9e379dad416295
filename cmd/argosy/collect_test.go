package main

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// kept lists the files of a fleet's store, by the last parts of their paths.
func (r *roles) kept() []string {
	var names []string
	_ = filepath.WalkDir(r.dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, filepath.Base(path))
		}
		return nil // what goes meanwhile is gone
	})
	slices.Sort(names)
	return slices.Compact(names)
}

func (r *roles) awaitKept(want ...string) {
	r.t.Helper()
	require.Eventually(r.t, func() bool { return slices.Equal(want, r.kept()) }, 60*time.Second, 50*time.Millisecond, "%v, not %v", r.kept(), want)
}

func TestArtifactsGoWithTheEventThatTheirStrategyNames(t *testing.T) {
	t.Parallel()
	r := startRoles(t)
	r.start("coordinator")
	r.worker()
	name := r.submit(write(t, "collected", `  - name: main
    steps:
    - - {name: one, template: one}
    - - {name: many, template: many, withSequence: {count: "300"}}
  - name: one
    container: {image: busybox, command: [sh, -c, "mkdir /dir; echo x | tee /a /b /c /dir/d; echo logged"]}
    outputs:
      artifacts:
      - {name: kept, path: /a, artifactGC: {strategy: Never}}
      - {name: ends, path: /b, artifactGC: {strategy: OnWorkflowCompletion}}
      - {name: goes, path: /c}
      - {name: tree, path: /dir, archive: {none: {}}, s3: {key: "{{workflow.name}}-tree"}, artifactGC: {strategy: OnWorkflowCompletion}}
  - name: many
    container: {image: busybox, command: [touch, /m]}
    outputs: {artifacts: [{name: item, path: /m, artifactGC: {strategy: OnWorkflowCompletion}}]}
  artifactGC: {strategy: OnWorkflowDeletion}
  archiveLogs: true
`))
	wf := r.await(name, "end", func(wf *spec.Workflow) bool { return wf.Status.Phase.Completed() })
	require.Equal(t, spec.WorkflowSucceeded, wf.Status.Phase, wf.Status.Message)
	one := wf.Status.Nodes[workflow.NodeID(name, name+"[0].one")]
	logs := one.Outputs.Artifacts[len(one.Outputs.Artifacts)-1]
	require.Equal(t, "main-logs", logs.Name)
	require.True(t, strings.HasSuffix(logs.S3.Key, "/main.log"), logs.S3.Key)
	r.awaitKept("goes.tgz", "kept.tgz", "main.log")

	_, errs, code := r.argosy("delete", name)
	require.Zero(t, code, errs)
	r.awaitKept("kept.tgz")
	require.Eventually(t, func() bool {
		_, errs, _ := r.argosy("get", name)
		return strings.Contains(errs, "not found")
	}, 60*time.Second, 50*time.Millisecond, "the run stays after its artifacts are gone")
}

func TestAForcedDeletionDoesNotWait(t *testing.T) {
	t.Parallel()
	r := startRoles(t)
	r.start("coordinator")
	worker := r.worker()
	name := r.submit(write(t, "forced", `  - name: main
    container: {image: busybox, command: [touch, /a]}
    outputs: {artifacts: [{name: left, path: /a}]}
  artifactGC: {strategy: OnWorkflowDeletion}
`))
	r.await(name, "end", func(wf *spec.Workflow) bool { return wf.Status.Phase.Completed() })
	worker.kill(syscall.SIGTERM) // nobody is there to delete anything
	_, errs, code := r.argosy("delete", name)
	require.Zero(t, code, errs)
	_, _, code = r.argosy("get", name)
	require.Zero(t, code, "the run went before its artifacts")
	_, errs, code = r.argosy("delete", "--force", name)
	require.Zero(t, code, errs)
	_, errs, _ = r.argosy("get", name)
	require.Contains(t, errs, "not found")
	require.Equal(t, []string{"left.tgz"}, r.kept())
}

func TestARunThatIsTakenUpAgainLeavesNothingEither(t *testing.T) {
	t.Parallel()
	r := startRoles(t)
	r.start("coordinator")
	r.worker()

	name := r.submit(write(t, "again", `  - name: main
    steps:
    - - {name: one, template: one}
    - - {name: fails, template: fails}
  - name: one
    container: {image: busybox, command: [touch, /a]}
    outputs: {artifacts: [{name: one, path: /a}]}
  - name: fails
    container: {image: busybox, command: [sh, -c, "touch /b; false"]}
    outputs: {artifacts: [{name: two, path: /b}]}
  artifactGC: {strategy: OnWorkflowCompletion}
`))
	r.await(name, "fail", func(wf *spec.Workflow) bool { return wf.Status.Phase == spec.WorkflowFailed })
	r.awaitKept()
	_, errs, code := r.argosy("retry", name)
	require.Zero(t, code, errs)
	r.await(name, "fail again", func(wf *spec.Workflow) bool { return wf.Status.Phase == spec.WorkflowFailed })
	r.awaitKept()
}
