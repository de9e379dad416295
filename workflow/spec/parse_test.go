package spec_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"argosy/workflow/spec"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

// yamlFiles lists the YAML and JSON files below a directory.
func yamlFiles(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && (strings.HasSuffix(path, ".yaml") || strings.HasSuffix(path, ".json")) {
			files = append(files, path)
		}
		return err
	})
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

// TestErrors holds every testdata/err/x.yaml to the messages in x.yaml.out. Run it with
// UPDATE=1 to write them.
func TestErrors(t *testing.T) {
	t.Parallel()
	for _, file := range yamlFiles(t, "testdata/err") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			err = check(filepath.Base(file), data)
			require.Error(t, err)
			golden := file + ".out"
			if os.Getenv("UPDATE") != "" {
				require.NoError(t, os.WriteFile(golden, []byte(err.Error()+"\n"), 0o644))
			}
			want, readErr := os.ReadFile(golden)
			require.NoError(t, readErr)
			require.Equal(t, string(want), err.Error()+"\n")
		})
	}
}

// check returns what is wrong with a file: its parse errors, or else its validation errors.
func check(name string, data []byte) error {
	docs, err := spec.Parse(name, data)
	if err != nil {
		return err
	}
	var errs []error
	for i := range docs {
		if _, err := spec.Validate(&docs[i], spec.Options{}); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func TestGoodFilesPass(t *testing.T) {
	t.Parallel()
	for _, file := range yamlFiles(t, "testdata/ok") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			require.NoError(t, check(filepath.Base(file), data))
		})
	}
}

const header = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: x}\n"

func parseWorkflow(t *testing.T, body string) (*spec.Workflow, *spec.Document) {
	t.Helper()
	docs, err := spec.Parse("wf.yaml", []byte(header+body))
	require.NoError(t, err)
	require.Len(t, docs, 1)
	return docs[0].Object.(*spec.Workflow), &docs[0]
}

func TestScalarsMeanWhatArgoTakesThemFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ written, want string }{
		{"3", "3"}, {"'3'", "3"}, {"1000000", "1000000"}, {"123456789012345678901234567890", "123456789012345680000000000000"},
		{"1.50", "1.5"}, {"1e3", "1000"}, {"0x1f", "31"}, {"010", "8"}, {"1_000", "1000"},
		{"true", "true"}, {"yes", "true"}, {"'yes'", "yes"}, {"off", "false"}, {"y", "true"},
		{"2001-01-01", "2001-01-01"}, {"|\n          two\n          lines\n", "two\nlines\n"},
	} {
		wf, _ := parseWorkflow(t, "spec:\n  arguments:\n    parameters:\n      - name: p\n        value: "+c.written+"\n        default: "+c.written+"\n")
		p := wf.Spec.Arguments.GetParameterByName("p")
		require.Equal(t, c.want, p.Value.String(), c.written)
		require.Equal(t, c.want, p.Default.String(), c.written)
	}
}

func TestNumbersAndBooleansAreTakenAsStrings(t *testing.T) {
	t.Parallel()
	wf, _ := parseWorkflow(t, "spec:\n  templates:\n    - name: a\n      container: {image: i, args: [1, 2.5, true, no, x, null], env: [{name: A, value: 5}]}\n")
	c := wf.Spec.Templates[0].Container
	require.Equal(t, []string{"1", "2.5", "true", "false", "x", ""}, c.Args)
	require.Equal(t, "5", c.Env[0].Value)
}

func TestItemsKeepTheirType(t *testing.T) {
	t.Parallel()
	wf, _ := parseWorkflow(t, "spec:\n  templates:\n    - name: a\n      steps:\n        - - name: s\n            template: b\n            withItems: [1, 1.5, a<b, yes, {b: 2, a: [x]}, [1, '2']]\n        - []\n")
	require.Len(t, wf.Spec.Templates[0].Steps, 2)
	var types []spec.ItemType
	var texts []string
	for _, i := range wf.Spec.Templates[0].Steps[0].Steps[0].WithItems {
		types, texts = append(types, i.Type()), append(texts, i.String())
	}
	require.Equal(t, []spec.ItemType{spec.ItemNumber, spec.ItemNumber, spec.ItemString, spec.ItemBool, spec.ItemMap, spec.ItemList}, types)
	require.Equal(t, []string{"1", "1.5", "a<b", "true", `{"a":["x"],"b":2}`, `[1,"2"]`}, texts)
}

func TestKeysMatchInAnyCase(t *testing.T) {
	t.Parallel()
	wf, doc := parseWorkflow(t, "spec:\n  EntryPoint: a\n  templates:\n    - name: a\n      DAG:\n        Tasks: []\n")
	require.Equal(t, "a", wf.Spec.Entrypoint)
	require.NotNil(t, wf.Spec.Templates[0].DAG)
	line, _ := doc.Position("spec.templates[0].dag.tasks")
	require.Equal(t, 9, line)
}

func TestAnchorsAndMergeKeys(t *testing.T) {
	t.Parallel()
	wf, doc := parseWorkflow(t, `spec:
  templates:
    - name: a
      container: &c {image: one, command: [sh], workingDir: /a}
    - name: b
      container:
        <<: *c
        image: two
    - &t
      name: c
      container: *c
    - <<: [{name: d}, *t]
`)
	require.Equal(t, "two", wf.Spec.Template("b").Container.Image)
	require.Equal(t, []string{"sh"}, wf.Spec.Template("b").Container.Command)
	require.Equal(t, "one", wf.Spec.Template("d").Container.Image)
	line, column := doc.Position("spec.templates[1].container.workingDir")
	require.Equal(t, []int{7, 49}, []int{line, column})
}

func TestSeveralDocumentsAndForms(t *testing.T) {
	t.Parallel()
	wf := `{"apiVersion":"argoproj.io/v1alpha1","kind":"Workflow",` + "\n\t" + `"metadata":{"name":"x"},"spec":{}}`
	for name, text := range map[string]string{
		"yaml":        "---\n---\n" + header + "---\n# nothing\n---\n" + header + "---\n",
		"crlf":        strings.ReplaceAll(header+"---\n"+header, "\n", "\r\n"),
		"byte order":  "\xef\xbb\xbf" + header + "---\n" + header,
		"json":        wf + "\n" + wf,
		"json, order": "\xef\xbb\xbf" + wf + wf,
	} {
		docs, err := spec.Parse(name, []byte(text))
		require.NoError(t, err, name)
		require.Len(t, docs, 2, name)
		require.Equal(t, "x", docs[1].Object.(*spec.Workflow).Name, name)
	}
}

func TestForeignKindsAreCarried(t *testing.T) {
	t.Parallel()
	docs, err := spec.Parse("x", []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: '1'}\n---\napiVersion: v1\nkind: Secret\nanything: [goes]\n"))
	require.NoError(t, err)
	require.Equal(t, "1", docs[0].Object.(*corev1.ConfigMap).Data["a"])
	require.JSONEq(t, `{"apiVersion":"v1","kind":"Secret","anything":["goes"]}`, string(docs[1].Object.(*spec.Object).Value))
}

func TestPositionsAreOfTheFieldOrItsNearestParent(t *testing.T) {
	t.Parallel()
	_, doc := parseWorkflow(t, `spec:
  templates:
    - name: a
      metadata:
        labels: {"a.b/c": d}
      steps:
        - - name: one
            template: b
          - name: two
            when: "true"
`)
	for path, want := range map[string][2]int{
		"spec.templates[0].steps[0][1].when":           {13, 13},
		"spec.templates[0].steps[0][1].template":       {12, 13},
		"spec.templates[0].steps[0][1]":                {12, 13},
		"spec.templates[0].steps[7]":                   {9, 7},
		`spec.templates[0].metadata.labels["a.b/c"]`:   {8, 18},
		"metadata.name":                                {3, 12},
		"status.nothing":                               {1, 1},
		"spec.templates[0].steps[0][1].when[9].x[\"y]": {13, 13},
	} {
		line, column := doc.Position(path)
		require.Equal(t, want, [2]int{line, column}, path)
	}
}

func TestErrorsCanBeTakenApart(t *testing.T) {
	t.Parallel()
	_, err := spec.Parse("wf.yaml", []byte(header+"spec:\n  entrypoints: a\n  templates: {}\n"))
	var list spec.ErrorList
	require.ErrorAs(t, err, &list)
	require.Len(t, list, 2)
	var one *spec.Error
	require.ErrorAs(t, err, &one)
	require.Equal(t, spec.Error{File: "wf.yaml", Line: 5, Column: 3, Path: "spec.entrypoints",
		Message: `unknown field "entrypoints"`, Hint: `did you mean "entrypoint"?`}, *one)
}

func TestHostileFilesAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	bomb := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := '1'; i <= '9'; i++ {
		p := string(i - 1)
		bomb += "a" + string(i) + ": &a" + string(i) + " [" + strings.Repeat("*a"+p+",", 9) + "*a" + p + "]\n"
	}
	for name, c := range map[string]struct{ text, want string }{
		"empty":           {"", "x:1:1: no objects in file"},
		"comments":        {"# nothing\n---\n\n", "x:1:1: no objects in file"},
		"a word":          {"hello\n", "x:1:1: expected an object with apiVersion and kind, found the string \"hello\""},
		"binary":          {"\x7fELF\x02\x01", "x:1:1: not a text file: control character U+007F"},
		"latin-1":         {"a: b\nc: \xe9t\xe9\n", "x:2:4: not a text file: byte 0xe9 is not UTF-8"},
		"utf-16":          {"\xff\xfea\x00", "x:1:1: file is UTF-16, not UTF-8"},
		"large":           {strings.Repeat("# 9 bytes\n", 1<<20), "x:419431:5: file has 10.0 MB, and 4 MB is the most that is read (pass large data as an artifact)"},
		"aliases":         {"apiVersion: v1\nkind: Some\n" + bomb, "aliases unfold to more than 50000 values"},
		"endless alias":   {"apiVersion: v1\nkind: Some\na: &a [*a]\n", "the alias *a contains itself"},
		"endless merge":   {"apiVersion: v1\nkind: Some\na: &a\n  <<: *a\n", "the alias *a contains itself"},
		"long alias":      {"apiVersion: v1\nkind: Some\na: &a " + strings.Repeat("x", 1<<20) + "\nb: [" + strings.Repeat("*a,", 1000) + "]\n", "unfolds to more than 32 MB"},
		"deep":            {"apiVersion: v1\nkind: Some\na: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "values are nested more than 200 deep"},
		"deep json":       {`{"apiVersion":"v1","kind":"Some","a":` + strings.Repeat("[", 500_000), "values are nested more than 200 deep"},
		"unknown anchor":  {header + "spec:\n  entrypoint: *none\n", "x:5:15: not valid YAML: unknown anchor 'none' referenced"},
		"open json":       {`{"apiVersion":`, "x:1:15: not valid JSON: the file ends in the middle of a value"},
		"bad json":        {"{\n  \"a\": 1,\n  \"b\" 2\n}", "x:3:7: not valid JSON: invalid character '2' after object key"},
		"tabs":            {"a:\n\tb: 1\n", "x:2:1: not valid YAML: found character that cannot start any token"},
		"infinite number": {header + "spec:\n  parallelism: .inf\n", "x:5:16: spec.parallelism: .inf is not a number that JSON knows"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			_, err := spec.Parse("x", []byte(c.text))
			require.ErrorContains(t, err, c.want)
			require.Less(t, time.Since(begin), 10*time.Second)
		})
	}
}

func TestDecodeWorkflowReadsWhatParseWrote(t *testing.T) {
	t.Parallel()
	for _, file := range yamlFiles(t, "testdata/ok") {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		docs, err := spec.Parse(file, data)
		require.NoError(t, err)
		for _, doc := range docs {
			wf, ok := doc.Object.(*spec.Workflow)
			if !ok {
				continue
			}
			stored, err := json.Marshal(wf)
			require.NoError(t, err)
			again, err := spec.DecodeWorkflow(stored)
			require.NoError(t, err)
			restored, err := json.Marshal(again)
			require.NoError(t, err)
			require.JSONEq(t, string(stored), string(restored))
		}
	}
}
