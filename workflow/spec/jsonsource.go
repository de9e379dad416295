package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// jsonReader builds the same syntax tree from JSON that the YAML library builds from YAML.
type jsonReader struct {
	data   []byte
	dec    *json.Decoder
	offset int // of the place that line and start describe
	line   int
	start  int // offset of the line's first byte
}

// jsonNodes returns the tree of each JSON object of a file.
func jsonNodes(file string, data []byte) ([]*yaml.Node, *Error) {
	r := &jsonReader{data: data, dec: json.NewDecoder(bytes.NewReader(data)), line: 1}
	r.dec.UseNumber()
	var trees []*yaml.Node
	for {
		n, err := r.value(0)
		if errors.Is(err, io.EOF) {
			return trees, nil
		}
		if err != nil {
			return nil, r.failed(file, err)
		}
		trees = append(trees, n)
	}
}

func (r *jsonReader) failed(file string, err error) *Error {
	at := int(r.dec.InputOffset())
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		// The offset is that of the wrong character, or the one after it.
		at = int(syntax.Offset)
		if at >= len(r.data) || !strings.HasPrefix(syntax.Error(), fmt.Sprintf("invalid character %q", r.data[at])) {
			at = max(0, at-1)
		}
	}
	line, col := lineColumn(r.data, at)
	message := strings.TrimPrefix(err.Error(), "json: ")
	if errors.Is(err, io.ErrUnexpectedEOF) {
		message = "the file ends in the middle of a value"
	}
	return &Error{File: file, Line: line, Column: col, Message: "not valid JSON: " + message}
}

// next returns the next token and a node at its place.
func (r *jsonReader) next() (json.Token, *yaml.Node, error) {
	at := int(r.dec.InputOffset())
	for at < len(r.data) && strings.IndexByte(" \t\r\n,:", r.data[at]) >= 0 {
		at++
	}
	token, err := r.dec.Token()
	if err != nil {
		return nil, nil, err
	}
	for ; r.offset < at; r.offset++ {
		if r.data[r.offset] == '\n' {
			r.line, r.start = r.line+1, r.offset+1
		}
	}
	return token, &yaml.Node{Kind: yaml.ScalarNode, Line: r.line, Column: at - r.start + 1}, nil
}

func (r *jsonReader) value(depth int) (*yaml.Node, error) {
	token, n, err := r.next()
	if err != nil {
		return nil, err
	}
	return r.finish(token, n, depth)
}

func (r *jsonReader) finish(token json.Token, n *yaml.Node, depth int) (*yaml.Node, error) {
	switch v := token.(type) {
	case json.Delim:
		if depth > maxDepth {
			return nil, errTooDeep
		}
		n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		if v == '{' {
			n.Kind, n.Tag = yaml.MappingNode, "!!map"
		}
		for r.dec.More() {
			child, err := r.value(depth + 1)
			if err != nil {
				return nil, unexpectedEnd(err)
			}
			n.Content = append(n.Content, child)
		}
		_, _, err := r.next() // the closing bracket
		return n, unexpectedEnd(err)
	case string:
		n.Tag, n.Value, n.Style = "!!str", v, yaml.DoubleQuotedStyle
	case json.Number:
		n.Value = v.String() // without a tag: what it is follows from how it looks
	case bool:
		n.Tag, n.Value = "!!bool", fmt.Sprint(v)
	case nil:
		n.Tag, n.Value = "!!null", "null"
	}
	return n, nil
}

// unexpectedEnd tells the end of the file within a value from the end between values.
func unexpectedEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
