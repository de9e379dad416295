package expr

import (
	"errors"
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
)

// Eval evaluates an expression (without braces). The result is never nil.
func Eval(text string, s Scope) (any, error) {
	value, err := evaluate(text, s, Strict, newBudget())
	if err != nil {
		return nil, fmt.Errorf("evaluating %q: %w", shorten(text), err)
	}
	return value, nil
}

// EvalBool evaluates a condition (hooks, retry expressions and the like).
func EvalBool(text string, s Scope) (bool, error) {
	value, err := Eval(text, s)
	if err != nil {
		return false, err
	}
	b, ok := value.(bool)
	if !ok {
		return false, fmt.Errorf("evaluating %q: the result is a %T, not a boolean", shorten(text), value)
	}
	return b, nil
}

// evaluate runs: parse, bind the names, put the charges in, compile, run. The
// names are bound in the tree (each chain becomes one variable), so that only
// what the expression uses is looked up, a name may be both a value and a
// branch, and a name may be called like a builtin.
func evaluate(text string, s Scope, m Mode, b *budget) (any, error) {
	tree, config, err := parse(text, s)
	if err != nil {
		return nil, err
	}
	bind := &binding{scope: s, mode: m, budget: b, functions: config.Functions, locals: locals(tree), env: map[string]any{}}
	if err := bind.node(&tree.Node, false); err != nil {
		return nil, err
	}
	program, err := compile(tree, config, b)
	if err != nil {
		return nil, err
	}
	machine := vm.VM{MemoryBudget: maxElements}
	value, err := machine.Run(program, bind.env)
	switch {
	case err != nil && bind.absent != "" && !errors.Is(err, ErrBudget):
		return nil, fmt.Errorf("%w (%w)", runError(err), stateError(bind.absent, Absent))
	case err != nil:
		return nil, runError(err)
	case value == nil && bind.absent != "":
		return nil, fmt.Errorf("the result is nil: %w", stateError(bind.absent, Absent))
	case value == nil:
		return nil, errors.New("the result is nil")
	}
	// Whoever takes the result walks it: it must be finite and affordable.
	return value, b.charge(value)
}

func parse(text string, s Scope) (*parser.Tree, *conf.Config, error) {
	if len(text) > maxExpression {
		return nil, nil, fmt.Errorf("an expression of %d bytes, over the %d allowed: %w", len(text), maxExpression, ErrBudget)
	}
	config := conf.CreateNew()
	for name, fn := range functions {
		config.Functions[name] = &builtin.Function{Name: name, Func: fn}
	}
	timed(config, s)
	tree, err := parser.ParseWithConfig(text, config)
	if err != nil {
		return nil, nil, compileError(err)
	}
	return tree, config, nil
}

// compile leaves the optimizer out: a program runs once.
func compile(tree *parser.Tree, config *conf.Config, b *budget) (*vm.Program, error) {
	meter(&tree.Node)
	config.Functions[chargeName] = &builtin.Function{Name: chargeName, Func: b.function}
	if _, err := checker.Check(tree, config); err != nil {
		return nil, compileError(err)
	}
	program, err := compiler.Compile(tree, config)
	if err != nil {
		return nil, compileError(err)
	}
	return program, nil
}

// binding replaces the names of an expression by variables.
type binding struct {
	scope     Scope
	mode      Mode
	budget    *budget
	functions conf.FunctionsTable
	locals    map[string]bool
	env       map[string]any
	absent    string // the first name that is absent
}

// node binds what is below a node; optional is the left side of `??`.
func (b *binding) node(at *ast.Node, optional bool) error {
	if path := chainOf(*at); path != nil && !b.locals[path[0]] {
		return b.chain(at, path, optional)
	}
	switch n := (*at).(type) {
	case *ast.CallNode:
		if err := b.callee(n); err != nil {
			return err
		}
	case *ast.BinaryNode:
		if n.Operator == "??" {
			if err := b.node(&n.Left, true); err != nil {
				return err
			}
			return b.node(&n.Right, optional)
		}
	case *ast.ChainNode:
		return b.node(&n.Node, optional)
	}
	for _, child := range children(*at) {
		if err := b.node(child, false); err != nil {
			return err
		}
	}
	return nil
}

// chain binds a.b.c by its longest prefix that is a name.
func (b *binding) chain(at *ast.Node, path []string, optional bool) error {
	for n := len(path); n > 0; n-- {
		name := strings.Join(path[:n], ".")
		value, state := b.scope.Lookup(name)
		if state == Known && value == nil {
			state = Absent
		}
		switch state {
		case Pending:
			return stateError(name, Pending)
		case Absent:
			if b.absent == "" {
				b.absent = name
			}
			return b.put(at, path, n, nil)
		case Known:
			whole, isBranch := value.(Branch)
			_, isText := value.(string)
			if n < len(path) && (isBranch || isText) { // what is below it is no name
				continue
			}
			if isBranch {
				value = map[string]any(whole)
			}
			return b.put(at, path, n, value)
		}
	}
	// Only a whole chain may be a branch: below one, a missing name is a
	// mistake in spelling and not an empty value.
	name := strings.Join(path, ".")
	if values, ok := branch(b.scope, name); ok {
		return b.put(at, path, len(path), values)
	}
	if optional && b.mode == Strict {
		*at = &ast.NilNode{}
		return nil
	}
	return stateError(name, Unknown)
}

// put sets a variable in the place of the first n names of a chain.
func (b *binding) put(at *ast.Node, path []string, n int, value any) error {
	name := strings.Join(path[:n], ".")
	// A value that the expression may change (sprig.set) is its own.
	value, err := b.budget.clone(value)
	if err != nil {
		return err
	}
	variable := "$" + name
	b.env[variable] = value
	for range len(path) - n {
		at = &(*at).(*ast.MemberNode).Node
	}
	*at = &ast.IdentifierNode{Value: variable}
	return nil
}

// callee resolves what a call calls: ours, sprig's, or a method of a value.
func (b *binding) callee(call *ast.CallNode) error {
	switch callee := call.Callee.(type) {
	case *ast.IdentifierNode:
		if _, ok := b.functions[callee.Value]; ok {
			if callee.Value == clockName {
				return nil
			}
			b.functions[callee.Value] = &builtin.Function{Name: callee.Value, Func: b.budget.metered(callee.Value, functions[callee.Value])}
			return nil
		}
		return fmt.Errorf("there is no function %q: %w", shorten(callee.Value), ErrMalformed)
	case *ast.MemberNode:
		path := chainOf(callee)
		if len(path) != 2 || path[0] != "sprig" {
			return nil
		}
		fn, ok := sprigFunction(path[1])
		if !ok {
			return fmt.Errorf("there is no function %q: %w", shorten("sprig."+path[1]), ErrMalformed)
		}
		name := "sprig." + path[1]
		b.functions[name] = &builtin.Function{Name: name, Func: b.budget.metered(name, fn)}
		call.Callee = &ast.IdentifierNode{Value: name}
	}
	return nil
}

func compileError(err error) error {
	return fmt.Errorf("%s: %w", oneLine(err), ErrMalformed)
}

func runError(err error) error {
	for _, known := range []error{ErrBudget, ErrAbsent, ErrMalformed} {
		if errors.Is(err, known) {
			return fmt.Errorf("%s: %w", strings.TrimSuffix(oneLine(err), ": "+known.Error()), known)
		}
	}
	if strings.Contains(err.Error(), "memory budget exceeded") {
		return fmt.Errorf("%s: %w", oneLine(err), ErrBudget)
	}
	return errors.New(oneLine(err))
}

// oneLine drops the drawing of the source that the interpreter adds.
func oneLine(err error) string {
	var located *file.Error
	if errors.As(err, &located) {
		return fmt.Sprintf("%s (at %d:%d)", located.Message, located.Line, located.Column+1)
	}
	return err.Error()
}
