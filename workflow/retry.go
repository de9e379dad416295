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
	if limit := tmpl.RetryStrategy.Limit; limit != nil {
		text, err := expr.Substitute(limit.String(), t.inputScope(n), expr.Strict)
		l, convErr := strconv.Atoi(text)
		if err == nil && convErr != nil {
			err = fmt.Errorf("retryStrategy.limit %q is not a whole number", text)
		}
		if err != nil {
			t.finish(n, spec.NodeError, err.Error())
			return
		}
		n.Retry.Limit = &l
	}
	t.put(n)
	t.attempt(n)
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
	child := &Node{
		Key: n.Key.Attempt(n.Retry.Attempts), Type: t.v.Plan.templates[n.Template].nodeType(), Template: n.Template,
		Inputs: n.Inputs, Vars: n.Vars, Item: n.Item, WantResult: n.WantResult, Started: t.now,
	}
	n.Retry.Attempts++
	t.room--
	t.put(n)
	t.body(child, t.v.Plan.templates[n.Template])
}

// attemptEnded ends the Retry node or tries again.
func (t *turn) attemptEnded(n *Node, child *Node) {
	switch {
	case !child.Failed():
		n.Outputs = child.Outputs
		n.Phase, n.Message, n.Finished, n.Host = child.Phase, "", child.Finished, child.Host
		t.put(n)
		t.ended(n)
	case t.closing():
		t.finish(n, child.Phase, child.Message)
	case !retries(t.v.Plan.templates[n.Template].RetryStrategy.RetryPolicy, child):
		n.Outputs = child.Outputs
		t.finishQuietly(n, child.Phase, child.Message)
	case n.Retry.Limit != nil && n.Retry.Attempts > *n.Retry.Limit:
		n.Outputs = child.Outputs
		t.finishQuietly(n, child.Phase, "No more retries left")
	default:
		t.attempt(n)
	}
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
