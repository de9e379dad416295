// Package depends reads the depends expressions of DAG tasks: task results joined by &&, ||,
// ! and parentheses, such as "(build.Succeeded || build.Skipped) && !lint.Failed".
package depends

import (
	"fmt"
	"slices"
	"strings"
)

// Results that a task can be asked for.
var results = []string{
	"Succeeded", "Failed", "Errored", "Skipped", "Omitted", "Daemoned", "AnySucceeded", "AllFailed",
}

// Expr is a parsed expression.
type Expr interface {
	// Eval asks has for the terms that it needs, by task and result.
	Eval(has func(task, result string) bool) bool
	// Tasks lists the tasks that are mentioned, each once, as they come.
	Tasks() []string
	// String writes the expression so that Parse reads it back.
	String() string
}

// Error tells where in the text it went wrong; Offset counts bytes.
type Error struct {
	Offset  int
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("at character %d: %s", e.Offset+1, e.Message) }

// Term is one task with one result; an empty Result stands for a bare task name: it
// succeeded, was skipped, or is a daemon that runs.
type Term struct{ Task, Result string }

type (
	not    struct{ of Expr }
	binary struct {
		op   string
		a, b Expr
	}
)

// Eval implements Expr.
func (t Term) Eval(has func(task, result string) bool) bool {
	if t.Result != "" {
		return has(t.Task, t.Result)
	}
	return has(t.Task, "Succeeded") || has(t.Task, "Skipped") || has(t.Task, "Daemoned")
}

// Tasks implements Expr.
func (t Term) Tasks() []string { return []string{t.Task} }

func (t Term) String() string {
	if t.Result == "" {
		return t.Task
	}
	return t.Task + "." + t.Result
}

func (n not) Eval(has func(task, result string) bool) bool { return !n.of.Eval(has) }
func (n not) Tasks() []string                              { return n.of.Tasks() }
func (n not) String() string                               { return "!" + n.of.String() }

func (b binary) Eval(has func(task, result string) bool) bool {
	if b.op == "&&" {
		return b.a.Eval(has) && b.b.Eval(has)
	}
	return b.a.Eval(has) || b.b.Eval(has)
}

func (b binary) Tasks() []string {
	var tasks []string
	seen := map[string]bool{}
	for _, t := range Terms(b) {
		if !seen[t.Task] {
			seen[t.Task] = true
			tasks = append(tasks, t.Task)
		}
	}
	return tasks
}

func (b binary) String() string {
	return "(" + b.a.String() + " " + b.op + " " + b.b.String() + ")"
}

// Terms lists every term of an expression, as they come.
func Terms(e Expr) []Term {
	switch e := e.(type) {
	case Term:
		return []Term{e}
	case not:
		return Terms(e.of)
	case binary:
		return append(Terms(e.a), Terms(e.b)...)
	}
	return nil
}

// maxDepth bounds nesting, so that no text can exhaust the stack.
const maxDepth = 200

// Parse reads an expression. Errors are *Error.
func Parse(text string) (Expr, error) {
	p := &parser{text: text}
	e, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.pos < len(text) {
		return nil, p.fail("expected && or ||, found %q", p.text[p.pos:min(p.pos+10, len(text))])
	}
	return e, nil
}

type parser struct {
	text string
	pos  int
}

func (p *parser) fail(format string, args ...any) error {
	return &Error{Offset: p.pos, Message: fmt.Sprintf(format, args...)}
}

func (p *parser) space() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

// accept takes the token if it comes next.
func (p *parser) accept(token string) bool {
	p.space()
	if !strings.HasPrefix(p.text[p.pos:], token) {
		return false
	}
	p.pos += len(token)
	return true
}

func (p *parser) or(depth int) (Expr, error)  { return p.chain("||", depth, p.and) }
func (p *parser) and(depth int) (Expr, error) { return p.chain("&&", depth, p.unary) }

func (p *parser) chain(op string, depth int, next func(int) (Expr, error)) (Expr, error) {
	e, err := next(depth)
	for err == nil && p.accept(op) {
		var right Expr
		if right, err = next(depth); err == nil {
			e = binary{op, e, right}
		}
	}
	return e, err
}

func (p *parser) unary(depth int) (Expr, error) {
	if depth > maxDepth {
		return nil, p.fail("nested too deeply")
	}
	if p.accept("!") {
		e, err := p.unary(depth + 1)
		return not{e}, err
	}
	if p.accept("(") {
		e, err := p.or(depth + 1)
		if err == nil && !p.accept(")") {
			err = p.fail("expected )")
		}
		return e, err
	}
	return p.term()
}

func (p *parser) term() (Expr, error) {
	start := p.pos
	task := p.word()
	if task == "" {
		if p.pos == len(p.text) {
			return nil, p.fail("expected a task name, found the end")
		}
		return nil, p.fail("expected a task name, found %q", p.text[p.pos:p.pos+1])
	}
	if p.pos == len(p.text) || p.text[p.pos] != '.' {
		return Term{Task: task}, nil
	}
	p.pos++
	result := p.word()
	if !slices.Contains(results, result) {
		p.pos = start
		return nil, p.fail("%q is no task result: use one of %s", task+"."+result, strings.Join(results, ", "))
	}
	return Term{task, result}, nil
}

func (p *parser) word() string {
	start := p.pos
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			break
		}
		p.pos++
	}
	return p.text[start:p.pos]
}
