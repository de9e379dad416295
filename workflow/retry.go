package workflow

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// RetryState is what a Retry node keeps of its attempts.
type RetryState struct {
	Attempts int  `json:"n,omitempty"` // attempts launched
	Limit    *int `json:"l,omitempty"` // attempts beyond the first; nil is no limit

	First Millis `json:"f,omitempty"` // when the first attempt started, under a backoff
	// Hosts are those of attempts that failed, which later ones avoid.
	Hosts []string `json:"h,omitempty"`
	// Vars are the lastRetry.* of the next attempt, if anybody asks for them.
	Vars map[string]string `json:"v,omitempty"`
}

// startRetry wraps a node in a Retry node and makes its first attempt.
func (t *turn) startRetry(n *Node, tmpl *template) {
	n.Type, n.Phase, n.Retry = spec.NodeTypeRetry, spec.NodeRunning, &RetryState{}
	limit, err := retryLimit(tmpl.RetryStrategy, t.inputScope(n))
	if err != nil {
		t.finish(n, spec.NodeError, err.Error())
		return
	}
	n.Retry.Limit, n.Daemon = limit, tmpl.daemonState()
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
	if t.closing(n.Key) {
		t.finishQuietly(n, spec.NodeFailed, t.closingMessage())
		return
	}
	if !t.hasRoom() {
		t.delta.State.Ready = append(t.delta.State.Ready, n.Key)
		return
	}
	tmpl := t.v.Plan.templates[n.Template]
	if n.Retry.Attempts == 0 && tmpl.RetryStrategy.Backoff != nil {
		n.Retry.First = t.now
	}
	n.Message = ""
	child := nextAttempt(n, tmpl)
	child.Started = t.now
	t.room--
	t.put(n)
	t.body(child, tmpl)
}

// nextAttempt makes the node of a Retry node's next attempt.
func nextAttempt(n *Node, tmpl *template) *Node {
	child := &Node{
		Key: n.Key.Attempt(n.Retry.Attempts), Type: tmpl.nodeType(), Template: n.Template,
		Inputs: n.Inputs, Vars: n.Vars, Item: n.Item, WantResult: n.WantResult,
	}
	if leaf(child.Type) {
		child.Avoid = n.Retry.Hosts
	}
	if tmpl.lastRetry {
		child.Vars = maps.Clone(n.Vars)
		if child.Vars == nil {
			child.Vars = map[string]string{}
		}
		vars := n.Retry.Vars
		if vars == nil {
			vars = map[string]string{"lastRetry.exitCode": "0", "lastRetry.status": "", "lastRetry.duration": "0", "lastRetry.message": ""}
		}
		maps.Copy(child.Vars, vars)
	}
	n.Retry.Attempts++
	return child
}

// lastRetry is what an attempt that ended is to the one after it.
func lastRetry(child *Node) map[string]string {
	code := "-1"
	if child.Outputs != nil && child.Outputs.ExitCode != nil {
		code = strconv.Itoa(*child.Outputs.ExitCode)
	}
	return map[string]string{
		"lastRetry.exitCode": code,
		"lastRetry.status":   string(child.Phase),
		"lastRetry.duration": strconv.FormatInt(int64(max(0, child.Finished-child.Started))/1000, 10),
		"lastRetry.message":  child.Message,
	}
}

// attemptEnded ends the Retry node or tries again.
func (t *turn) attemptEnded(n *Node, child *Node) {
	tmpl := t.v.Plan.templates[n.Template]
	if t.closing(n.Key) && child.Failed() {
		t.finishQuietly(n, child.Phase, t.givenUp(child.Message))
		return
	}
	again, message := retried(n, tmpl.RetryStrategy, child)
	wait := Millis(0)
	if child.Failed() {
		n.Outputs = child.Outputs
	}
	if b := tmpl.RetryStrategy.Backoff; b != nil && child.Failed() {
		var late string
		var err error
		if wait, late, err = t.backoff(n, b, child); err != nil {
			t.finishQuietly(n, spec.NodeError, err.Error())
			return
		}
		if late != "" {
			again, message = false, late
		}
	}
	if again && tmpl.RetryStrategy.Expression != "" {
		var err error
		if again, err = t.retryExpression(n, tmpl.RetryStrategy.Expression, child); err != nil {
			t.finishQuietly(n, spec.NodeError, err.Error())
			return
		}
		message = "retryStrategy.expression evaluated to false"
	}
	switch {
	case again:
		n.Outputs = nil
		if tmpl.lastRetry {
			n.Retry.Vars = lastRetry(child)
		}
		if a := tmpl.RetryStrategy.Affinity; a != nil && a.NodeAntiAffinity != nil && child.Host != "" && !slices.Contains(n.Retry.Hosts, child.Host) {
			n.Retry.Hosts = append(n.Retry.Hosts[:len(n.Retry.Hosts):len(n.Retry.Hosts)], child.Host)
		}
		if wait > 0 {
			n.Message = "Backoff for " + inWords(wait)
			t.hold(n, heldBackoff)
			t.delta.Timers = append(t.delta.Timers, Timer{Key: n.Key, Name: timerRetry, At: t.now + wait})
			return
		}
		t.attempt(n)
	case child.Failed():
		t.finishQuietly(n, child.Phase, message)
	default:
		n.Outputs = child.Outputs
		n.Phase, n.Message, n.Finished, n.Host = child.Phase, "", child.Finished, child.Host
		t.put(n)
		t.ended(n)
	}
}

// givenUp is the message of a Retry node whose series the end of the run cut short.
func (t *turn) givenUp(message string) string {
	if t.delta.State.Shutdown != "" {
		return fmt.Sprintf("Stopped with strategy '%s'", t.delta.State.Shutdown)
	}
	return message
}

// retryExpression says that the strategy's expression allows another attempt.
func (t *turn) retryExpression(n *Node, expression string, child *Node) (bool, error) {
	last := expr.Map{"retries": strconv.Itoa(n.Retry.Attempts - 1)}
	for name, value := range lastRetry(child) {
		last[name] = value
	}
	scope := expr.Chain(last, t.inputScope(n))
	text, err := expr.Substitute(expression, scope, expr.Strict)
	if err != nil {
		return false, fmt.Errorf("resolving retryStrategy.expression: %w", err)
	}
	again, err := expr.EvalBool(text, scope)
	if err != nil {
		return false, fmt.Errorf("retryStrategy.expression: %w", err)
	}
	return again, nil
}

// backoff is how long to wait after an attempt that failed; late says why there is no time for
// another one.
func (t *turn) backoff(n *Node, b *spec.Backoff, child *Node) (wait Millis, late string, err error) {
	scope := t.inputScope(n)
	base, err := backoffTime("duration", b.Duration, scope)
	if err == nil && base == 0 && b.Duration == "" {
		err = fmt.Errorf("no base duration specified for retryStrategy")
	}
	if err != nil {
		return 0, "", err
	}
	limit, err := backoffTime("cap", b.Cap, scope)
	if err != nil {
		return 0, "", err
	}
	most, err := backoffTime("maxDuration", b.MaxDuration, scope)
	if err != nil {
		return 0, "", err
	}
	factor := 0.0
	if b.Factor != nil {
		text, err := expr.Substitute(b.Factor.String(), scope, expr.Strict)
		if err == nil {
			factor, err = strconv.ParseFloat(text, 64)
		}
		if err != nil {
			return 0, "", fmt.Errorf("retryStrategy.backoff.factor: %w", err)
		}
	}
	wait = base
	if factor > 0 {
		wait = Millis(min(float64(base)*math.Pow(factor, float64(n.Retry.Attempts-1)), float64(maxWait)))
	}
	if limit > 0 {
		wait = min(wait, limit)
	}
	next := child.Finished + wait
	if most > 0 {
		switch end := n.Retry.First + most; {
		case t.now > end:
			return 0, "Max duration limit exceeded", nil
		case next > end:
			return 0, "Backoff would exceed max duration limit", nil
		}
	}
	return max(0, next-t.now), "", nil
}

// maxWait bounds a backoff: more than a hundred years.
const maxWait = Millis(1) << 42

func backoffTime(field, text string, scope expr.Scope) (Millis, error) {
	if text == "" {
		return 0, nil
	}
	text, err := expr.Substitute(text, scope, expr.Strict)
	if err != nil {
		return 0, fmt.Errorf("resolving retryStrategy.backoff.%s: %w", field, err)
	}
	d, err := parseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("retryStrategy.backoff.%s: %w", field, err)
	}
	return Millis(d.Milliseconds()), nil
}

// parseDuration reads seconds or a duration such as 1m30s.
func parseDuration(text string) (time.Duration, error) {
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(seconds) * time.Second, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is neither seconds nor a duration", text)
	}
	return d, nil
}

// inWords is a duration in its two largest units, as Argo's messages have it.
func inWords(d Millis) string {
	seconds := int64(d+500) / 1000
	units := []struct {
		name string
		size int64
	}{{"days", 86400}, {"hours", 3600}, {"minutes", 60}, {"seconds", 1}}
	for i, u := range units {
		if n := seconds / u.size; n > 0 && i < len(units)-1 {
			return fmt.Sprintf("%d %s %d %s", n, u.name, seconds%u.size/units[i+1].size, units[i+1].name)
		}
	}
	return fmt.Sprintf("%d seconds", seconds)
}

// retried says whether a Retry node makes another attempt after the end of one, as far as
// policy and limit go, and with what message it ends otherwise.
func retried(n *Node, r *spec.RetryStrategy, child *Node) (again bool, message string) {
	switch {
	case !child.Failed():
		return false, ""
	case !retries(r.RetryPolicyActual(), child):
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
	return child.Phase == spec.NodeFailed // OnFailure
}

// transient says that an Error of the class may well not come again.
func transient(class string) bool {
	switch class {
	case "lost", "store", "evicted", "executor":
		return true
	}
	return false
}
