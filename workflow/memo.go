package workflow

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// A node of a template with memoize asks for what was kept under its key, and waits for the
// answer, once it has its locks. If there is something young enough it ends with that;
// otherwise it runs, and if it succeeds its outputs are kept.

// MemoState is what a node keeps of its template's memoize.
type MemoState struct {
	Cache string `json:"c"`
	Name  string `json:"n"` // the key, resolved
	Hit   bool   `json:"h,omitempty"`
	Saved bool   `json:"s,omitempty"`
}

// Memo is what a node left for others of its key.
type Memo struct {
	Node    string  `json:"nodeID"`
	Outputs *Values `json:"outputs,omitempty"`
	Created Millis  `json:"created"`
}

// MemoLoad asks what is kept for a node: the answer is an EventMemo.
type MemoLoad struct {
	Key   Key    `json:"k"`
	Cache string `json:"c"`
	Name  string `json:"n"`
}

// MemoSave is a memo to be kept.
type MemoSave struct {
	Cache, Name string
	Memo        Memo
}

const heldMemo = "memo" // a node, for what may be kept for it

var memoName = regexp.MustCompile(`^[a-zA-Z0-9][-a-zA-Z0-9]*$`)

// recall has a node of a template with memoize wait for what is kept for it.
func (t *turn) recall(n *Node, tmpl *template) {
	scope := t.inputScope(n)
	m, err := memoState(tmpl.Memoize, scope)
	if err != nil {
		if n.Counted {
			t.delta.State.leafEnded(spec.NodeError)
		}
		t.finish(n, spec.NodeError, err.Error())
		return
	}
	n.Memo = m
	t.awaits(n, tmpl)
	t.hold(n, heldMemo)
	o := t.ordered()
	o.Memos = append(o.Memos, MemoLoad{n.Key, m.Cache, m.Name})
}

func memoState(m *spec.Memoize, scope expr.Scope) (*MemoState, error) {
	if m.Cache == nil || m.Cache.ConfigMap == nil {
		return nil, errors.New("cache could not be found or created")
	}
	state := &MemoState{}
	var err error
	if state.Name, err = expr.Substitute(m.Key, scope, expr.Strict); err != nil {
		return nil, fmt.Errorf("resolving memoize.key: %w", err)
	}
	if state.Cache, err = expr.Substitute(m.Cache.ConfigMap.Name, scope, expr.Strict); err != nil {
		return nil, fmt.Errorf("resolving memoize.cache: %w", err)
	}
	if !memoName.MatchString(state.Name) {
		return nil, fmt.Errorf("invalid cache key %s", state.Name)
	}
	_, err = memoAge(m, scope)
	return state, err
}

// memoAge is how old a memo may be; 0 is that it may be of any age.
func memoAge(m *spec.Memoize, scope expr.Scope) (time.Duration, error) {
	text, err := expr.Substitute(m.MaxAge, scope, expr.Strict)
	if err != nil || text == "" {
		return 0, err
	}
	age, err := parseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("invalid maxAge: %w", err)
	}
	return age, nil
}

// memoAnswered ends a node with what was kept for it, or starts it.
func (t *turn) memoAnswered(e *Event) {
	n := t.letGo(e.Key, heldMemo)
	if n == nil {
		return
	}
	tmpl := t.v.Plan.templates[n.Template]
	age, _ := memoAge(tmpl.Memoize, t.inputScope(n)) // it was checked before
	if m := e.Memo; m == nil || age > 0 && t.now-m.Created > Millis(age.Milliseconds()) {
		t.startNow(n)
		return
	}
	n.Memo.Hit = true
	if n.Type = tmpl.nodeType(); counts(n.Type) {
		if !n.Counted {
			t.delta.State.Total++
		}
		t.delta.State.leafEnded(spec.NodeSucceeded)
	}
	n.Started, n.Outputs = t.now, e.Memo.Outputs
	t.finish(n, spec.NodeSucceeded, "")
}

// memoize has the outputs of a node that succeeded kept.
func (t *turn) memoize(n *Node) {
	if n.Memo == nil || n.Memo.Hit || n.Memo.Saved || n.Phase != spec.NodeSucceeded {
		return
	}
	n.Memo.Saved = true
	t.put(n)
	t.delta.Saves = append(t.delta.Saves, MemoSave{
		Cache: n.Memo.Cache, Name: n.Memo.Name,
		Memo: Memo{Node: n.Key.ID(t.v.Run.Name), Outputs: n.Outputs, Created: t.now},
	})
}
