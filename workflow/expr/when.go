package expr

import (
	"errors"
	"fmt"
	"strings"

	"github.com/casbin/govaluate"
)

const (
	// maxCondition bounds the text of a condition: room for a few results.
	maxCondition = 1 << 20
	// maxOperators bounds how deep the parser of conditions can recurse.
	maxOperators = 2_000
)

// When evaluates a `when` condition whose tags are filled. Bare words are
// strings, so that `{{steps.flip.outputs.result}} == heads` needs no quotes.
func When(condition string) (bool, error) {
	result, err := guarded(condition, func() (any, error) {
		tokens, err := words(condition)
		if err != nil {
			return nil, err
		}
		program, err := govaluate.NewEvaluableExpressionFromTokens(tokens)
		if err != nil {
			return nil, err
		}
		return program.Evaluate(nil)
	})
	if err != nil {
		return false, invalidWhen(condition, err)
	}
	b, ok := result.(bool)
	if !ok {
		return false, conditionError(fmt.Sprintf("Expected boolean evaluation for '%s'. Got %v", shorten(condition), result))
	}
	return b, nil
}

// CheckWhen finds what is wrong with a condition whatever its tags will hold.
func CheckWhen(text string) error {
	if err := Check(text); err != nil {
		return err
	}
	parts, _ := scan(text)
	var plain strings.Builder
	tags := false
	for _, p := range parts {
		if p.kind == literal {
			plain.WriteString(p.text)
			continue
		}
		tags = true
		plain.WriteString("x")
	}
	if !tags {
		_, err := When(text)
		return err
	}
	_, err := guarded(text, func() (any, error) { return words(plain.String()) })
	// A value may bring operators of its own; only what opens and does not
	// close stays wrong with every value.
	if err != nil {
		if message := strings.ToLower(err.Error()); strings.Contains(message, "unclosed") || strings.Contains(message, "unbalanced") {
			return invalidWhen(text, err)
		}
	}
	return nil
}

// conditionError is a malformed condition, in Argo's words.
type conditionError string

func (e conditionError) Error() string        { return string(e) }
func (e conditionError) Is(target error) bool { return target == ErrMalformed }

func invalidWhen(condition string, err error) error {
	text := fmt.Sprintf("Invalid 'when' expression '%s': %v", shorten(condition), err)
	if strings.Contains(err.Error(), "Invalid token") {
		text += " (hint: try wrapping the affected expression in quotes (\"))"
	}
	if errors.Is(err, ErrBudget) {
		return fmt.Errorf("%s: %w", strings.TrimSuffix(text, ": "+ErrBudget.Error()), ErrBudget)
	}
	return conditionError(text)
}

// words reads a condition with its variables as strings.
func words(condition string) ([]govaluate.ExpressionToken, error) {
	parsed, err := govaluate.NewEvaluableExpression(condition)
	if err != nil {
		return nil, err
	}
	tokens := parsed.Tokens()
	for i, token := range tokens {
		switch token.Kind {
		case govaluate.VARIABLE:
			tokens[i].Kind = govaluate.STRING
		case govaluate.ACCESSOR:
			// Two words with a dot between them, such as a file name.
			if path, ok := token.Value.([]string); ok {
				tokens[i] = govaluate.ExpressionToken{Kind: govaluate.STRING, Value: strings.Join(path, ".")}
			}
		}
	}
	return tokens, nil
}

// guarded bounds the library's recursion and turns its panics into errors.
func guarded(condition string, run func() (any, error)) (result any, err error) {
	if len(condition) > maxCondition {
		return nil, fmt.Errorf("a condition of %d bytes: %w", len(condition), ErrBudget)
	}
	if n := operators(condition); n > maxOperators {
		return nil, fmt.Errorf("a condition of %d operators: %w", n, ErrBudget)
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return run()
}

// operators counts the characters outside quotes which may make the parser recurse.
func operators(condition string) int {
	count := 0
	for i := 0; i < len(condition); i++ {
		switch c := condition[i]; {
		case c == '\'' || c == '"':
			n := stringEnd(condition[i+1:], c)
			if n < 0 {
				return count
			}
			i += n + 1
		case strings.IndexByte("()&|!<>=~-+*/^%?:,", c) >= 0:
			count++
		}
	}
	return count
}
