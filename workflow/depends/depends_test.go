package depends_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow/depends"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a":                            "a",
		"a && b || c":                  "((a && b) || c)",
		"a||b&&c":                      "(a || (b && c))",
		" ( a.Failed ) && !b.Errored ": "(a.Failed && !b.Errored)",
		"!(a || b-2.AnySucceeded)":     "!(a || b-2.AnySucceeded)",
	} {
		e, err := depends.Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want, e.String())
	}
	for text, want := range map[string]string{
		"":          "at character 1: expected a task name, found the end",
		"a &&":      "at character 5: expected a task name, found the end",
		"a b":       `at character 3: expected && or ||, found "b"`,
		"(a":        "at character 3: expected )",
		"a.Success": `at character 1: "a.Success" is no task result: use one of Succeeded, Failed, Errored, Skipped, Omitted, Daemoned, AnySucceeded, AllFailed`,
		"a & b":     `at character 3: expected && or ||, found "& b"`,
	} {
		_, err := depends.Parse(text)
		require.EqualError(t, err, want, text)
	}
}

func TestABareTaskMeansSucceededSkippedOrDaemoned(t *testing.T) {
	t.Parallel()
	e, err := depends.Parse("a && !b")
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, e.Tasks())
	for result, want := range map[string]bool{"Succeeded": true, "Skipped": true, "Daemoned": true, "Failed": false, "Omitted": false} {
		require.Equal(t, want, e.Eval(func(task, r string) bool { return task == "a" && r == result }), result)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"a", "a && (b || !c.Failed)", "((((", "!!a", "a.Succeeded||"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := depends.Parse(text)
		if err != nil {
			return
		}
		again, err := depends.Parse(e.String())
		require.NoError(t, err)
		require.Equal(t, e.String(), again.String())
	})
}
