package expr

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// SubstituteJSON fills the tags inside the strings (values and keys) of a JSON
// document. Tags are read from the decoded string and values are escaped as
// JSON, so that the result is valid JSON whatever the values hold.
func SubstituteJSON(doc []byte, s Scope, m Mode) ([]byte, error) {
	if !json.Valid(doc) {
		return nil, fmt.Errorf("substituting variables: not valid JSON: %w", ErrMalformed)
	}
	f := NewFiller(s, m)
	var out []byte
	copied := 0
	err := eachString(doc, func(start, end int, text string) error {
		filled, err := f.Fill(text)
		if err != nil {
			return err
		}
		if filled == text {
			return nil
		}
		out = append(out, doc[copied:start]...)
		out = appendString(out, filled)
		copied = end
		return nil
	})
	if err != nil {
		return nil, err
	}
	if copied == 0 {
		return doc, nil
	}
	return append(out, doc[copied:]...), nil
}

// ReferencesJSON is [References] of all strings of a JSON document.
func ReferencesJSON(doc []byte) []string {
	var refs names
	if json.Valid(doc) {
		_ = eachString(doc, func(_, _ int, text string) error {
			parts, _ := scan(text)
			refs.addParts(parts)
			return nil
		})
	}
	return refs.list
}

// eachString visits the strings of a valid document that may hold a tag.
func eachString(doc []byte, visit func(start, end int, text string) error) error {
	for i := 0; i < len(doc); i++ {
		if doc[i] != '"' {
			continue
		}
		end := i + 1 + stringEnd(doc[i+1:], '"') + 1
		raw := doc[i:end]
		if bytes.Contains(raw, []byte("{{")) || bytes.Contains(bytes.ToLower(raw), []byte(`\u007b`)) {
			var text string
			if err := json.Unmarshal(raw, &text); err != nil {
				return fmt.Errorf("reading a string at offset %d: %w", i, err)
			}
			if err := visit(i, end, text); err != nil {
				return err
			}
		}
		i = end - 1
	}
	return nil
}

func appendString(out []byte, s string) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	return append(out, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}
