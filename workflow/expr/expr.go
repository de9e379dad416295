// Package expr fills the variables of a workflow: simple tags ({{item}}),
// expression tags ({{=asInt(item) + 1}}) and `when` conditions.
//
// It is pure and keeps nothing between calls. What names mean is the business
// of the caller's [Scope]; this package only knows three answers besides a
// value: not a name at all, absent for good, and not known yet. The last one is
// what makes two-phase substitution work: a tag that waits for a later value is
// left in the text as it stands.
//
// Expressions are written by users and evaluated by a process that serves many
// of them, so every evaluation runs on a budget (see budget): an expression
// that would loop or grow without end is an error, never a hang.
package expr

import (
	"errors"
	"fmt"
	"strings"
)

// Mode says what becomes of tags that the scope cannot fill.
type Mode int

const (
	// Strict makes every tag that cannot be filled an error.
	Strict Mode = iota
	// Lenient leaves tags whose names are unknown or pending as they are.
	Lenient
)

var (
	// ErrUnresolved marks a name that the scope does not know (yet).
	ErrUnresolved = errors.New("unresolved variable")
	// ErrPending marks, besides ErrUnresolved, a name whose value will come.
	ErrPending = errors.New("variable is not known yet")
	// ErrAbsent marks the use of an output that will never exist.
	ErrAbsent = errors.New("absent optional")
	// ErrMalformed marks text that cannot be right whatever the scope holds.
	ErrMalformed = errors.New("malformed template")
	// ErrBudget marks an evaluation that was stopped for its cost.
	ErrBudget = errors.New("too expensive to evaluate")
)

// maxOutput bounds the text one substitution may produce: a few tags that each
// stand for a large output must not multiply into the whole memory.
const maxOutput = 64 << 20

// Substitute fills the tags of text. Filled values are never scanned again.
func Substitute(text string, s Scope, m Mode) (string, error) {
	if !strings.Contains(text, "{{") {
		return text, nil
	}
	return NewFiller(s, m).Fill(text)
}

// Filler fills the texts of one thing: what they may cost is counted together.
type Filler struct {
	scope  Scope
	mode   Mode
	budget *budget
	size   int
}

// NewFiller makes a Filler.
func NewFiller(s Scope, m Mode) *Filler {
	return &Filler{scope: s, mode: m, budget: newBudget()}
}

// Fill fills the tags of one of the texts, as Substitute does.
func (f *Filler) Fill(text string) (string, error) {
	parts, unclosed := scan(text)
	if unclosed >= 0 && f.mode == Strict {
		return "", unclosedError(unclosed)
	}
	var out strings.Builder
	for _, p := range parts {
		piece := p.text
		if p.kind != literal {
			filled, _, err := f.tag(p)
			if err != nil {
				return "", err
			}
			piece = filled
		}
		f.size += len(piece)
		if f.size > maxOutput {
			return "", fmt.Errorf("substituting variables: the result exceeds %d bytes: %w", maxOutput, ErrBudget)
		}
		out.WriteString(piece)
	}
	return out.String(), nil
}

// tag returns what stands in the place of a tag, and whether it was filled.
func (f *Filler) tag(p part) (string, bool, error) {
	var text string
	var err error
	switch p.kind {
	case expression:
		text, err = f.expression(p)
	default:
		var name string
		var ready bool
		if name, ready, err = f.name(p); err == nil {
			if !ready {
				return p.text, false, nil
			}
			text, err = f.simple(name)
			if f.mode == Lenient && errors.Is(err, ErrUnresolved) && len(p.inner) > 0 {
				return "{{" + name + "}}", false, nil
			}
		}
	}
	switch {
	case err == nil:
		return text, true, nil
	case f.mode == Lenient && errors.Is(err, ErrUnresolved):
		return p.text, false, nil
	}
	return "", false, err
}

// name is the text of a simple tag with the tags inside it filled, as in
// {{inputs.parameters.{{item}}}}.
func (f *Filler) name(p part) (string, bool, error) {
	if len(p.inner) == 0 {
		return p.body(), true, nil
	}
	var name strings.Builder
	for _, in := range p.inner {
		if in.kind == literal {
			name.WriteString(in.text)
			continue
		}
		text, filled, err := f.tag(in)
		if err != nil || !filled {
			return "", false, err
		}
		if name.Len()+len(text) > maxOutput {
			return "", false, fmt.Errorf("filling a nested tag: %w", ErrBudget)
		}
		name.WriteString(text)
	}
	return name.String(), true, nil
}

func (f *Filler) simple(name string) (string, error) {
	name = strings.TrimSpace(name)
	value, state := f.scope.Lookup(name)
	if state == Known && value == nil {
		state = Absent
	}
	if state != Known {
		return "", stateError(name, state)
	}
	text, err := render(value)
	if err != nil {
		return "", fmt.Errorf("rendering {{%s}}: %w", shorten(name), err)
	}
	return text, nil
}

func (f *Filler) expression(p part) (string, error) {
	value, err := evaluate(p.body(), f.scope, f.mode, f.budget)
	if err != nil {
		return "", fmt.Errorf("evaluating {{=%s}}: %w", shorten(p.body()), err)
	}
	text, err := render(value)
	if err != nil {
		return "", fmt.Errorf("rendering {{=%s}}: %w", shorten(p.body()), err)
	}
	return text, nil
}

func stateError(name string, state State) error {
	switch state {
	case Absent:
		return fmt.Errorf("{{%s}} is an %w output: its producer was skipped, omitted or wrote nothing; "+
			"give the output or the input a default, or use {{=... ?? ...}}", shorten(name), ErrAbsent)
	case Pending:
		return fmt.Errorf("failed to resolve {{%s}}: %w (%w)", shorten(name), ErrPending, ErrUnresolved)
	}
	return fmt.Errorf("failed to resolve {{%s}}: %w", shorten(name), ErrUnresolved)
}

// shorten keeps error messages readable whatever was put between the braces.
func shorten(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
