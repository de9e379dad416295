package expr

import (
	"iter"
	"maps"
	"strings"
)

// State says what a scope knows of a name.
type State int

const (
	// Unknown is not a name of this scope.
	Unknown State = iota
	// Known comes with a value.
	Known
	// Absent will never have a value, such as the output of a skipped
	// producer: nil in expressions, an error in simple tags.
	Absent
	// Pending will be known later; the tag waits.
	Pending
)

// Scope resolves dotted names ("inputs.parameters.x", "steps.a.outputs.result",
// "item", "item.key", "workflow.name").
type Scope interface {
	Lookup(name string) (value any, state State)
}

// Branch is a value that is there as a whole; what it holds is looked up by name. A name below
// it which is nothing is a mistake, and not what the branch has under it: nothing.
type Branch map[string]any

// Lister is a Scope that can name what it holds. Expressions which use a whole
// branch (`inputs.parameters[item]`, `keys(workflow.labels)`) need it; on a
// scope without it such a branch is Unknown unless Lookup knows it by name.
type Lister interface {
	Names() iter.Seq[string]
}

// Map is a flat Scope. A nil value is Absent.
type Map map[string]any

// Lookup implements Scope.
func (m Map) Lookup(name string) (any, State) {
	value, ok := m[name]
	switch {
	case !ok:
		return nil, Unknown
	case value == nil:
		return nil, Absent
	}
	return value, Known
}

// Names implements Lister.
func (m Map) Names() iter.Seq[string] { return maps.Keys(m) }

// Chain asks each scope in turn and takes the first answer but Unknown.
func Chain(scopes ...Scope) Scope { return chain(scopes) }

type chain []Scope

func (c chain) Lookup(name string) (any, State) {
	for _, s := range c {
		if value, state := s.Lookup(name); state != Unknown {
			return value, state
		}
	}
	return nil, Unknown
}

func (c chain) Names() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, s := range c {
			l, ok := s.(Lister)
			if !ok {
				continue
			}
			for name := range l.Names() {
				if !yield(name) {
					return
				}
			}
		}
	}
}

// branch builds the nested map of all names below a dotted prefix. Names that
// wait are left out: whoever asks for one of them by name is told to wait.
func branch(s Scope, prefix string) (map[string]any, bool) {
	l, ok := s.(Lister)
	if !ok {
		return nil, false
	}
	root := map[string]any{}
	found := false
	for name := range l.Names() {
		rest, below := strings.CutPrefix(name, prefix+".")
		if !below {
			continue
		}
		found = true
		value, state := s.Lookup(name)
		if state != Known && state != Absent {
			continue
		}
		plant(root, strings.Split(rest, "."), value)
	}
	return root, found
}

// plant sets a value at a path. Where a name is both a value and a branch
// (`outputs.parameters` and `outputs.parameters.x`), the branch wins, whichever
// came first: the value is still there under its full name.
func plant(at map[string]any, path []string, value any) {
	for _, key := range path[:len(path)-1] {
		next, ok := at[key].(map[string]any)
		if !ok {
			next = map[string]any{}
			at[key] = next
		}
		at = next
	}
	last := path[len(path)-1]
	if _, isBranch := at[last].(map[string]any); isBranch {
		return
	}
	at[last] = value
}
