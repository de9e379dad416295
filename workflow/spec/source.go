package spec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// MaxFileSize is the largest file that Parse reads. A Kubernetes API server, and so Argo,
// takes objects of 1.5 MB at most; a syntax tree takes about a hundred times its text.
const MaxFileSize = 4 << 20

const byteOrderMark = "\xef\xbb\xbf"

// nodes returns the syntax tree of each document of a file.
func nodes(file string, data []byte) ([]*yaml.Node, *Error) {
	if len(data) > MaxFileSize {
		line, col := lineColumn(data, MaxFileSize)
		return nil, &Error{File: file, Line: line, Column: col, Message: fmt.Sprintf("file has %.1f MB, and %d MB is the most that is read",
			float64(len(data))/(1<<20), MaxFileSize>>20), Hint: "pass large data as an artifact"}
	}
	data = bytes.TrimPrefix(data, []byte(byteOrderMark))
	if err := checkText(file, data); err != nil {
		return nil, err
	}
	first := bytes.TrimLeft(data, " \t\r\n")
	if len(first) == 0 || first[0] != '{' {
		return yamlNodes(file, data)
	}
	// What looks like JSON is read as JSON first: YAML refuses tabs that JSON allows.
	trees, jsonErr := jsonNodes(file, data)
	if jsonErr == nil {
		return trees, nil
	}
	if trees, err := yamlNodes(file, data); err == nil {
		return trees, nil
	}
	return nil, jsonErr
}

// checkText refuses what cannot be YAML, since the YAML library does not say where it is.
func checkText(file string, data []byte) *Error {
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return &Error{File: file, Line: 1, Column: 1, Message: "file is UTF-16, not UTF-8"}
	}
	for i := 0; i < len(data); {
		c := data[i]
		if (c >= 0x20 && c < 0x7f) || c == '\n' || c == '\t' || c == '\r' {
			i++
			continue
		}
		r, size := utf8.DecodeRune(data[i:])
		bad := ""
		switch {
		case r == utf8.RuneError && size == 1:
			bad = fmt.Sprintf("not a text file: byte 0x%02x is not UTF-8", c)
		case r < 0xa0 && r != 0x85, r == 0xfffe, r == 0xffff:
			bad = fmt.Sprintf("not a text file: control character U+%04X", r)
		}
		if bad != "" {
			line, col := lineColumn(data, i)
			return &Error{File: file, Line: line, Column: col, Message: bad}
		}
		i += size
	}
	return nil
}

// lineColumn returns the place of an offset, both from 1.
func lineColumn(data []byte, offset int) (line, col int) {
	before := data[:min(offset, len(data))]
	return 1 + bytes.Count(before, []byte("\n")), len(before) - bytes.LastIndexByte(before, '\n')
}

var (
	yamlErrorText = regexp.MustCompile(`^yaml: (?:line (\d+): )?([\s\S]*)$`)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '([^']*)' referenced`)
)

func yamlNodes(file string, data []byte) (trees []*yaml.Node, failed *Error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return trees, nil
		}
		if err != nil {
			return nil, yamlError(file, data, err)
		}
		if len(doc.Content) == 1 && !isNull(doc.Content[0]) {
			trees = append(trees, doc.Content[0])
		}
	}
}

func yamlError(file string, data []byte, err error) *Error {
	out := &Error{File: file, Line: 1, Column: 1, Message: err.Error()}
	if m := yamlErrorText.FindStringSubmatch(err.Error()); m != nil {
		out.Message = "not valid YAML: " + m[2]
		if m[1] != "" {
			out.Line, _ = strconv.Atoi(m[1])
		}
		if a := unknownAnchor.FindStringSubmatch(m[2]); a != nil {
			if i := bytes.Index(data, []byte("*"+a[1])); i >= 0 {
				out.Line, out.Column = lineColumn(data, i)
			}
		}
	}
	if bytes.Contains([]byte(out.Message), []byte("found character that cannot start any token")) {
		out.Hint = "YAML is indented with blanks, not tabs, and a value that begins with % @ ` or { needs quotes"
	}
	return out
}
