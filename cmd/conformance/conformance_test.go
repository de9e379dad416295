package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/artifacts/artifactstest"
)

func TestACorpusIsHeldAgainstWhatItSays(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "argosy")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "argosy/cmd/argosy").CombinedOutput()
	require.NoError(t, err, string(out))

	result := filepath.Join(t.TempDir(), "result.json")
	var printed bytes.Buffer
	err = run(t.Context(), []string{"-corpus", "testdata/corpus", "-argosy", binary, "-result", result, "-timeout", "20s",
		"-minio", artifactstest.MinIOBinary(t)}, &printed)
	require.ErrorIs(t, err, errFailed, printed.String())

	data, err := os.ReadFile(result)
	require.NoError(t, err)
	var r report
	require.NoError(t, json.Unmarshal(data, &r))
	got := map[string]string{}
	messages := map[string]string{}
	for _, c := range r.Cases {
		kind := ""
		if c.Family == lintFamily {
			kind = "lint "
		}
		got[kind+c.Path] = strings.Join([]string{c.Expected, c.Got, c.Status}, " ")
		messages[kind+c.Path] = c.Message
	}
	require.Equal(t, map[string]string{
		"lint ends.yaml":      "valid valid passed",
		"lint uses.yaml":      "valid valid passed",
		"lint invalid.yaml":   "invalid invalid passed",
		"lint other.yaml":     "invalid invalid failed",
		"lint surprises.yaml": "invalid valid failed",
		"lint binding.yaml":   "invalid invalid passed",
		"lint fails.yaml":     "valid valid passed",
		"ends.yaml":           "Succeeded Succeeded passed",
		"tools.yaml":          "Succeeded Succeeded passed",
		"fails.yaml":          "Failed Failed passed",
		"surprises.yaml":      "Succeeded Failed failed",
		"invalid.yaml":        "Error Refused passed",
		"hangs.yaml":          "Succeeded Running skipped",
		"docker.yaml":         "Succeeded  skipped",
		"lock.yaml":           "Succeeded Succeeded passed",
		"bucket.yaml":         "Succeeded Succeeded passed",
		"plugins.yaml":        "Succeeded Succeeded passed",
	}, got, messages)
	require.Equal(t, []int{17, 12, 3, 2}, []int{r.Total, r.Passed, r.Failed, r.Skipped})
	require.Regexp(t, `^node surprises-\w+\[1\]\.not \(Pod\) is Failed: .*3`, messages["surprises.yaml"])
	require.Contains(t, messages["lint other.yaml"], "refused for another reason")
	for _, line := range []string{"FAILED surprises.yaml (basics)", "skipped 1: needs docker, which is not here", "17 cases: 12 passed, 3 failed, 2 skipped"} {
		require.Contains(t, printed.String(), line)
	}
}

func TestTheReasonsOfARefusalAreCompared(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		message, note string
		same          bool
	}{
		{`a.yaml:3:3: spec.entrypoint: expected a string, found a list`, "entrypoint must be a string", true},
		{`a.yaml:3:3: spec.entrypoints: unknown field "entrypoints"`, `unknown field "spec.entrypoints"`, true},
		{`a.yaml:3:3: spec: not valid`, `unknown field "spec.entrypoints"`, false},
		{`a.yaml:3:3: spec.templates[0]: templates.a inputs.parameters.x was not supplied`, "templates.b inputs.parameters.y was not supplied", false},
		{"anything", "", true},
	} {
		require.Equal(t, tt.same, sameReason(tt.message, tt.note), "%s / %s", tt.message, tt.note)
	}
}

func TestWhatIsNotSupportedIsNamedOnce(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"hooks", "retryStrategy.backoff"},
		unsupported("a.yaml:1:2: spec.hooks: not supported yet: hooks\na.yaml:9:2: x: not supported yet: retryStrategy.backoff\nb: not supported yet: hooks"))
	require.Empty(t, unsupported("template name 'x' undefined"))
}

func TestACorpusWithoutItsColumnsIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "expected.csv"), []byte("file,expected\na,b\n"), 0o644))
	_, err := readCorpus(dir)
	require.ErrorContains(t, err, `expected.csv has no column "path"`)
	require.ErrorContains(t, run(t.Context(), []string{"-corpus", t.TempDir()}, &bytes.Buffer{}), "neither an expected.csv nor a lint.csv")
	require.ErrorContains(t, run(t.Context(), nil, &bytes.Buffer{}), "no directory")
}
