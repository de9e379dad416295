package spec_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"argosy/workflow/spec"

	"github.com/stretchr/testify/require"
)

// FuzzParse holds that no file makes parsing or validation panic or hang, and that errors
// have a place.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/ok/*.yaml", "testdata/err/*.yaml", "testdata/err/*.json"} {
		files, err := filepath.Glob(pattern)
		require.NoError(f, err)
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(f, err)
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, err := spec.Parse("f", data)
		placed(t, err)
		for i := range docs {
			_, err := spec.Validate(&docs[i], spec.Options{})
			placed(t, err)
			_, err = spec.Unsupported(&docs[i])
			placed(t, err)
		}
	})
}

func placed(t *testing.T, err error) {
	if err == nil {
		return
	}
	var list spec.ErrorList
	require.ErrorAs(t, err, &list)
	for _, e := range list {
		require.Positive(t, e.Line, e.Error())
		require.Positive(t, e.Column, e.Error())
	}
}

// bigWorkflow returns a workflow of about n bytes.
func bigWorkflow(n int) []byte {
	var b strings.Builder
	b.WriteString(header + "spec:\n  entrypoint: main\n  templates:\n    - name: echo\n      inputs: {parameters: [{name: text}]}\n      container: {image: alpine}\n    - name: main\n      dag:\n        tasks:\n")
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "          - name: task-%d\n            template: echo\n", i)
		if i > 0 {
			fmt.Fprintf(&b, "            dependencies: [task-%d]\n", i-1)
		}
		fmt.Fprintf(&b, "            arguments:\n              parameters:\n                - name: text\n                  value: \"{{workflow.name}} %d\"\n", i)
	}
	return []byte(b.String())
}

func benchmarkParse(b *testing.B, data []byte, refused bool) {
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		docs, err := spec.Parse("f", data)
		if refused != (err != nil) {
			b.Fatal(err)
		}
		for i := range docs {
			if _, err := spec.Validate(&docs[i], spec.Options{}); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkParse1KB(b *testing.B)  { benchmarkParse(b, bigWorkflow(1<<10), false) }
func BenchmarkParse1MB(b *testing.B)  { benchmarkParse(b, bigWorkflow(1<<20), false) }
func BenchmarkParse4MB(b *testing.B)  { benchmarkParse(b, bigWorkflow(spec.MaxFileSize-1000), false) }
func BenchmarkParse10MB(b *testing.B) { benchmarkParse(b, bigWorkflow(10<<20), true) }

// BenchmarkParseDense reads the file with the most values that is allowed.
func BenchmarkParseDense(b *testing.B) {
	text := "apiVersion: v1\nkind: Some\na: ["
	data := []byte(text + strings.Repeat("1,", (spec.MaxFileSize-len(text)-2)/2) + "1]")
	benchmarkParse(b, data, false)
}
