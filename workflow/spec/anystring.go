package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// AnyString is a string that may be written as a number or boolean: `value: 3` and
// `value: "3"` are the same.
type AnyString string

// AnyStringPtr returns a pointer to s, for Parameter fields.
func AnyStringPtr(s string) *AnyString { a := AnyString(s); return &a }

// String returns the text.
func (s AnyString) String() string { return string(s) }

// MarshalJSON writes a JSON string.
func (s AnyString) MarshalJSON() ([]byte, error) { return json.Marshal(string(s)) }

// UnmarshalJSON reads a JSON string, number or boolean.
func (s *AnyString) UnmarshalJSON(data []byte) error {
	text, err := scalarText(bytes.TrimSpace(data))
	if err != nil {
		return err
	}
	*s = AnyString(text)
	return nil
}

// scalarText returns the text of a JSON scalar as Argo shows it: numbers without exponent.
func scalarText(data []byte) (string, error) {
	if len(data) == 0 {
		return "", fmt.Errorf("expected a string, number or boolean, found nothing")
	}
	switch c := data[0]; {
	case c == '"':
		var text string
		err := json.Unmarshal(data, &text)
		return text, err
	case c == 'n':
		return "", nil
	case c == 't' || c == 'f':
		return string(data), nil
	case c == '-' || (c >= '0' && c <= '9'):
		return numberText(string(data))
	case c == '[':
		return "", fmt.Errorf("expected a string, number or boolean, found a list")
	}
	return "", fmt.Errorf("expected a string, number or boolean, found a map")
}

// numberText spells a JSON number without exponent. Integers keep all their digits.
func numberText(literal string) (string, error) {
	if !bytes.ContainsAny([]byte(literal), ".eE") {
		return literal, nil
	}
	f, err := strconv.ParseFloat(literal, 64)
	if err != nil {
		return "", fmt.Errorf("reading number %s: %w", literal, err)
	}
	return strconv.FormatFloat(f, 'f', -1, 64), nil
}
