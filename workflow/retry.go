package workflow

import (
	"fmt"
	"strconv"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// RetryState is what a Retry node keeps of its attempts.
type RetryState struct {
	Attempts int  `json:"n,omitempty"` // attempts launched
	Limit    *int `json:"l,omitempty"` // attempts beyond the first; nil is no limit
}

// startRetry wraps a node in a Retry node and makes its first attempt.
func (t *turn) startRetry(n *Node, tmpl *template) {
	n.Type, n.Phase, n.Retry = spec.NodeTypeRetry, spec.NodeRunning, &RetryState{}
	limit, err := retryLimit(tmpl.RetryStrategy, t.inputScope(n))
	if err != nil {
		t.finish(n, spec.NodeError, err.Error())
		return
	}
	n.Retry.Limit = limit
	t.put(n)
	t.attempt(n)
}

// retryLimit resolves the limit of a strategy; nil is no limit.
func retryLimit(r *spec.RetryStrategy, scope expr.Scope) (*int, error) {
	if r.Limit == nil {
		return nil, nil
	}
	text, err := expr.Substitute(r.Limit.String(), scope, expr.Strict)
	if err != nil {
		return nil, err
	}
	limit, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("retryStrategy.limit %q is not a whole number", text)
	}
	return &limit, nil
}

// attempt makes the next attempt, or puts it off when there is no room.
func (t *turn) attempt(n *Node) {
	if t.closing() {
		t.finish(n, spec.NodeFailed, t.closingMessage())
		return
	}
	if !t.hasRoom() {
		t.delta.State.Ready = append(t.delta.State.Ready, n.Key)
		return
	}
	child := nextAttempt(n, t.v.Plan.templates[n.Template])
	child.Started = t.now
	t.room--
	t.put(n)
	t.body(child, t.v.Plan.templates[n.Template])
}

// nextAttempt makes the node of a Retry node's next attempt.
func nextAttempt(n *Node, tmpl *template) *Node {
	child := &Node{
		Key: n.Key.Attempt(n.Retry.Attempts), Type: tmpl.nodeType(), Template: n.Template,
		Inputs: n.Inputs, Vars: n.Vars, Item: n.Item, WantResult: n.WantResult,
	}
	n.Retry.Attempts++
	return child
}

// attemptEnded ends the Retry node or tries again.
func (t *turn) attemptEnded(n *Node, child *Node) {
	if t.closing() && child.Failed() {
		t.finish(n, child.Phase, child.Message)
		return
	}
	again, message := retried(n, t.v.Plan.templates[n.Template].RetryStrategy, child)
	switch {
	case again:
		t.attempt(n)
	case child.Failed():
		n.Outputs = child.Outputs
		t.finishQuietly(n, child.Phase, message)
	default:
		n.Outputs = child.Outputs
		n.Phase, n.Message, n.Finished, n.Host = child.Phase, "", child.Finished, child.Host
		t.put(n)
		t.ended(n)
	}
}

// retried says whether a Retry node makes another attempt after the end of one, and with what
// message it ends otherwise.
func retried(n *Node, r *spec.RetryStrategy, child *Node) (again bool, message string) {
	switch {
	case !child.Failed():
		return false, ""
	case !retries(r.RetryPolicy, child):
		return false, child.Message
	case n.Retry.Limit != nil && n.Retry.Attempts > *n.Retry.Limit:
		return false, "No more retries left"
	}
	return true, ""
}

// finishQuietly ends a node without exporting its outputs again.
func (t *turn) finishQuietly(n *Node, phase spec.NodePhase, message string) {
	n.Phase, n.Message, n.Finished = phase, message, t.now
	t.put(n)
	t.ended(n)
}

// retries says that the policy allows another attempt after the child's end. A step that
// killed its workers again and again is not given to more of them.
func retries(p spec.RetryPolicy, child *Node) bool {
	if child.Class == "poison" || child.Class == "invalid" {
		return false
	}
	switch p {
	case spec.RetryPolicyAlways:
		return true
	case spec.RetryPolicyOnError:
		return child.Phase == spec.NodeError
	case spec.RetryPolicyOnTransientError:
		return child.Phase == spec.NodeError && transient(child.Class)
	}
	return child.Phase == spec.NodeFailed // OnFailure, Argo's default
}

// transient says that an Error of the class may well not come again.
func transient(class string) bool {
	switch class {
	case "lost", "store", "evicted", "executor":
		return true
	}
	return false
}
