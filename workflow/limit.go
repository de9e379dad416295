package workflow

import (
	"math"
	"slices"
	"strings"

	"argosy/workflow/spec"
)

// LimitState is what a Steps or DAG node keeps whose template has parallelism or failFast. A
// call takes a place before it starts, as does each item of a loop, and gives it back when it
// has ended; without a place it waits here.
type LimitState struct {
	Active int   `json:"a,omitempty"`
	Queue  []Key `json:"q,omitempty"` // below the node, in order
	Bad    bool  `json:"b,omitempty"` // a child failed under failFast: no more start
}

const failFastMessage = "template has failed or errored children and failFast enabled"

// limit makes the record of a scope that starts.
func (t *template) limit() *LimitState {
	if t.Parallelism == nil && !t.stopsEarly() {
		return nil
	}
	return &LimitState{}
}

func (t *template) stopsEarly() bool { return t.FailFast != nil && *t.FailFast }

// scopeOf is the Steps or DAG node that a call or a loop's item belongs to; nil: none.
func (t *turn) scopeOf(k Key) *Node {
	if _, hook := k.hook(); hook {
		return nil
	}
	for pk, ok := k.Parent(); ok; pk, ok = pk.Parent() {
		switch n := t.node(pk); n.Type {
		case spec.NodeTypeSteps, spec.NodeTypeDAG:
			return n
		case spec.NodeTypeTaskGroup:
		default:
			return nil
		}
	}
	return nil
}

// place takes a place for a child of the scope; without one, waits is put down for later.
func (t *turn) place(scope *Node, waits Key) bool {
	if scope == nil || scope.Limit == nil {
		return true
	}
	scope = t.edit(scope.Key)
	if scope.Limit.Active >= t.places(scope) || len(scope.Limit.Queue) > 0 && waits != t.admitted {
		scope.Limit.Queue = append(scope.Limit.Queue, Key(strings.TrimPrefix(string(waits), string(scope.Key))))
		return false
	}
	scope.Limit.Active++
	return true
}

// vacate gives back the place of a child that has ended, and lets others have it.
func (t *turn) vacate(child *Node) {
	if child.Loop != nil {
		return // its items have them
	}
	scope := t.scopeOf(child.Key)
	if scope == nil || scope.Limit == nil || scope.Fulfilled() {
		return
	}
	scope = t.edit(scope.Key)
	scope.Limit.Active--
	scope.Limit.Bad = scope.Limit.Bad || child.Failed() && t.v.Plan.templates[scope.Template].stopsEarly()
}

// admit starts what may start now of that which waits for a place in the scope above a key.
func (t *turn) admit(k Key) {
	scope := t.scopeOf(k)
	if scope == nil || scope.Limit == nil || len(scope.Limit.Queue) == 0 {
		return
	}
	for {
		if scope = t.edit(scope.Key); len(scope.Limit.Queue) == 0 {
			return
		}
		if scope.Fulfilled() { // a loop that was cut short ended by itself
			scope.Limit.Queue = nil
			return
		}
		i := 0
		if scope.Limit.Active >= t.places(scope) {
			if i = t.cancelled(scope); i < 0 {
				return
			}
		}
		next := scope.Key + scope.Limit.Queue[i]
		scope.Limit.Queue = slices.Delete(slices.Clone(scope.Limit.Queue), i, i+1)
		t.admitted = next
		t.resume(next)
	}
}

// cancelled finds the first in a scope's queue that will not start any more and so needs no
// place; -1 is none. A loop goes on with its items when another task of its DAG has failed.
func (t *turn) cancelled(scope *Node) int {
	if !t.stopped(scope) {
		return -1
	}
	return slices.IndexFunc(scope.Limit.Queue, func(below Key) bool {
		n := t.node(scope.Key + below)
		return n == nil || n.Loop == nil || t.halted(n)
	})
}

// places is how many children of a scope may be active.
func (t *turn) places(scope *Node) int {
	if p := t.v.Plan.templates[scope.Template].Parallelism; p != nil && *p > 0 && *p < math.MaxInt32 {
		return int(*p)
	}
	return math.MaxInt32
}

// stopped says that a scope starts no more children.
func (t *turn) stopped(scope *Node) bool {
	return t.closing(scope.Key) || scope.DAG != nil && scope.DAG.Stopped || scope.Limit != nil && scope.Limit.Bad
}

// halted says that nothing more may start below a loop.
func (t *turn) halted(loop *Node) bool {
	if t.closing(loop.Key) {
		return true
	}
	scope := t.scopeOf(loop.Key)
	return scope != nil && scope.Limit != nil && scope.Limit.Bad
}

// haltedMessage is what a node reports that was cut short.
func (t *turn) haltedMessage(k Key) string {
	if t.closing(k) {
		return t.closingMessage()
	}
	return failFastMessage
}
