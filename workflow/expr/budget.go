package expr

import (
	"fmt"
	"reflect"

	"github.com/expr-lang/expr/ast"
)

// The interpreter limits only the lists that an expression makes. Strings that
// double in a reduce, nested predicates over one list, values that share their
// parts (a list of the same list, forty times over) and functions that multiply
// their arguments would still run for hours or take all memory. So a
// substitution has one budget, in units of about one element visited: every
// predicate pays for its body each time, and every operation whose cost grows
// with its operands pays for their size before it runs.
const (
	maxUnits      = 8_000_000
	maxDepth      = 1_000     // of a value; more is a cycle or an attack
	maxExpression = 64 << 10  // bytes of one expression
	maxElements   = 1_000_000 // that one evaluation may put into lists and maps
	bytesPerUnit  = 4
)

// chargeName is not an identifier that a user could write.
const chargeName = "#charge"

type budget struct{ left int }

func newBudget() *budget { return &budget{left: maxUnits} }

func (b *budget) spend(units int) error {
	if units < 0 || units > b.left {
		b.left = 0
		return fmt.Errorf("the expression does too much work: %w", ErrBudget)
	}
	b.left -= units
	return nil
}

// charge pays for walking a whole value.
func (b *budget) charge(value any) error { return b.walk(value, 0) }

func (b *budget) walk(value any, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("a value is nested more than %d deep: %w", maxDepth, ErrBudget)
	}
	switch v := value.(type) {
	case string:
		return b.spend(1 + len(v)/bytesPerUnit)
	case []any:
		if err := b.spend(1); err != nil {
			return err
		}
		for _, e := range v {
			if err := b.walk(e, depth+1); err != nil {
				return err
			}
		}
		return nil
	case map[string]any:
		if err := b.spend(1); err != nil {
			return err
		}
		for k, e := range v {
			if err := b.spend(len(k) / bytesPerUnit); err != nil {
				return err
			}
			if err := b.walk(e, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return b.walkOther(reflect.ValueOf(value), depth)
}

func (b *budget) walkOther(v reflect.Value, depth int) error {
	if err := b.spend(1); err != nil {
		return err
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		if k := v.Type().Elem().Kind(); k <= reflect.Complex128 {
			return b.spend(v.Len())
		}
		for i := range v.Len() {
			if err := b.walk(v.Index(i).Interface(), depth+1); err != nil {
				return err
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if err := b.walk(it.Value().Interface(), depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// cheapBuiltins cost the same whatever they are given.
var cheapBuiltins = map[string]bool{
	"len": true, "get": true, "first": true, "last": true, "type": true, "int": true, "float": true,
	"abs": true, "ceil": true, "floor": true, "round": true, "now": true,
	"bitand": true, "bitor": true, "bitxor": true, "bitnand": true, "bitnot": true, "bitshl": true, "bitshr": true, "bitushr": true,
}

// meter puts the charges into an expression.
func meter(node *ast.Node) { ast.Walk(node, metering{}) }

type metering struct{}

// Visit implements ast.Visitor. Children come before their parents.
func (metering) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.BuiltinNode:
		for i, arg := range n.Arguments {
			if p, ok := arg.(*ast.PredicateNode); ok {
				p.Node = charged(p.Node, size(p.Node))
			} else if !cheapBuiltins[n.Name] && grows(arg) {
				n.Arguments[i] = charged(arg, 1)
			}
		}
	case *ast.BinaryNode:
		switch n.Operator {
		case "==", "!=":
			if grows(n.Left) && grows(n.Right) {
				n.Left, n.Right = charged(n.Left, 1), charged(n.Right, 1)
			}
		case "+", "in", "not in", "contains", "startsWith", "endsWith", "matches":
			if grows(n.Left) {
				n.Left = charged(n.Left, 1)
			}
			if grows(n.Right) {
				n.Right = charged(n.Right, 1)
			}
		}
	}
}

// grows says whether a node's value can be larger than its text.
func grows(node ast.Node) bool {
	switch n := node.(type) {
	case *ast.NilNode, *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.StringNode, *ast.BytesNode, *ast.UnaryNode:
		return false
	case *ast.ArrayNode:
		for _, e := range n.Nodes {
			if grows(e) {
				return true
			}
		}
		return false
	case *ast.BinaryNode:
		// A range pays in the interpreter; comparisons and arithmetic give scalars.
		return n.Operator == "+" || n.Operator == "??"
	case *ast.CallNode:
		id, ok := n.Callee.(*ast.IdentifierNode)
		return !ok || id.Value != chargeName
	}
	return true
}

func charged(node ast.Node, units int) ast.Node {
	return &ast.CallNode{
		Callee:    &ast.IdentifierNode{Value: chargeName},
		Arguments: []ast.Node{node, &ast.IntegerNode{Value: units}},
	}
}

// clone copies the lists and maps of a value, which it charges.
func (b *budget) clone(value any) (any, error) {
	if err := b.charge(value); err != nil {
		return nil, err
	}
	return clone(value), nil
}

func clone(value any) any {
	switch v := value.(type) {
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = clone(e)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = clone(e)
		}
		return out
	}
	return value
}

// function is what charged calls: its first argument, paid for.
func (b *budget) function(args ...any) (any, error) {
	if err := b.charge(args[0]); err != nil {
		return nil, err
	}
	units, _ := args[1].(int)
	return args[0], b.spend(units)
}

func size(node ast.Node) int {
	var c counting
	ast.Walk(&node, &c)
	return int(c)
}

type counting int

// Visit implements ast.Visitor.
func (c *counting) Visit(*ast.Node) { *c++ }
