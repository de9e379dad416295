package executortest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/worker"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// outputs are results and output parameters.
var outputs = []testCase{
	{"the result is stdout without its last newline", func(t *testing.T, b *bench) {
		s := b.step(t, "echo one; echo two; echo noise >&2; echo")
		s.CaptureResult = true
		require.Equal(t, "one\ntwo\n", result(t, b.succeed(t, s)))
		for _, line := range []string{"one\n", "two\n", "noise\n"} {
			require.Contains(t, logText(s), line)
		}
	}},
	{"an empty result is a result", func(t *testing.T, b *bench) {
		s := b.step(t, "true")
		s.CaptureResult = true
		require.Empty(t, result(t, b.succeed(t, s)))
	}},
	{"no result unless asked for", func(t *testing.T, b *bench) {
		require.Nil(t, b.succeed(t, b.step(t, "echo out")).Outputs.Result)
	}},
	{"a failed step has a result", func(t *testing.T, b *bench) {
		s := b.step(t, "echo why; exit 2")
		s.CaptureResult = true
		require.Equal(t, "why", result(t, b.fail(t, s, 2, "main: Error (exit code 2)")))
	}},
	{"a result is cut at 256 KiB and the log is not", func(t *testing.T, b *bench) {
		s := b.step(t, `head -c 300000 /dev/zero | tr '\0' x`)
		s.CaptureResult = true
		require.True(t, strings.Repeat("x", worker.MaxResult) == result(t, b.succeed(t, s)))
		require.Len(t, logText(s), 300000)
	}},
	{"a script's result", func(t *testing.T, b *bench) {
		s := b.of(t, script(b, "echo $((6*7))\n"))
		s.CaptureResult = true
		require.Equal(t, "42", result(t, b.succeed(t, s)))
	}},
	{"an output parameter loses one newline", func(t *testing.T, b *bench) {
		s := b.step(t, `printf 'a\nb\n\n' > /tmp/two; printf c > /tmp/none`)
		s.Template.Outputs.Parameters = []spec.Parameter{parameter("two", "/tmp/two"), parameter("none", "/tmp/none")}
		s.Template.Outputs.Parameters[1].GlobalName = "shared"
		require.Equal(t, []workflow.Param{{Name: "two", Value: "a\nb\n"}, {Name: "none", Value: "c", Global: "shared"}},
			b.succeed(t, s).Outputs.Parameters)
	}},
	{"a large output parameter", func(t *testing.T, b *bench) {
		s := b.step(t, `head -c 200000 /dev/zero | tr '\0' y > /tmp/large`)
		s.Template.Outputs.Parameters = []spec.Parameter{parameter("large", "/tmp/large")}
		value, _ := b.succeed(t, s).Outputs.Parameter("large")
		require.True(t, strings.Repeat("y", 200000) == value, "%d bytes came", len(value))
	}},
	{"an output parameter that is missing has its default", func(t *testing.T, b *bench) {
		s := b.step(t, "true")
		p := parameter("p", "/tmp/missing")
		p.ValueFrom.Default = spec.AnyStringPtr("fallback")
		s.Template.Outputs.Parameters = []spec.Parameter{p}
		require.Equal(t, []workflow.Param{{Name: "p", Value: "fallback"}}, b.succeed(t, s).Outputs.Parameters)
	}},
	{"an output parameter that is missing is an error", func(t *testing.T, b *bench) {
		s := b.step(t, "true")
		s.Template.Outputs.Parameters = []spec.Parameter{parameter("p", "/tmp/missing")}
		b.fault(t, s, worker.ClassOutput, "open /tmp/missing: no such file or directory")
	}},
	{"a failed step keeps what it wrote", func(t *testing.T, b *bench) {
		s := b.step(t, "echo v > /tmp/p; exit 4")
		s.Template.Outputs.Parameters = []spec.Parameter{parameter("p", "/tmp/p"), parameter("q", "/tmp/missing")}
		r := b.fail(t, s, 4, "main: Error (exit code 4)")
		require.Equal(t, []workflow.Param{{Name: "p", Value: "v"}}, r.Outputs.Parameters)
	}},
	{"parameters that are not read from files are left alone", func(t *testing.T, b *bench) {
		s := b.step(t, "true")
		s.Template.Outputs.Parameters = []spec.Parameter{{Name: "given", Value: spec.AnyStringPtr("x")}}
		require.Empty(t, b.succeed(t, s).Outputs.Parameters)
	}},
}

func parameter(name, path string) spec.Parameter {
	return spec.Parameter{Name: name, ValueFrom: &spec.ValueFrom{Path: path}}
}

func result(t *testing.T, r workflow.Result) string {
	t.Helper()
	require.NotNil(t, r.Outputs.Result)
	return *r.Outputs.Result
}
