package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// scalarKind is what a YAML scalar means.
type scalarKind int

const (
	scalarString scalarKind = iota
	scalarInt
	scalarFloat
	scalarBool
	scalarNull
)

// resolveScalar returns what a scalar means and its text: of a number its JSON, of a boolean
// true or false. It resolves as sigs.k8s.io/yaml does, which is YAML 1.1: plain yes, no, on,
// off, y and n are booleans, dates are strings.
func resolveScalar(n *yaml.Node) (scalarKind, string, error) {
	const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle | yaml.TaggedStyle
	switch tag := n.ShortTag(); tag {
	case "!!null":
		return scalarNull, "null", nil
	case "!!bool":
		var b bool
		if err := n.Decode(&b); err != nil {
			return 0, "", fmt.Errorf("%q is not a boolean", n.Value)
		}
		return scalarBool, strconv.FormatBool(b), nil
	case "!!int", "!!float":
		return resolveNumber(n)
	case "!!binary":
		return 0, "", fmt.Errorf("the tag !!binary is not supported")
	case "!!str":
		if n.Style&quoted == 0 {
			switch n.Value {
			case "y", "Y", "yes", "Yes", "YES", "on", "On", "ON":
				return scalarBool, "true", nil
			case "n", "N", "no", "No", "NO", "off", "Off", "OFF":
				return scalarBool, "false", nil
			}
		}
	}
	return scalarString, n.Value, nil
}

func resolveNumber(n *yaml.Node) (scalarKind, string, error) {
	if plainInteger(n.Value) {
		return scalarInt, n.Value, nil
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return 0, "", fmt.Errorf("%q is not a number", n.Value)
	}
	switch x := v.(type) {
	case int, int64, uint64:
		return scalarInt, fmt.Sprint(x), nil
	case float64:
		if math.IsInf(x, 0) || math.IsNaN(x) {
			return 0, "", fmt.Errorf("%s is not a number that JSON knows", n.Value)
		}
		text, err := json.Marshal(x)
		return scalarFloat, string(text), err
	}
	return 0, "", fmt.Errorf("%q is not a number", n.Value)
}

// plainInteger says that s is an integer as JSON spells it, and fits in 64 bits.
func plainInteger(s string) bool {
	if len(s) > 0 && s[0] == '-' {
		s = s[1:]
	}
	if s == "" || len(s) > 18 || (s[0] == '0' && len(s) > 1) {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// describe says what a node is, for "expected ..., found ...".
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return describe(n.Alias)
	}
	kind, text, err := resolveScalar(n)
	if err != nil {
		return strconv.Quote(shorten(n.Value))
	}
	switch kind {
	case scalarInt, scalarFloat:
		return "the number " + text
	case scalarBool:
		return "the boolean " + text
	case scalarNull:
		return "nothing"
	}
	return "the string " + strconv.Quote(shorten(text))
}

func shorten(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	r := []rune(s)
	return string(r[:min(most, len(r))]) + "..."
}

// appendString writes s as JSON without escaping <, > and &.
func appendString(buf *bytes.Buffer, s string) {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			text, err := compactJSON(s)
			if err != nil {
				text = []byte(`""`)
			}
			buf.Write(text)
			return
		}
	}
	buf.WriteByte('"')
	buf.WriteString(s)
	buf.WriteByte('"')
}
