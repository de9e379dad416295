package expr

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/Masterminds/sprig/v3"
)

// withheld are the functions of sprig that a workflow does not get: those that
// read the environment or the network of this process, and those that burn
// seconds of it on keys and certificates.
var withheld = map[string]bool{
	"env": true, "expandenv": true, "getHostByName": true,
	"genPrivateKey": true, "derivePassword": true, "buildCustomCert": true,
	"genCA": true, "genCAWithKey": true, "genSelfSignedCert": true, "genSelfSignedCertWithKey": true,
	"genSignedCert": true, "genSignedCertWithKey": true,
}

func sprigFunction(name string) (function, bool) {
	if withheld[name] {
		return nil, false
	}
	fn, ok := sprig.GenericFuncMap()[name]
	if !ok {
		return nil, false
	}
	return reflected(fn), true
}

// reflected calls a typed function with what an expression gives it.
func reflected(fn any) function {
	f := reflect.ValueOf(fn)
	t := f.Type()
	return func(args ...any) (result any, err error) {
		if n := t.NumIn(); len(args) != n && (!t.IsVariadic() || len(args) < n-1) {
			return nil, fmt.Errorf("wants %d arguments, got %d", n, len(args))
		}
		in := make([]reflect.Value, len(args))
		for i, arg := range args {
			want := t.In(min(i, t.NumIn()-1))
			if t.IsVariadic() && i >= t.NumIn()-1 {
				want = want.Elem()
			}
			if in[i], err = convert(arg, want); err != nil {
				return nil, fmt.Errorf("argument %d: %w", i+1, err)
			}
		}
		// Sprig was made for text/template, which recovers for it.
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("%v", r)
			}
		}()
		out := f.Call(in)
		if len(out) > 1 {
			if e, ok := out[len(out)-1].Interface().(error); ok {
				return nil, e
			}
		}
		return out[0].Interface(), nil
	}
}

func convert(arg any, want reflect.Type) (reflect.Value, error) {
	if arg == nil {
		switch want.Kind() {
		case reflect.Interface, reflect.Map, reflect.Slice, reflect.Pointer:
			return reflect.Zero(want), nil
		}
		return reflect.Value{}, errors.New("a missing value")
	}
	v := reflect.ValueOf(arg)
	if v.Type().AssignableTo(want) {
		return v, nil
	}
	numeric := func(k reflect.Kind) bool { return k >= reflect.Int && k <= reflect.Float64 }
	if numeric(v.Kind()) && numeric(want.Kind()) {
		return v.Convert(want), nil
	}
	return reflect.Value{}, fmt.Errorf("a %T where a %s is wanted", arg, want)
}

// slowHash is more than what bcrypt costs, in units: two of them are enough for one text.
const slowHash = 3_000_000

// cost is what a call does beyond walking its arguments, for the functions that
// can make much out of little.
func cost(name string, args []any) int {
	str := func(i int) int {
		if i < len(args) {
			if s, ok := args[i].(string); ok {
				return len(s) + 1
			}
		}
		return 1
	}
	num := func(i int) int {
		if i < len(args) {
			if f, err := number(args[i]); err == nil {
				return int(min(math.Abs(f), math.MaxInt32)) + 1
			}
		}
		return 1
	}
	switch name {
	case "replace":
		return replaced(args, 0, 1, 2)
	case "sprig.replace":
		return replaced(args, 2, 0, 1)
	case "repeat":
		return str(0) * num(1) / bytesPerUnit
	case "sprig.repeat", "sprig.indent", "sprig.nindent":
		return str(1) * num(0) / bytesPerUnit
	case "join":
		return length(args, 0) * str(1) / bytesPerUnit
	case "sprig.join":
		return length(args, 1) * str(0) / bytesPerUnit
	case "sprig.wrapWith":
		return str(2) * str(1) / bytesPerUnit
	case "sprig.regexReplaceAll", "sprig.mustRegexReplaceAll", "sprig.regexReplaceAllLiteral", "sprig.mustRegexReplaceAllLiteral":
		return str(1) * str(2) / bytesPerUnit
	case "sprig.printf", "sprig.dateModify", "sprig.date_modify", "sprig.mustDateModify":
		return str(0)
	case "sprig.until", "sprig.randAlphaNum", "sprig.randAlpha", "sprig.randAscii", "sprig.randNumeric", "sprig.randBytes":
		return num(0)
	case "sprig.untilStep", "sprig.seq":
		return num(0) + num(1) + num(2)
	case "sprig.bcrypt", "sprig.htpasswd":
		return slowHash
	case "sprig.uniq", "sprig.mustUniq", "sprig.without", "sprig.mustWithout":
		return length(args, 0) * length(args, 0)
	case "sprig.toDecimal", "sprig.add1f", "sprig.addf", "sprig.subf", "sprig.divf", "sprig.mulf":
		return exponents(args)
	}
	return 0
}

// replaced is the size of what strings.Replace makes.
func replaced(args []any, s, old, with int) int {
	if len(args) < 3 {
		return 0
	}
	a, okA := args[s].(string)
	b, okB := args[old].(string)
	c, okC := args[with].(string)
	if !okA || !okB || !okC {
		return 0
	}
	return (len(a) + strings.Count(a, b)*len(c)) / bytesPerUnit
}

func length(args []any, i int) int {
	if i < len(args) {
		if v := reflect.ValueOf(args[i]); v.IsValid() && v.Kind() == reflect.Slice {
			return v.Len()
		}
	}
	return 1
}

// exponents guards decimal arithmetic, which writes 1e9 out in digits: "1e999999999"
// is twelve bytes and fills the memory.
func exponents(args []any) int {
	total := 0
	for _, arg := range args {
		text := strings.ToLower(fmt.Sprint(arg))
		_, exponent, found := strings.Cut(text, "e")
		if !found {
			continue
		}
		n, err := strconv.Atoi(exponent)
		if err != nil || n > 1_000 || n < -1_000 {
			return math.MaxInt
		}
		total += max(n, -n)
	}
	return total
}
