package expr

import (
	"fmt"
)

// Unclosed finds a tag without an end.
func Unclosed(text string) error {
	if _, at := scan(text); at >= 0 {
		return unclosedError(at)
	}
	return nil
}

// Check finds tags that are wrong whatever the scope holds: without an end, or
// with an expression that does not compile. Errors name the offset in text.
func Check(text string) error {
	parts, unclosed := scan(text)
	if unclosed >= 0 {
		return unclosedError(unclosed)
	}
	return checkParts(parts)
}

func checkParts(parts []part) error {
	for _, p := range parts {
		if p.kind == expression {
			if err := checkExpression(p.body()); err != nil {
				return fmt.Errorf("offset %d: expression {{=%s}}: %w", p.start, shorten(p.body()), err)
			}
		}
		if err := checkParts(p.inner); err != nil {
			return err
		}
	}
	return nil
}

// CheckExpression is [Check] for an expression without braces.
func CheckExpression(text string) error {
	if err := checkExpression(text); err != nil {
		return fmt.Errorf("expression %q: %w", shorten(text), err)
	}
	return nil
}

func checkExpression(text string) error {
	tree, config, err := parse(text, anything{})
	if err != nil {
		return err
	}
	b := newBudget()
	bind := &binding{scope: anything{}, mode: Strict, budget: b, functions: config.Functions, locals: locals(tree), env: map[string]any{}}
	if err := bind.node(&tree.Node, false); err != nil {
		return err
	}
	_, err = compile(tree, config, b)
	return err
}

// anything is a scope in which every name may come to exist.
type anything struct{}

// Lookup implements Scope.
func (anything) Lookup(string) (any, State) { return "", Known }
