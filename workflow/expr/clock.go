package expr

import (
	"fmt"
	"iter"
	"time"

	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/conf"
)

// At is a scope in which now() is a given time, and not that of the machine.
func At(s Scope, now time.Time) Scope { return clocked{s, now} }

type clocked struct {
	Scope
	now time.Time
}

// Names implements Lister.
func (c clocked) Names() iter.Seq[string] {
	if l, ok := c.Scope.(Lister); ok {
		return l.Names()
	}
	return func(func(string) bool) {}
}

const clockName = "now"

// timed puts the scope's now() in the place of expr-lang's.
func timed(config *conf.Config, s Scope) {
	c, ok := s.(clocked)
	if !ok {
		return
	}
	config.Functions[clockName] = &builtin.Function{Name: clockName, Func: func(args ...any) (any, error) {
		if len(args) > 0 {
			return nil, fmt.Errorf("now takes no arguments, found %d", len(args))
		}
		return c.now, nil
	}}
}
