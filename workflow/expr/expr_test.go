package expr_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/workflow/expr"
)

// pendingScope knows that some names will come.
type pendingScope map[string]bool

func (p pendingScope) Lookup(name string) (any, expr.State) {
	if p[name] {
		return nil, expr.Pending
	}
	return nil, expr.Unknown
}

func scope() expr.Scope {
	return expr.Chain(
		pendingScope{"retries": true, "steps.later.outputs.result": true},
		expr.Map{
			"item":                                "a",
			"workflow.name":                       "wf",
			"workflow.parameters.json":            `[{"value":"x"},{"value":2}]`,
			"inputs.parameters.n":                 "7",
			"inputs.parameters.my-param":          "dash",
			"inputs.parameters.a":                 "from a",
			"inputs.parameters.quote":             "say \"hi\"\n\tC:\\dir {{item}}",
			"steps.skipped.outputs.result":        nil,
			"tasks.split.outputs.result":          "S",
			"tasks.map.outputs.result":            "M",
			"tasks.loop.outputs.parameters":       `[{"x":"1"}]`,
			"tasks.loop.outputs.parameters.x":     `["1"]`,
			"duration":                            "12",
			"list":                                []any{1, "two", map[string]any{"k": "<v>"}},
			"thing":                               map[string]any{"k": "v", "n": 3},
			"flag":                                true,
			"cronworkflow.lastScheduledTime":      time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
			"workflow.creationTimestamp":          time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
			"steps.producer.outputs.parameters.m": "",
		},
	)
}

func TestSubstituteFillsTags(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, in, want string }{
		{"plain text", "no tags } } {", "no tags } } {"},
		{"simple", "x{{item}}y{{workflow.name}}", "xaywf"},
		{"blanks around the name", "{{ item }}", "a"},
		{"value is not scanned again", "{{inputs.parameters.quote}}", "say \"hi\"\n\tC:\\dir {{item}}"},
		{"list as JSON", "{{list}}", `[1,"two",{"k":"<v>"}]`},
		{"bool as JSON", "{{flag}}", "true"},
		{"nested name", "{{inputs.parameters.{{item}}}}", "from a"},
		{"nested expression", "{{inputs.parameters.{{=item}}}}", "from a"},
		{"empty value is not absent", "[{{steps.producer.outputs.parameters.m}}]", "[]"},
		{"expression string", "{{=item}}", "a"},
		{"expression number", "{{=asInt(inputs.parameters.n) * 10}}", "70"},
		{"expression float", "{{=asFloat(inputs.parameters.n) / 2}}", "3.5"},
		{"large float stays readable", "{{=asFloat('1000000')}}", "1000000"},
		{"expression bool", "{{=item == 'a'}}", "true"},
		{"hyphen in brackets", "{{=inputs.parameters['my-param']}}", "dash"},
		{"predicate with braces", "{{=toJson(filter([1, 3], {# > 1}))}}", "[3]"},
		{"map ends at its own brace", `{{={"a": {"b": 1}}}}`, `{"a":{"b":1}}`},
		{"braces in a string", "{{='}}' + item}}", "}}a"},
		{"names like builtins", "{{=tasks.split.outputs.result + tasks.map.outputs.result}}", "SM"},
		{"root like a builtin", "{{=asInt(duration) + 1}}", "13"},
		{"both value and branch", "{{=tasks.loop.outputs.parameters}} {{=tasks.loop.outputs.parameters.x}}", `[{"x":"1"}] ["1"]`},
		{"whole branch", "{{=inputs.parameters[item]}}", "from a"},
		{"member of a value", "{{=thing.k}} {{=thing['n'] + 1}} {{=list[0]}}", "v 4 1"},
		{"let does not clash", "{{=let x = asInt('2'); x * x}}", "4"},
		{"ternary", `{{= item == "a" ? "yes" : "no" }}`, "yes"},
		{"jsonpath", "{{=jsonpath(workflow.parameters.json, '$[0].value')}}", "x"},
		{"jsonpath filter", "{{=jsonpath(workflow.parameters.json, '$[?(@.value == 2)].value')}}", "[2]"},
		{"jsonpath wildcard", "{{=jsonpath(workflow.parameters.json, '$[*].value')}}", `["x",2]`},
		{"sprig", `{{=sprig.replace("bar", "baz", "foo bar")}}`, "foo baz"},
		{"sprig date", "{{=sprig.date('2006', workflow.creationTimestamp)}}", "2026"},
		{"sprig list", `{{=toJson(sprig.splitList(",", "a,b"))}}`, `["a","b"]`},
		{"sprig dict get", "{{=sprig.get(thing, 'k')}}", "v"},
		{"nested sprig", "{{=sprig.trim(sprig.upper(' x '))}}", "X"},
		{"pipe", "{{=item | upper() | lower()}}", "a"},
		{"method of a time", "{{=cronworkflow.lastScheduledTime.Year()}}", "2026"},
		{"fallback of an absent output", "{{=steps.skipped.outputs.result ?? 'none'}}", "none"},
		{"fallback not used for empty", "{{=steps.producer.outputs.parameters.m ?? 'none'}}", ""},
		{"fallback of an unknown name", "{{=inputs.parameters.nope ?? 'none'}}", "none"},
		{"absent is nil", "{{=steps.skipped.outputs.result == nil}}", "true"},
		{"replace join repeat", "{{=replace('aXb', 'X', '-') + join(['p', 'q'], '+') + repeat('z', 2)}}", "a-bp+qzz"},
		{"group by", "{{=groupBy([1, 2, 3], # % 2)}}", `{"0":[2],"1":[1,3]}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := expr.Substitute(tc.in, scope(), expr.Strict)
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
			if !strings.Contains(tc.in, "nope") {
				got, err = expr.Substitute(tc.in, scope(), expr.Lenient)
				require.NoError(t, err)
				require.Equal(t, tc.want, got)
			}
		})
	}
}

func TestLenientLeavesWhatIsNotKnown(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"{{nope}}", "{{ nope }}", "{{}}", "{{ .State }}", "{{retries}}", "{{=retries}}",
		"{{=asInt(retries) + 1}}", "{{=nope.x}}", "{{=steps.later.outputs.result ?? 'x'}}",
		"{{steps.later.outputs.result}}", "{{inputs.parameters.{{retries}}}}", "open {{ end", "{{= open",
		"{{=item == 'a' ? retries : 1}}", "{{{x}}}",
	} {
		got, err := expr.Substitute(in, scope(), expr.Lenient)
		require.NoError(t, err, in)
		require.Equal(t, in, got)
	}
	got, err := expr.Substitute("{{inputs.parameters.{{thing}}}} {{ open {{item}}", scope(), expr.Lenient)
	require.NoError(t, err)
	require.Equal(t, `{{inputs.parameters.{"k":"v","n":3}}} {{ open a`, got)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, in string
		mode     expr.Mode
		is       error
		text     string
	}{
		{"unknown", "{{nope}}", expr.Strict, expr.ErrUnresolved, "failed to resolve {{nope}}"},
		{"unknown in expression", "{{=nope.x + 1}}", expr.Strict, expr.ErrUnresolved, "failed to resolve {{nope.x}}"},
		{"misspelt below a branch", "{{=inputs.parametres.n}}", expr.Strict, expr.ErrUnresolved, "inputs.parametres.n"},
		{"pending", "{{retries}}", expr.Strict, expr.ErrPending, "failed to resolve"},
		{"pending is unresolved", "{{=retries}}", expr.Strict, expr.ErrUnresolved, "failed to resolve"},
		{"absent", "{{steps.skipped.outputs.result}}", expr.Lenient, expr.ErrAbsent, "absent optional"},
		{"absent in expression", "{{=steps.skipped.outputs.result}}", expr.Lenient, expr.ErrAbsent, "absent optional"},
		{"absent in a function", "{{=asInt(steps.skipped.outputs.result)}}", expr.Strict, expr.ErrAbsent, "absent optional"},
		{"unclosed", "ab{{item", expr.Strict, expr.ErrMalformed, "offset 2"},
		{"syntax", "{{=1 +}}", expr.Lenient, expr.ErrMalformed, "unexpected token"},
		{"no such function", "{{=foo(1)}}", expr.Lenient, expr.ErrMalformed, `no function "foo"`},
		{"no environment", "{{=sprig.env('HOME')}}", expr.Lenient, expr.ErrMalformed, `no function "sprig.env"`},
		{"no network", "{{=sprig.getHostByName('x')}}", expr.Lenient, expr.ErrMalformed, "no function"},
		{"not a number", "{{=asInt('x')}}", expr.Strict, nil, `"x" is not an integer`},
		{"nil", "{{=nil}}", expr.Strict, nil, "nil"},
		{"jsonpath of nothing", "{{=jsonpath('{}', '$.a')}}", expr.Strict, nil, "nothing at"},
		{"jsonpath of no JSON", "{{=jsonpath('x', '$.a')}}", expr.Strict, nil, "JSON"},
		{"sprig arguments", "{{=sprig.trim(5)}}", expr.Strict, nil, "a int where a string is wanted"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := expr.Substitute(tc.in, scope(), tc.mode)
			require.ErrorContains(t, err, tc.text)
			if tc.is != nil {
				require.ErrorIs(t, err, tc.is)
			}
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestExpressionsCannotHang(t *testing.T) {
	t.Parallel()
	shared := "let a0 = ['x'];"
	names := "a0"
	for i := range 60 {
		next := "b" + strings.Repeat("q", i)
		shared += "let " + next + " = [" + names + ", " + names + "];"
		names = next
	}
	for name, text := range map[string]string{
		"nested predicates":    "let a = 1..1000; all(a, {all(a, {all(a, {all(a, {true})})})})",
		"huge range":           "1..1000000000",
		"doubling string":      "reduce(1..100, #acc + #acc, 'xxxxxxxx')",
		"doubling replace":     "reduce(1..100, replace(#acc, 'x', 'xx'), 'xxxx')",
		"sprig replace":        "reduce(1..100, sprig.replace('x', 'xx', #acc), 'xxxx')",
		"repeat of repeat":     "repeat(repeat('x', 100000), 100000)",
		"sprig repeat":         "sprig.repeat(2000000000, 'x')",
		"sprig indent":         "sprig.indent(2000000000, 'x')",
		"sprig until":          "sprig.until(2000000000)",
		"sprig untilStep":      "sprig.untilStep(0, 2000000000, 1)",
		"sprig random":         "sprig.randAlpha(2000000000)",
		"hashes in a loop":     "all(1..1000, sprig.bcrypt('x') != '')",
		"decimal exponent":     "sprig.addf('1e999999999', 1)",
		"decimal exponent neg": "sprig.addf('1e-999999999', 1)",
		"shared parts to JSON": shared + "toJson(" + names + ")",
		"shared parts equal":   shared + names + " == " + names,
		"shared parts result":  shared + names,
		"shared parts flatten": shared + "flatten(" + names + ")",
		"shared parts string":  shared + "string(" + names + ")",
		"cycle":                "let d = sprig.dict('a', 1); sprig.set(d, 'b', d)",
		"descents":             "jsonpath('[[[[1]]]]', '$..*..*..*..*')",
		"join of large":        "join(map(1..100000, 'xxxxxxxxxxxxxxxxxxxxxxxx'), repeat('y', 100000))",
		"too long":             "'" + strings.Repeat("x", 70_000) + "'",
		"too many nodes":       "1" + strings.Repeat("+1", 10_000),
		"deep parentheses":     strings.Repeat("(", 60_000),
		"deep nots":            strings.Repeat("!", 60_000) + "true",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := expr.Eval(text, scope())
			require.Error(t, err)
		})
	}
}

func TestEvaluationLeavesTheScopeAlone(t *testing.T) {
	t.Parallel()
	item := map[string]any{"k": "v"}
	_, err := expr.Eval("sprig.set(item, 'k', 'changed')", expr.Map{"item": item})
	require.NoError(t, err)
	require.Equal(t, map[string]any{"k": "v"}, item)
}

func TestEvalBool(t *testing.T) {
	t.Parallel()
	s := expr.Map{"lastRetry.exitCode": "2", "lastRetry.status": "Failed"}
	ok, err := expr.EvalBool(`asInt(lastRetry.exitCode) >= 2 && lastRetry.status != "Error"`, s)
	require.NoError(t, err)
	require.True(t, ok)
	_, err = expr.EvalBool(`lastRetry.exitCode`, s)
	require.ErrorContains(t, err, "not a boolean")
	_, err = expr.EvalBool(`lastRetry.exitcode == ""`, s)
	require.ErrorIs(t, err, expr.ErrUnresolved)
}

func TestSubstituteJSONEscapesAndUnescapes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, in, want string }{
		{"value with quotes", `{"a":"{{inputs.parameters.quote}}"}`, `{"a":"say \"hi\"\n\tC:\\dir {{item}}"}`},
		{"escaped expression", `{"a":"{{=inputs.parameters[\"my-param\"]}}"}`, `{"a":"dash"}`},
		{"key", `{"{{item}}":1}`, `{"a":1}`},
		{"escaped braces", `{"a":"\u007b\u007Bitem}}"}`, `{"a":"a"}`},
		{"untouched bytes", `{ "a" : "\u003c", "b":[1,"{{item}}" ] }`, `{ "a" : "\u003c", "b":[1,"a" ] }`},
		{"backslash before quote", `{"a":"\\","b":"{{item}}"}`, `{"a":"\\","b":"a"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := expr.SubstituteJSON([]byte(tc.in), scope(), expr.Strict)
			require.NoError(t, err)
			require.Equal(t, tc.want, string(got))
			require.True(t, json.Valid(got))
		})
	}
	_, err := expr.SubstituteJSON([]byte(`{"a":`), scope(), expr.Strict)
	require.ErrorIs(t, err, expr.ErrMalformed)
}

func TestReferences(t *testing.T) {
	t.Parallel()
	require.Equal(t,
		[]string{"item", "a.b-c.d", "steps.x.outputs.result", "retries"},
		expr.References("{{item}} {{=a['b-c'].d + asInt(steps.x.outputs.result)}} {{ item }} {{=sprig.int(retries)}}"))
	require.Equal(t, []string{"t", "l", "k"}, expr.References("{{=t.Year()}} {{=filter(l, # == k)}} {{=let z = 1; z}}"))
	require.Equal(t, []string{"inner"}, expr.References("{{outer.{{inner}}}}"))
	require.Equal(t, []string{"a.b", "c"}, expr.References("{{=a?.b ?? c}} {{=broken +}}"))
	require.Empty(t, expr.References("{{ open"))
	require.Equal(t, []string{"a.b", "item"}, expr.ReferencesJSON([]byte(`{"x":"{{=a[\"b\"]}}","{{item}}":2}`)))
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, ok := range []string{"", "{{x}}", "{{=a.b + 1}}", "{{=jsonpath(x, '$.a') ?? sprig.upper(y)}}", "}}", "{{=f.g.Seconds() > 1}}",
		"{{= cronworkflow.lastScheduledTime == nil || (now() - cronworkflow.lastScheduledTime).Seconds() > 360 }}"} {
		require.NoError(t, expr.Check(ok), ok)
	}
	for in, text := range map[string]string{
		"abc {{x":            "offset 4",
		"{{x}} {{=1 +}}":     "offset 6",
		"{{a{{=}}}}":         "offset 3",
		"{{=foo(1)}}":        "no function",
		"{{={{x}}}}":         "offset 0",
		"{{=len(1, 2)}}":     "offset 0",
		"{{=sprig.nope(1)}}": "sprig.nope",
	} {
		err := expr.Check(in)
		require.ErrorIs(t, err, expr.ErrMalformed, in)
		require.ErrorContains(t, err, text, in)
	}
	require.NoError(t, expr.CheckExpression("a.b == 1"))
	require.ErrorIs(t, expr.CheckExpression("a.b =="), expr.ErrMalformed)
}

func TestWhen(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{
		"tails == heads": false, "heads == heads": true, `"a b" == "a b"`: true, "'x' != y": true,
		"3 > 2": true, "1 != 1 && 2 != 1": false, "1 == 1 || 2 == 1": true, "!(1 == 1)": false,
		"true": true, "false": false, "True == False": false, "2 + 3 * 2 == 8": true,
		`"foobar" =~ "^foo"`: true, "foo !~ bar": true, "a in ('a', 'b')": true, "c in ('a', 'b')": false,
		"Succeeded == Succeeded": true, "(1 == 1 && 2 == 2) || false": true, `"" == ""`: true,
		`"running" != "failed"`: true, "YES == YES": true, "5 % 2 == 1": true,
	} {
		got, err := expr.When(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
	for in, text := range map[string]string{
		"a b == c":                         "Invalid 'when' expression 'a b == c': Cannot transition",
		`"open == c`:                       "Invalid 'when' expression",
		"{} == 1":                          "hint: try wrapping",
		"1 + 1":                            "Expected boolean evaluation for '1 + 1'. Got 2",
		"":                                 "",
		strings.Repeat("(", 100_000) + "1": "operators",
		strings.Repeat("-", 100_000) + "1": "operators",
	} {
		_, err := expr.When(in)
		require.ErrorContains(t, err, text, in)
	}
}

func TestCheckWhen(t *testing.T) {
	t.Parallel()
	for _, ok := range []string{"{{a}} == heads", "{{a}} {{op}} {{b}}", "1 == 1", `"{{a}}" != "x"`, "{{=a == 'b'}}", "{{a}} in ({{list}})"} {
		require.NoError(t, expr.CheckWhen(ok), ok)
	}
	for _, bad := range []string{"{{a", `"{{a}} == x`, "({{a}} == x", "{{=1 +}}", "1 +", "a b"} {
		require.Error(t, expr.CheckWhen(bad), bad)
	}
}
