package workflow

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// HookState is of the hooks of a node. Hooks belong to a node that a step or task made (each item of a loop, a Retry node but none of
// its attempts), or to the root, and are nodes below it. The node's end is told to the scope
// above only when its hooks have ended:
//
//	launched --expressions--> hooks run .. node ends --expressions--> hooks run --last one-->
//	exit handler runs --> told
//
// How hooks end matters to nobody, but for the exit handler of the workflow.
type HookState struct {
	Running int      `json:"r,omitempty"`
	Fired   []string `json:"f,omitempty"` // hooks that were started, each once
	Exit    bool     `json:"x,omitempty"` // so was the exit handler, or it is not wanted
}

// hookSet are the hooks of a step, task or workflow.
type hookSet struct {
	onExit string // the older form of the exit hook
	hooks  spec.LifecycleHooks
}

func (s *hookSet) none() bool { return s.onExit == "" && len(s.hooks) == 0 }

// get returns a hook by name; the exit handler's arguments are the run's unless it has some.
func (s *hookSet) get(name string, run *Run) (spec.LifecycleHook, bool) {
	if name == spec.ExitLifecycleEvent && s.onExit != "" {
		return spec.LifecycleHook{Template: s.onExit, Arguments: run.Arguments}, true
	}
	h, ok := s.hooks[name]
	if name == spec.ExitLifecycleEvent && len(h.Arguments.Parameters) == 0 && len(h.Arguments.Artifacts) == 0 {
		h.Arguments = run.Arguments
	}
	return h, ok
}

// hooksOf are the hooks of a node; nil: it has none.
func (t *turn) hooksOf(n *Node) *hookSet {
	pk, ok := n.Key.Parent()
	if !ok {
		s := &hookSet{t.v.Plan.Spec.OnExit, t.v.Plan.Spec.Hooks}
		if s.none() {
			return nil
		}
		return s
	}
	if _, hook := n.Key.hook(); hook || n.Loop != nil || t.node(pk).Type == spec.NodeTypeRetry {
		return nil
	}
	if s := t.site(n.Key).hooks; !s.none() {
		return &s
	}
	return nil
}

// awaitHooks says that a node which has ended still has hooks to wait for.
func (t *turn) awaitHooks(n *Node) bool {
	set := t.hooksOf(n)
	if set == nil {
		return false
	}
	if n.Key == Root && n.Refused { // a run whose entrypoint was given up starts nothing more
		return n.Hooks != nil && n.Hooks.Running > 0
	}
	n = t.edit(n.Key)
	t.fireHooks(n, set)
	if n.Hooks == nil {
		n.Hooks = &HookState{}
	}
	exit, ok := set.get(spec.ExitLifecycleEvent, t.v.Run)
	ran := n.Phase != spec.NodeSkipped && n.Phase != spec.NodeOmitted || n.Key == Root
	if n.Hooks.Running == 0 && !n.Hooks.Exit && ok && ran && !t.closing(n.Key.Hook(spec.ExitLifecycleEvent)) {
		n.Hooks.Exit = true
		if exit.Expression == "" || t.wants(n, spec.ExitLifecycleEvent, &exit) {
			t.startHook(n, spec.ExitLifecycleEvent, t.launch)
		}
	}
	return n.Hooks.Running > 0
}

// fireHooks starts the hooks whose expressions have become true.
func (t *turn) fireHooks(n *Node, set *hookSet) {
	for _, name := range slices.Sorted(maps.Keys(set.hooks)) {
		h := set.hooks[name]
		if name == spec.ExitLifecycleEvent || n.Hooks != nil && slices.Contains(n.Hooks.Fired, name) || t.closing(n.Key.Hook(name)) || !t.wants(n, name, &h) {
			continue
		}
		n = t.edit(n.Key)
		t.startHook(n, name, t.launch)
	}
}

// wants says that a hook's expression is true. One that cannot be evaluated makes a node that
// says so.
func (t *turn) wants(n *Node, name string, h *spec.LifecycleHook) bool {
	scope := t.hookScope(n)
	text, err := expr.Substitute(h.Expression, scope, expr.Strict)
	yes := false
	if err == nil {
		yes, err = expr.EvalBool(text, scope)
	}
	switch {
	case err == nil:
		return yes
	case errors.Is(err, expr.ErrUnresolved), errors.Is(err, expr.ErrAbsent):
		return false
	}
	t.startHook(t.edit(n.Key), name, func(k Key) { t.fail(k, h.Template, nil, err) })
	return false
}

// startHook starts a hook in some way. It may end at once.
func (t *turn) startHook(n *Node, name string, start func(Key)) {
	if n.Hooks == nil {
		n.Hooks = &HookState{}
	}
	if name != spec.ExitLifecycleEvent {
		n.Hooks.Fired = append(slices.Clone(n.Hooks.Fired), name)
	}
	n.Hooks.Running += 2 // one more than there is, so that its end goes no further
	start(n.Key.Hook(name))
	n.Hooks.Running--
}

// hookEnded takes note of the end of a hook of a node.
func (t *turn) hookEnded(n *Node) {
	n.Hooks.Running--
	switch {
	case n.Hooks.Running > 0:
	case n.Fulfilled():
		t.ended(n)
	case n.Daemon != nil && n.Daemon.Ready && !n.Daemon.Told:
		t.serve(n)
	}
}

// hookCall is the call of a node's hook.
func (t *turn) hookCall(n *Node, name string) *call {
	if n.Key == Root {
		set := hookSet{t.v.Plan.Spec.OnExit, t.v.Plan.Spec.Hooks}
		h, _ := set.get(name, t.v.Run)
		return &call{template: callee("", "", h.Template, nil, h.TemplateRef), arguments: h.Arguments, hooked: n}
	}
	site := t.site(n.Key)
	h, _ := site.hooks.get(name, t.v.Run)
	return &call{
		template:  callee(site.caller.Template, "", h.Template, nil, h.TemplateRef),
		arguments: h.Arguments, caller: site.caller, hooked: n,
	}
}

// hookScope is what the hooks of a node may name: the node itself as steps.X or tasks.X, and
// what its call may name.
func (t *turn) hookScope(n *Node) expr.Scope {
	if n.Key == Root {
		return t.callScope(&call{}, nil)
	}
	site := t.site(n.Key)
	own := &hookedScope{t: t, node: n, prefix: site.kind + "." + site.name + "."}
	return expr.Chain(own, t.callScope(site, n.Item))
}

// hookedScope names the node that has the hook.
type hookedScope struct {
	t      *turn
	node   *Node
	prefix string
}

func (s *hookedScope) Lookup(name string) (any, expr.State) {
	property, ok := strings.CutPrefix(name, s.prefix)
	switch {
	case !ok:
		return nil, expr.Unknown
	case s.node.Fulfilled():
		return s.t.childProperty(s.node, property)
	case property == "status":
		return string(spec.NodeRunning), expr.Known
	case strings.HasPrefix(property, "outputs") || property == "exitCode" || property == "finishedAt":
		return nil, expr.Pending
	}
	return s.t.childProperty(s.node, property)
}

// workflowStatus is workflow.status: how the run goes, and once the root has ended, how it will
// end but for its exit handler.
func (t *turn) workflowStatus() spec.WorkflowPhase {
	if root := t.node(Root); root.Fulfilled() {
		return workflowPhase(root.Phase)
	}
	return t.delta.State.Phase
}

func workflowPhase(p spec.NodePhase) spec.WorkflowPhase {
	switch p {
	case spec.NodeSucceeded, spec.NodeSkipped, spec.NodeOmitted:
		return spec.WorkflowSucceeded
	case spec.NodeError:
		return spec.WorkflowError
	}
	return spec.WorkflowFailed
}

// failures is workflow.failures: the nodes that failed, as JSON in quotes. Where anything asks
// for it, items of wide loops have nodes, too.
func (t *turn) failures() string {
	if !t.v.Complete {
		panic(&MissingError{All: true}) // recovered in Advance
	}
	type failure struct {
		DisplayName  string    `json:"displayName"`
		Message      string    `json:"message"`
		TemplateName string    `json:"templateName"`
		Phase        string    `json:"phase"`
		PodName      string    `json:"podName"`
		FinishedAt   time.Time `json:"finishedAt"`
	}
	var failures []failure // of none, Argo has null
	all := maps.Clone(t.v.Nodes)
	maps.Copy(all, t.changed)
	for _, k := range slices.Sorted(maps.Keys(all)) {
		if n := all[k]; n.Failed() {
			run := t.v.Run.Name
			failures = append(failures, failure{
				n.display(run), n.Message, localName(n.Template), string(n.Phase), PodName(run, n.Template, k), n.Finished.Time().Truncate(time.Second),
			})
		}
	}
	data, _ := json.Marshal(failures)
	return strconv.Quote(string(data))
}
