package expr

import (
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
)

// References lists the dotted names that the tags of a text use, in order,
// each once: the names of simple tags, and the longest member chains of
// expressions (a['b-c'].d is a.b-c.d). Malformed tags refer to nothing, nor
// does a tag whose name depends on another tag.
func References(text string) []string {
	var refs names
	parts, _ := scan(text)
	refs.addParts(parts)
	return refs.list
}

// Nested says that the name of one of the text's tags depends on another tag, as in
// {{inputs.parameters.{{item}}}}. References does not know such names.
func Nested(text string) bool {
	parts, _ := scan(text)
	return slices.ContainsFunc(parts, func(p part) bool { return p.kind == simple && len(p.inner) > 0 })
}

type names struct {
	list []string
	seen map[string]bool
}

func (n *names) add(name string) {
	if n.seen == nil {
		n.seen = map[string]bool{}
	}
	if !n.seen[name] {
		n.seen[name] = true
		n.list = append(n.list, name)
	}
}

func (n *names) addParts(parts []part) {
	for _, p := range parts {
		switch {
		case p.kind == expression:
			n.addExpression(p.body())
		case p.kind == simple && len(p.inner) == 0:
			if name := strings.TrimSpace(p.body()); name != "" {
				n.add(name)
			}
		default:
			n.addParts(p.inner)
		}
	}
}

func (n *names) addExpression(text string) {
	tree, _, err := parse(text, anything{})
	if err != nil {
		return
	}
	n.addNode(tree.Node, locals(tree))
}

func (n *names) addNode(node ast.Node, locals map[string]bool) {
	if path := chainOf(node); path != nil {
		if !locals[path[0]] {
			n.add(strings.Join(path, "."))
		}
		return
	}
	if call, ok := node.(*ast.CallNode); ok {
		if path := chainOf(call.Callee); len(path) == 2 && path[0] == "sprig" {
			for _, arg := range call.Arguments {
				n.addNode(arg, locals)
			}
			return
		}
	}
	for _, child := range children(node) {
		n.addNode(*child, locals)
	}
}

// chainOf returns the names of a.b['c'], or nil for any other node.
func chainOf(node ast.Node) []string {
	var path []string
	for {
		switch n := node.(type) {
		case *ast.IdentifierNode:
			// $env is the scope itself, for names that are no identifiers.
			if n.Value != "$env" {
				path = append(path, n.Value)
			}
			slices.Reverse(path)
			return path
		case *ast.MemberNode:
			key, ok := n.Property.(*ast.StringNode)
			if !ok {
				return nil
			}
			path = append(path, key.Value)
			node = n.Node
		default:
			return nil
		}
	}
}

// locals are the variables that `let` declares. An expression cannot use such a
// name for something of its scope too, which is a rule users can keep.
func locals(tree *parser.Tree) map[string]bool {
	found := declared{}
	ast.Walk(&tree.Node, found)
	return found
}

type declared map[string]bool

// Visit implements ast.Visitor.
func (d declared) Visit(node *ast.Node) {
	if v, ok := (*node).(*ast.VariableDeclaratorNode); ok {
		d[v.Name] = true
	}
}

// children are the places below a node where names may stand.
func children(node ast.Node) []*ast.Node {
	list := func(nodes []ast.Node) []*ast.Node {
		out := make([]*ast.Node, len(nodes))
		for i := range nodes {
			out[i] = &nodes[i]
		}
		return out
	}
	switch n := node.(type) {
	case *ast.UnaryNode:
		return []*ast.Node{&n.Node}
	case *ast.BinaryNode:
		return []*ast.Node{&n.Left, &n.Right}
	case *ast.ChainNode:
		return []*ast.Node{&n.Node}
	case *ast.MemberNode:
		return []*ast.Node{&n.Node, &n.Property}
	case *ast.SliceNode:
		out := []*ast.Node{&n.Node}
		for _, bound := range []*ast.Node{&n.From, &n.To} {
			if *bound != nil {
				out = append(out, bound)
			}
		}
		return out
	case *ast.CallNode:
		args := list(n.Arguments)
		// A plain callee is a function; the last name of a member is a method.
		if m, ok := n.Callee.(*ast.MemberNode); ok {
			return append([]*ast.Node{&m.Node}, args...)
		}
		return args
	case *ast.BuiltinNode:
		return list(n.Arguments)
	case *ast.PredicateNode:
		return []*ast.Node{&n.Node}
	case *ast.VariableDeclaratorNode:
		return []*ast.Node{&n.Value, &n.Expr}
	case *ast.SequenceNode:
		return list(n.Nodes)
	case *ast.ConditionalNode:
		return []*ast.Node{&n.Cond, &n.Exp1, &n.Exp2}
	case *ast.ArrayNode:
		return list(n.Nodes)
	case *ast.MapNode:
		return list(n.Pairs)
	case *ast.PairNode:
		return []*ast.Node{&n.Key, &n.Value}
	}
	return nil
}
