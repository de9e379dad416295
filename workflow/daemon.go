package workflow

import (
	"slices"
	"strings"

	"argosy/workflow/spec"
)

// A daemon is a leaf that others use while it runs. For its scope it is done once it is ready,
// and it is ended when the Steps or DAG node ends that it belongs to:
//
//	launched --> Pending --ready--> Running, serves --its scope ends--> Succeeded
//	                |                  |
//	                +-ends by itself---+--> Failed, even with exit code 0; or another attempt
//
// Who serves has no place of the run's parallelism or credit: others need those to end. A Retry
// node serves from when its first attempt does, also while it waits for the next one.

// DaemonState is what a daemon keeps, and the Retry node of one.
type DaemonState struct {
	Ready   bool   `json:"r,omitempty"`
	Address string `json:"a,omitempty"` // where it is to be reached
	// Told says that the scope goes on.
	Told bool `json:"t,omitempty"`
}

// Ready is what a worker tells of a daemon that has become ready.
type Ready struct {
	Address string `json:"a,omitempty"`
	Host    string `json:"h,omitempty"`
	Started Millis `json:"s,omitempty"`
}

// IsDaemon says that the node is a daemon, which runs until it is ended.
func (n *Node) IsDaemon() bool { return n.Daemon != nil }

// serves says that the node is a daemon that its scope does not wait for.
func (n *Node) serves() bool {
	return n != nil && n.Daemon != nil && n.Daemon.Told && !n.Fulfilled()
}

// done says that what comes after the node may start.
func (n *Node) done() bool { return n.Fulfilled() || n.serves() }

// daemonState is the state of a node of the template that starts; nil: it is no daemon.
func (t *template) daemonState() *DaemonState {
	if !t.IsDaemon() || t.nodeType() != spec.NodeTypePod {
		return nil
	}
	return &DaemonState{}
}

// ready notes that a daemon is ready. It may be told again, of one that was lost and sent anew.
func (t *turn) ready(e *Event) {
	n := t.node(e.Key)
	if n == nil || n.Fulfilled() || n.Daemon == nil || !leaf(n.Type) || e.Ready == nil || t.closing(e.Key) {
		return
	}
	n = t.edit(e.Key)
	again := n.Daemon.Ready
	n.Host, n.Daemon.Ready, n.Daemon.Address = e.Ready.Host, true, e.Ready.Address
	if e.Ready.Started != 0 {
		n.Started = e.Ready.Started
	}
	if !again {
		n.Phase, n.Message = spec.NodeRunning, ""
		t.delta.State.InFlight--
		if t.v.Plan.templates[n.Template].Timeout != "" {
			t.timerOff(n.Key, timerTimeout)
		}
	}
	if _, attempt := attemptIndex(n.Key); attempt {
		pk, _ := n.Key.Parent()
		retry := t.edit(pk)
		again = again || retry.Daemon.Ready
		retry.Host, retry.Daemon.Ready, retry.Daemon.Address = n.Host, true, n.Daemon.Address
		n = retry
	}
	if again {
		return
	}
	if scope, _ := t.boundary(n.Key); scope == nil || scope.Fulfilled() { // there is nobody to serve
		t.endDaemon(n.Key)
		t.ended(t.edit(n.Key))
		return
	}
	if set := t.hooksOf(n); set != nil {
		t.fireHooks(n, set)
	}
	if n = t.edit(n.Key); n.Hooks == nil || n.Hooks.Running == 0 {
		t.serve(n)
	}
}

// serve has the scope of a daemon go on.
func (t *turn) serve(n *Node) {
	n.Daemon.Told = true
	scope, _ := t.boundary(n.Key)
	scope = t.edit(scope.Key)
	scope.Daemons = append(scope.Daemons[:len(scope.Daemons):len(scope.Daemons)], n.Key)
	t.unlock(n)
	t.vacate(n)
	t.tell(n)
	t.admit(n.Key)
}

// boundary is the Steps or DAG node whose end is that of a daemon, nil for none, and the child
// of it that the daemon is or belongs to: "" if that is a hook, which decides nothing.
func (t *turn) boundary(k Key) (scope *Node, child Key) {
	child = k
	for {
		_, hook := k.hook()
		pk, ok := k.Parent()
		if !ok {
			return nil, ""
		}
		if hook {
			child = ""
		} else if n := t.node(pk); n.Steps != nil || n.DAG != nil {
			return n, child
		} else if child != "" {
			child = pk
		}
		k = pk
	}
}

// died takes note of a daemon that ended by itself while it served. What has started because of
// it goes on; what would start later finds that it Failed.
func (t *turn) died(n *Node) {
	scope, child := t.boundary(n.Key)
	if !n.Failed() || scope == nil || scope.Fulfilled() || child == "" {
		return
	}
	scope = t.edit(scope.Key)
	tmpl := t.v.Plan.templates[scope.Template]
	if scope.Limit != nil && tmpl.stopsEarly() {
		scope.Limit.Bad = true
	}
	if child != n.Key && !t.node(child).Fulfilled() { // the loop that it is an item of
		loop := t.edit(child)
		loop.Loop.Succeeded--
		t.countItem(loop, n)
	} else if scope.Steps != nil {
		t.memberDied(scope, tmpl, child, n)
	} else if i := tmpl.dag.index[strings.TrimPrefix(child.Segment(), ".")]; child == n.Key && t.dag(scope).target[i] {
		t.targetEnded(scope, tmpl, i, n)
	}
	t.admit(n.Key)
	if scope = t.edit(scope.Key); scope.DAG != nil {
		t.settleDAG(scope)
	}
}

// memberDied fails the group that a daemon is of, if it still runs.
func (t *turn) memberDied(scope *Node, tmpl *template, child Key, n *Node) {
	s := scope.Steps
	g, i, _ := tmpl.step(child.Segment())
	if g == s.Group && !t.site(child).tolerates(n.Phase) && (s.Failed == "" || i < s.First) {
		s.Failed, s.First = n.Key.ID(t.v.Run.Name), i
	}
}

// endDaemons ends what serves in a scope that ends.
func (t *turn) endDaemons(scope *Node) {
	if len(scope.Daemons) == 0 {
		return
	}
	t.need(scope.Daemons...)
	for _, k := range scope.Daemons {
		if !t.node(k).Fulfilled() {
			t.endDaemon(k)
		}
	}
}

// endDaemon ends a daemon, or what tries one again.
func (t *turn) endDaemon(k Key) {
	n := t.edit(k)
	if n.Retry == nil {
		t.endService(n)
		return
	}
	if t.letGo(k, heldBackoff) != nil {
		t.timerOff(k, timerRetry)
	}
	if last := t.node(k.Attempt(n.Retry.Attempts - 1)); last != nil && !last.Fulfilled() {
		t.endService(t.edit(last.Key))
	}
	n.Phase, n.Message, n.Finished = spec.NodeSucceeded, "", t.now
}

// endService ends a daemon, which has served or was about to. What its worker says of it later
// is of no interest.
func (t *turn) endService(n *Node) {
	s := &t.delta.State
	if !n.Daemon.Ready {
		s.InFlight--
		if t.v.Plan.templates[n.Template].Timeout != "" {
			t.timerOff(n.Key, timerTimeout)
		}
	}
	told := n.units()
	n.Phase, n.Message, n.Finished = spec.NodeSucceeded, "", t.now
	s.leafEnded(n.Phase)
	s.Units = s.Units.minus(told).plus(n.units())
	if i := slices.Index(t.delta.Dispatch, n.Key); i >= 0 { // it was never sent
		t.delta.Dispatch = slices.Delete(t.delta.Dispatch, i, i+1)
		return
	}
	t.delta.End = append(t.delta.End, n.Key)
}
