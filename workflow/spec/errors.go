package spec

import (
	"fmt"
	"strings"
)

// maxErrors bounds how many errors one file reports.
const maxErrors = 50

// Error is one thing that is wrong with a file, at its place.
type Error struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Path    string `json:"path,omitempty"` // of the field: spec.templates[0].container
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// Error returns `file:line:column: path: message (hint)`.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", e.File, e.Line, e.Column)
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Message)
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return b.String()
}

// ErrorList is everything that is wrong with a file. errors.As finds its *Error.
type ErrorList []*Error

// Error returns one line per error.
func (l ErrorList) Error() string {
	lines := make([]string, len(l))
	for i, e := range l {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the single errors.
func (l ErrorList) Unwrap() []error {
	out := make([]error, len(l))
	for i, e := range l {
		out[i] = e
	}
	return out
}

// err returns the list as an error, nil if it is empty.
func (l ErrorList) err() error {
	if len(l) == 0 {
		return nil
	}
	return l
}

// Warning is something that does not stop a run but may not do what its author thinks.
type Warning Error

// String returns the warning as Error returns an error.
func (w *Warning) String() string { return (*Error)(w).Error() }
