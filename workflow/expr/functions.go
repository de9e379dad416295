package expr

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/ohler55/ojg/jp"
)

type function = func(args ...any) (any, error)

// functions are those that Argo adds to expr-lang's, and three of expr-lang's
// own whose results can be far larger than their arguments (see cost).
var functions = map[string]function{
	"asInt":    one(asInt),
	"asFloat":  one(asFloat),
	"toJson":   one(func(v any) (any, error) { return encode(v) }),
	"jsonpath": jsonPath,
	"replace":  replace,
	"repeat":   repeat,
	"join":     join,
}

// metered charges a call for its arguments and its result before it is made.
func (b *budget) metered(name string, fn function) function {
	return func(args ...any) (any, error) {
		for _, arg := range args {
			if err := b.charge(arg); err != nil {
				return nil, err
			}
		}
		if err := b.spend(cost(name, args)); err != nil {
			return nil, err
		}
		value, err := fn(args...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return value, nil
	}
}

func one(fn func(any) (any, error)) function {
	return func(args ...any) (any, error) {
		if len(args) != 1 {
			return nil, fmt.Errorf("wants one argument, got %d", len(args))
		}
		return fn(args[0])
	}
}

func asInt(v any) (any, error) {
	switch v := v.(type) {
	case int:
		return v, nil
	case string:
		n, err := strconv.Atoi(strings.TrimSpace(v))
		if err != nil {
			return nil, fmt.Errorf("%q is not an integer", shorten(v))
		}
		return n, nil
	}
	f, err := number(v)
	if err != nil {
		return nil, err
	}
	if math.IsNaN(f) || math.Abs(f) >= 1<<63 {
		return nil, fmt.Errorf("%v is not an integer", f)
	}
	return int(f), nil
}

func asFloat(v any) (any, error) { return number(v) }

func number(v any) (float64, error) {
	switch v := v.(type) {
	case nil:
		return 0, errors.New("a missing value is not a number")
	case string:
		f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		if err != nil {
			return 0, fmt.Errorf("%q is not a number", shorten(v))
		}
		return f, nil
	}
	r := reflect.ValueOf(v)
	switch {
	case r.CanInt():
		return float64(r.Int()), nil
	case r.CanUint():
		return float64(r.Uint()), nil
	case r.CanFloat():
		return r.Float(), nil
	}
	return 0, fmt.Errorf("a %T is not a number", v)
}

// maxDescents bounds `..` in a path: each multiplies the work by the document.
const maxDescents = 2

// jsonPath takes what a path finds in a JSON text (or a value that is parsed
// already). A path that names one place gives the value there and must find
// one; a path with wildcards, slices or filters gives a list.
func jsonPath(args ...any) (any, error) {
	if len(args) != 2 {
		return nil, fmt.Errorf("wants a document and a path, got %d arguments", len(args))
	}
	path, ok := args[1].(string)
	if !ok {
		return nil, fmt.Errorf("the path is a %T, not a string", args[1])
	}
	doc := args[0]
	if text, ok := doc.(string); ok {
		var err error
		if doc, err = decode(text); err != nil {
			return nil, err
		}
	}
	x, err := jp.ParseString(path)
	if err != nil {
		return nil, fmt.Errorf("reading the path %q: %w", shorten(path), err)
	}
	definite, descents := true, 0
	for _, step := range x {
		switch step.(type) {
		case jp.Root, jp.At, jp.Child, jp.Nth, jp.Bracket:
		case jp.Descent:
			definite = false
			descents++
		default:
			definite = false
		}
	}
	if descents > maxDescents {
		return nil, fmt.Errorf("more than %d \"..\" in the path %q: %w", maxDescents, shorten(path), ErrBudget)
	}
	found := x.Get(doc)
	switch {
	case !definite:
		if found == nil {
			found = []any{}
		}
		return found, nil
	case len(found) == 0:
		return nil, fmt.Errorf("nothing at %q", shorten(path))
	}
	return found[0], nil
}

// decode reads JSON, with whole numbers as int so that they stay exact.
func decode(text string) (any, error) {
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.UseNumber()
	var doc any
	if err := dec.Decode(&doc); err != nil {
		return nil, fmt.Errorf("reading the JSON document: %w", err)
	}
	if dec.More() {
		return nil, errors.New("reading the JSON document: more than one value")
	}
	return plainNumbers(doc), nil
}

func plainNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.Atoi(v.String()); err == nil {
			return n
		}
		f, _ := v.Float64() // out of range is infinity, as everywhere in JSON
		return f
	case []any:
		for i := range v {
			v[i] = plainNumbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plainNumbers(v[k])
		}
	}
	return v
}

func replace(args ...any) (any, error) {
	if len(args) != 3 && len(args) != 4 {
		return nil, fmt.Errorf("wants 3 or 4 arguments, got %d", len(args))
	}
	s, old, with, err := threeStrings(args)
	if err != nil {
		return nil, err
	}
	n := -1
	if len(args) == 4 {
		var ok bool
		if n, ok = args[3].(int); !ok {
			return nil, fmt.Errorf("the count is a %T, not an integer", args[3])
		}
	}
	return strings.Replace(s, old, with, n), nil
}

func threeStrings(args []any) (a, b, c string, err error) {
	for i, to := range []*string{&a, &b, &c} {
		s, ok := args[i].(string)
		if !ok {
			return "", "", "", fmt.Errorf("argument %d is a %T, not a string", i+1, args[i])
		}
		*to = s
	}
	return a, b, c, nil
}

func repeat(args ...any) (any, error) {
	if len(args) != 2 {
		return nil, fmt.Errorf("wants 2 arguments, got %d", len(args))
	}
	s, isString := args[0].(string)
	n, isInt := args[1].(int)
	if !isString || !isInt || n < 0 {
		return nil, errors.New("wants a string and a count")
	}
	return strings.Repeat(s, n), nil
}

func join(args ...any) (any, error) {
	if len(args) != 1 && len(args) != 2 {
		return nil, fmt.Errorf("wants 1 or 2 arguments, got %d", len(args))
	}
	separator := ""
	if len(args) == 2 {
		var ok bool
		if separator, ok = args[1].(string); !ok {
			return nil, fmt.Errorf("the separator is a %T, not a string", args[1])
		}
	}
	list := reflect.ValueOf(args[0])
	if !list.IsValid() || list.Kind() != reflect.Slice {
		return nil, fmt.Errorf("a %T is not a list", args[0])
	}
	words := make([]string, list.Len())
	for i := range words {
		word, ok := list.Index(i).Interface().(string)
		if !ok {
			return nil, fmt.Errorf("element %d is a %T, not a string", i, list.Index(i).Interface())
		}
		words[i] = word
	}
	return strings.Join(words, separator), nil
}
