package expr_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"argosy/workflow/expr"
)

func seeds(f *testing.F, extra ...string) {
	for _, s := range append(extra,
		"", "{{", "}}", "{{}}", "{{item}}", "{{=item}}", "{{={{item}}}}", "{{inputs.parameters.{{item}}}}",
		"{{=toJson(filter([1, 3], {# > 1}))}}", `{{=inputs.parameters["my-param"]}}`, "{{='}}'}}", "{{=`}}`",
		"{{{x}}}", "{{ a {{ b {{=c}} }}", "{{=sprig.upper(item)}}", "{{=let a = 1; a}}", "{{retries}}{{nope}}",
	) {
		f.Add(s)
	}
}

func FuzzSubstitute(f *testing.F) {
	seeds(f)
	s := scope()
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := expr.Substitute(text, s, expr.Strict); err != nil {
			require.NotEmpty(t, err.Error())
		}
		got, err := expr.Substitute(text, pendingEverything{}, expr.Lenient)
		if err == nil && !strings.Contains(text, "{{=") {
			require.Equal(t, text, got, "what waits is left as it is")
		}
		if expr.Check(text) == nil {
			require.NotErrorIs(t, err, expr.ErrMalformed, "checked text is not malformed later")
		}
		expr.References(text)
	})
}

// pendingEverything makes every tag wait.
type pendingEverything struct{}

func (pendingEverything) Lookup(string) (any, expr.State) { return nil, expr.Pending }

func FuzzSubstituteJSON(f *testing.F) {
	seeds(f, `{"a":"{{item}}","{{list}}":["{{=item}}"]}`, `"\u007b{item}}"`)
	s := scope()
	f.Fuzz(func(t *testing.T, text string) {
		docs := []string{text}
		if quoted, err := json.Marshal(map[string]string{"k": text}); err == nil && utf8.ValidString(text) {
			docs = append(docs, string(quoted))
		}
		for _, doc := range docs {
			for _, m := range []expr.Mode{expr.Strict, expr.Lenient} {
				got, err := expr.SubstituteJSON([]byte(doc), s, m)
				if err == nil {
					require.True(t, json.Valid(got), "%q became %q", doc, got)
				}
			}
			expr.ReferencesJSON([]byte(doc))
		}
	})
}

func FuzzEval(f *testing.F) {
	seeds(f, "1..10", "reduce(1..9, #acc + #)", "groupBy(list, type(#))", "a?.b ?? 1", "sprig.cat(1, 'x')",
		"jsonpath(workflow.parameters.json, '$..value')", "thing.k | upper()", "not true or 1 in [1]", "$env.item", "item[0:1]")
	s := scope()
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "now") || strings.Contains(text, "rand") {
			return
		}
		value, err := expr.Eval(text, s)
		if err == nil {
			require.NotNil(t, value)
		}
		_ = expr.CheckExpression(text)
	})
}

func FuzzWhen(f *testing.F) {
	seeds(f, "a == b", `"x" =~ "^x"`, "a in ('a', b)", "!(1 > 2) && true", "1 ?? 2", "2020-01-01 == 2020-01-01", "a.B == a.B", "[a b] == c", "1 ? 2 : 3")
	f.Fuzz(func(t *testing.T, text string) {
		start := time.Now()
		defer func() { require.Less(t, time.Since(start), 5*time.Second) }()
		_, _ = expr.When(text)
		_ = expr.CheckWhen(text)
	})
}

func BenchmarkSubstituteSimple(b *testing.B) {
	s := scope()
	for b.Loop() {
		if _, err := expr.Substitute("echo {{item}} of {{workflow.name}}", s, expr.Strict); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSubstituteExpression(b *testing.B) {
	s := scope()
	for b.Loop() {
		if _, err := expr.Substitute("{{=asInt(inputs.parameters.n) * 10}}", s, expr.Strict); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSubstituteJSON(b *testing.B) {
	s := scope()
	doc := []byte(`{"container":{"image":"busybox","command":["sh","-c"],"args":["echo {{item}} {{inputs.parameters.n}}"]},"name":"x"}`)
	for b.Loop() {
		if _, err := expr.SubstituteJSON(doc, s, expr.Strict); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWhen(b *testing.B) {
	for b.Loop() {
		if _, err := expr.When("heads == heads && 3 > 2"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReferences(b *testing.B) {
	for b.Loop() {
		expr.References("{{item}} {{=steps.a.outputs.result + inputs.parameters['my-param']}}")
	}
}
