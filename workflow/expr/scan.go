package expr

import (
	"fmt"
	"strings"
)

type kind int

const (
	literal kind = iota
	simple
	expression
)

// part is a stretch of a text: literal, or a tag with its braces.
type part struct {
	kind  kind
	text  string
	start int
	inner []part // of a simple tag that has tags inside
}

// body is what stands between the braces.
func (p part) body() string {
	if p.kind == expression {
		return p.text[3 : len(p.text)-2]
	}
	return p.text[2 : len(p.text)-2]
}

// opening is a simple tag whose end is not yet seen.
type opening struct {
	start  int
	parts  []part
	nested bool
}

// scan cuts a text into parts, in one pass whatever the text. unclosed is the
// offset of the first tag without an end, or -1; what is unclosed is literal.
func scan(text string) (parts []part, unclosed int) {
	stack := []opening{{}}
	from := 0 // where the current literal began
	flush := func(to int) {
		if to > from {
			top := &stack[len(stack)-1]
			top.parts = append(top.parts, part{kind: literal, text: text[from:to], start: from})
		}
	}
	unclosed = -1
	for i := 0; i+1 < len(text); {
		switch {
		case strings.HasPrefix(text[i:], "{{="):
			end := expressionEnd(text[i+3:])
			if end < 0 {
				unclosed = i
				i = len(text)
				continue
			}
			flush(i)
			stop := i + 3 + end + 2
			top := &stack[len(stack)-1]
			top.nested = true
			top.parts = append(top.parts, part{kind: expression, text: text[i:stop], start: i})
			i, from = stop, stop
		case strings.HasPrefix(text[i:], "{{"):
			flush(i)
			stack = append(stack, opening{start: i})
			i += 2
			from = i
		case len(stack) > 1 && strings.HasPrefix(text[i:], "}}"):
			flush(i)
			top := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			tag := part{kind: simple, text: text[top.start : i+2], start: top.start}
			if top.nested {
				tag.inner = top.parts
			}
			below := &stack[len(stack)-1]
			below.nested = true
			below.parts = append(below.parts, tag)
			i += 2
			from = i
		default:
			i++
		}
	}
	flush(len(text))
	for _, open := range stack[1:] {
		if unclosed < 0 || open.start < unclosed {
			unclosed = open.start
		}
		stack[0].parts = append(stack[0].parts, part{kind: literal, text: "{{", start: open.start})
		stack[0].parts = append(stack[0].parts, open.parts...)
	}
	return stack[0].parts, unclosed
}

// expressionEnd finds the braces that close an expression: not those in its
// strings, nor the ends of its own maps and predicates. Argo takes the first
// pair of braces, which cuts {{={"a": {"b": 1}}}} short; every expression that
// it can run ends in the same place here.
func expressionEnd(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\'', '"', '`':
			n := stringEnd(s[i+1:], c)
			if n < 0 {
				return strings.Index(s, "}}")
			}
			i += 1 + n
		case '{':
			depth++
		case '}':
			if depth == 0 {
				if strings.HasPrefix(s[i:], "}}") {
					return i
				}
				return strings.Index(s, "}}")
			}
			depth--
		}
	}
	return strings.Index(s, "}}")
}

// stringEnd is the offset of the quote that ends a string.
func stringEnd[T ~string | ~[]byte](s T, quote byte) int {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quote != '`':
			i++
		case s[i] == quote:
			return i
		}
	}
	return -1
}

func unclosedError(at int) error {
	return fmt.Errorf("offset %d: tag without closing \"}}\": %w", at, ErrMalformed)
}
