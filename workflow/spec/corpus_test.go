package spec_test

import (
	"encoding/csv"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"argosy/workflow/spec"

	"github.com/stretchr/testify/require"
)

// TestCorpus parses and validates every file below ARGOSY_CORPUS, or our own good files
// when it is not set. Where the directory has a lint.csv (path, expected, note) it says what
// must come of each.
func TestCorpus(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("ARGOSY_CORPUS")
	if dir == "" {
		dir = "testdata/ok"
	}
	expected := map[string][]string{}
	if f, err := os.Open(filepath.Join(dir, "lint.csv")); err == nil {
		defer f.Close()
		rows, err := csv.NewReader(f).ReadAll()
		require.NoError(t, err)
		for _, row := range rows {
			expected[row[0]] = row[1:]
		}
	}
	templates := stored(t, dir)
	for _, file := range yamlFiles(t, dir) {
		name, err := filepath.Rel(dir, file)
		require.NoError(t, err)
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			err = lint(name, data, templates)
			want := expected[name]
			if want == nil {
				want = []string{"valid", ""}
			}
			switch want[0] {
			case "valid", "valid-with-templates":
				require.NoError(t, err)
			case "invalid":
				require.Error(t, err)
				t.Logf("%v\n  wanted: %s", err, want[1])
			default:
				t.Logf("%v\n  wanted: %s", err, want[1])
			}
		})
	}
}

func lint(name string, data []byte, templates func(string, bool) *spec.WorkflowSpec) error {
	docs, err := spec.Parse(name, data)
	errs := []error{err}
	for i := range docs {
		_, err := spec.Validate(&docs[i], spec.Options{Lint: true, Templates: templates})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// stored finds the templates that the files of a directory define.
func stored(t *testing.T, dir string) func(string, bool) *spec.WorkflowSpec {
	byName := map[string]*spec.WorkflowSpec{}
	for _, name := range yamlFiles(t, dir) {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		docs, _ := spec.Parse(name, data)
		for _, doc := range docs {
			switch o := doc.Object.(type) {
			case *spec.WorkflowTemplate:
				byName[o.Name] = &o.Spec
			case *spec.ClusterWorkflowTemplate:
				byName["cluster/"+o.Name] = &o.Spec
			}
		}
	}
	return func(name string, cluster bool) *spec.WorkflowSpec {
		if cluster {
			name = "cluster/" + name
		}
		return byName[name]
	}
}
