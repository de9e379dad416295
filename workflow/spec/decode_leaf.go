package spec

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

func (d *decoder) scalar(n *yaml.Node, t reflect.Type) {
	kind, text := scalarKind(-1), ""
	if n.Kind == yaml.ScalarNode {
		var err error
		if kind, text, err = resolveScalar(n); err != nil {
			d.fail(n, err.Error(), "")
			d.null()
			return
		}
	}
	var expected string
	switch t.Kind() {
	case reflect.String:
		// Numbers and booleans are taken as strings, as Argo's command line takes them.
		if kind >= 0 {
			if kind == scalarFloat {
				text, _ = numberText(text)
			}
			appendString(&d.out, text)
			return
		}
		expected = "a string"
	case reflect.Bool:
		if kind == scalarBool {
			d.out.WriteString(text)
			return
		}
		expected = "true or false"
	case reflect.Float32, reflect.Float64:
		if kind == scalarInt || kind == scalarFloat {
			d.out.WriteString(text)
			return
		}
		expected = "a number"
	default:
		if integer, ok := wholeNumber(kind, text, t); ok {
			d.out.WriteString(integer)
			return
		}
		expected = "a whole number"
		if (kind == scalarInt || kind == scalarFloat) && t.Bits() < 64 {
			expected = fmt.Sprintf("a whole number of %d bits", t.Bits())
		}
	}
	hint := ""
	if n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle != 0 {
		hint = "a value that begins with {{ needs quotes"
	}
	d.fail(n, "expected "+expected+", found "+describe(n), hint)
	d.null()
}

// wholeNumber spells a number without fraction for an integer type that can hold it.
func wholeNumber(kind scalarKind, text string, t reflect.Type) (string, bool) {
	if kind != scalarInt && kind != scalarFloat {
		return "", false
	}
	if kind == scalarFloat {
		var err error
		if text, err = numberText(text); err != nil {
			return "", false
		}
	}
	var err error
	switch t.Kind() {
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		_, err = strconv.ParseUint(text, 10, t.Bits())
	default:
		_, err = strconv.ParseInt(text, 10, t.Bits())
	}
	return text, err == nil
}

// leaf writes n as plain JSON and tries whether the type reads it.
func (d *decoder) leaf(n *yaml.Node, t reflect.Type) {
	start, before := d.out.Len(), len(d.errs)
	d.generic(n)
	if len(d.errs) > before || d.stop || t.Kind() == reflect.Interface {
		return
	}
	if err := json.Unmarshal(d.out.Bytes()[start:], reflect.New(t).Interface()); err != nil {
		d.fail(n, leafMessage(n, t, err), "")
		d.out.Truncate(start)
		d.null()
	}
}

func leafMessage(n *yaml.Node, t reflect.Type, err error) string {
	expected := map[string]string{
		"resource.Quantity":  "a quantity such as 500m or 1Gi",
		"intstr.IntOrString": "a whole number or a string",
		"v1.Time":            "a time such as 2006-01-02T15:04:05Z",
		"v1.MicroTime":       "a time such as 2006-01-02T15:04:05.000000Z",
		"v1.Duration":        "a duration such as 1h30m",
		"spec.AnyString":     "a string, number or boolean",
		"spec.Amount":        "a number",
		"[]uint8":            "base64 text",
	}[t.String()]
	if expected == "" {
		return strings.TrimPrefix(err.Error(), "json: ")
	}
	return "expected " + expected + ", found " + describe(n)
}
