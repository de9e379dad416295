package workflow

import (
	"encoding/json"
	"fmt"

	"argosy/workflow/spec"
)

// Run is a submitted Workflow: what is fixed when it is accepted. Everything else of its
// spec is shared by content between runs (see Plan).
type Run struct {
	ID          string            `json:"id"` // metadata.uid
	Name        string            `json:"n"`
	Namespace   string            `json:"ns"`
	Created     Millis            `json:"c"`
	Labels      map[string]string `json:"l,omitempty"`
	Annotations map[string]string `json:"a,omitempty"`
	// Generated says that the end of the name is.
	Generated bool `json:"g,omitempty"`
	// From is the run that this one takes over what succeeded in; nil: none.
	From *Origin `json:"from,omitempty"`
	// Estimate is how long it is likely to take; nil: nobody knows.
	Estimate *Estimate `json:"es,omitempty"`
	// Arguments are spec.arguments, resolved. The shared spec holds none.
	Arguments spec.Arguments `json:"args,omitzero"`
}

// State is the run's own state, beside its nodes.
type State struct {
	Phase    spec.WorkflowPhase `json:"p,omitempty"`
	Message  string             `json:"m,omitempty"`
	Started  Millis             `json:"s,omitempty"`
	Finished Millis             `json:"f,omitempty"`
	// Shutdown is "Stop" or "Terminate" once asked for: nothing more starts.
	Shutdown string `json:"sd,omitempty"`
	// Expired is set when the run's activeDeadlineSeconds passed.
	Expired bool `json:"x,omitempty"`
	// Suspended is set while somebody wants nothing new to start.
	Suspended bool `json:"su,omitempty"`
	// Over says that the root ended meanwhile.
	Over bool `json:"ov,omitempty"`
	// Total counts leaf nodes, Done those that ended and Succeeded those that ended well: the
	// last of all is Argo's progress.
	Total     int `json:"n,omitempty"`
	Done      int `json:"d,omitempty"`
	Succeeded int `json:"ok,omitempty"`
	// Units are what leaves told of their own progress, beyond the one that each counts for.
	Units Units `json:"pu,omitzero"`
	// InFlight counts deliveries: leaves and chunks dispatched and not ended, but for daemons that
	// serve.
	InFlight int `json:"fl,omitempty"`
	// Ready lists scopes and nodes that may start but found no room yet: a loop with
	// items left, a released task. They are started first as soon as there is room.
	Ready []Key `json:"r,omitempty"`
	// Left counts the items of loops that have started which wait to be launched.
	Left int `json:"lf,omitempty"`
	// Held counts nodes that wait for something that no worker reports: see held.go.
	Held int `json:"hd,omitempty"`
	// Again is set on a run that was taken up again, until its next turn. Lives counts how often
	// that was.
	Again *Again `json:"ag,omitempty"`
	Lives int    `json:"lv,omitempty"`
	// Lock is what the run has or wants of its own locks; Locks counts the nodes, and the run,
	// that have or want some, and Locked says that there ever were any.
	Lock   *LockState `json:"lk,omitempty"`
	Locks  int        `json:"ls,omitempty"`
	Locked bool       `json:"ld,omitempty"`
	// Place is what the run has or wants of a place among the runs under way; "" if none is
	// needed. It counts as one of Locks.
	Place string `json:"pl,omitempty"`
	// Looked is when it was last made sure that the locks agree with the run.
	Looked Millis `json:"lt,omitempty"`
	// Resources are what the run's pods had of them, for how long.
	Resources spec.ResourcesDuration `json:"rs,omitempty"`
	// Outputs are the run's global outputs, exported by globalName.
	Outputs *Values `json:"o,omitempty"`
	// MetricsError is why a custom metric could not be made, the last time.
	MetricsError string `json:"me,omitempty"`
	// By are labels that say who told the run something last, and what.
	By map[string]string `json:"by,omitempty"`
	// Archiving says of a run that has ended whether it is to be archived, or was; "" is neither.
	Archiving Archiving `json:"ar,omitempty"`
	// BadSpec says that the run has ended since its spec cannot be run.
	BadSpec bool `json:"bs,omitempty"`
}

// Archiving is how far a run is on its way to the archive, as Argo's label says it.
type Archiving string

// What a run that has ended can be.
const (
	ArchivingPending   Archiving = "Pending"   // it is not deleted before it is archived
	ArchivingArchived  Archiving = "Archived"  // it is there and in the archive
	ArchivingPersisted Archiving = "Persisted" // it is in the archive only
)

// Waiting is how many leaves or loop items could be launched now and found no room. A loop
// that has started counts as another one.
func (s *State) Waiting() int {
	if s.Suspended {
		return 0
	}
	return s.Left + len(s.Ready)
}

// Closing says that the run is ending before its time: nothing more starts but exit handlers.
func (s *State) Closing() bool { return s.Shutdown != "" || s.Expired }

// Ends says that what is at or below a key is ended, as the run is: exit handlers are only when
// it is terminated.
func (s *State) Ends(k Key) bool {
	return s.Shutdown == SignalTerminate || s.Closing() && !k.InExit()
}

// Take notes that the run is to end, if the event says so.
func (s *State) Take(e *Event) {
	switch {
	case !e.Closes():
	case e.Kind == EventTimer:
		s.Expired = true
	case s.Shutdown != SignalTerminate:
		s.Shutdown = e.Signal
	}
}

// View is what a turn sees of a run.
type View struct {
	Run   *Run
	Plan  *Plan
	State State
	// Nodes holds the loaded records; a key with a nil record is known not to exist.
	Nodes map[Key]*Node
	// Complete says that Nodes holds every node of the run.
	Complete bool
	// Outputs holds the Extras of chunked loops whose outputs were asked for, by loop and item.
	Outputs map[Key]map[int][]byte
	// From holds all nodes of the run's Origin, once asked for; empty: it is gone.
	From map[Key]*Node
	// ConfigMaps holds those that were asked for, by name, or NAMESPACE/NAME of another
	// namespace than the run's; nil does not exist.
	ConfigMaps map[string]*ConfigMap
	// SyncLimits holds the limits of semaphores in the database that were asked for.
	SyncLimits map[string]*SyncLimit
	Limits     Limits
	// Cut holds the loops of which Nodes has only some items. It matters to Status alone.
	Cut map[Key]bool
}

// Limits bound a turn.
type Limits struct {
	Launch   int // nodes that one turn may start; 0 means 500
	InFlight int // deliveries that the run may have in flight; 0 means no bound
	// Slots is how many deliveries the pool works on at once; 0 is unknown, or that there are
	// no workers.
	Slots int
	// Hold has nothing new start: results are taken, and what may start waits.
	Hold bool
	// Places says that the run needs a place among those under way.
	Places bool
	// ChunkFrom is how many items a loop has at least that goes to workers in chunks; 0 means
	// 256, and less than 0 that none does.
	ChunkFrom int
	// Chunks is how many chunks what is left of a loop is cut into; 0 means 2 x Slots.
	Chunks int
}

// EventKind tells what happened.
type EventKind string

// The kinds of events.
const (
	EventResult EventKind = "result" // a leaf ended: Key, Result
	EventReady  EventKind = "ready"  // a daemon has become ready: Key, Ready
	EventWaits  EventKind = "waits"  // what a leaf waits for that a worker has, "" once it starts: Key, Message
	EventTells  EventKind = "tells"  // what a leaf that runs tells of its progress: Key, Message
	EventItems  EventKind = "items"  // items of a chunk ended: Key, Items
	EventSignal EventKind = "signal" // somebody asked: Signal
	EventTimer  EventKind = "timer"  // a timer that a Delta set came due: Key, Timer
	EventSet    EventKind = "set"    // somebody set nodes that wait: Keys, Set
	EventLock   EventKind = "lock"   // what became of LockAsk: Key, Lock
	EventMemo   EventKind = "memo"   // what is kept for a node: Key, Memo
	EventLocks  EventKind = "locks"  // the run's locks are to be gone over
)

// Signals that a run understands.
const (
	SignalStop      = "Stop"
	SignalTerminate = "Terminate"
	SignalSuspend   = "Suspend"
	SignalResume    = "Resume" // with Keys: of nodes that waited
)

// Event is one thing that happened to a run since its last turn. An event that the run has
// already seen, or that concerns an ended node, changes nothing.
type Event struct {
	Kind    EventKind `json:"k"`
	Key     Key       `json:"n,omitempty"`
	Result  *Result   `json:"r,omitempty"`
	Ready   *Ready    `json:"rd,omitempty"`
	Items   *Tally    `json:"i,omitempty"`
	Signal  string    `json:"sig,omitempty"`
	Message string    `json:"m,omitempty"`
	Timer   string    `json:"tm,omitempty"`
	Keys    []Key     `json:"ks,omitempty"`
	Set     *Set      `json:"st,omitempty"`

	Lock *LockAnswer `json:"lk,omitempty"`
	Memo *Memo       `json:"me,omitempty"`

	// By are labels that say who is behind a signal.
	By map[string]string `json:"by,omitempty"`
}

// Closes says that the event ends a run before its time.
func (e *Event) Closes() bool {
	switch e.Kind {
	case EventSignal:
		return e.Signal == SignalStop || e.Signal == SignalTerminate
	case EventTimer:
		return e.Timer == timerDeadline && e.Key == Root
	}
	return false
}

// Result is how a leaf ended.
type Result struct {
	Phase spec.NodePhase `json:"p"` // Succeeded; Failed (the user's command); Error (ours)
	// Stopped says that it was ended as the run had asked, and not by itself.
	Stopped bool   `json:"-"`
	Message string `json:"m,omitempty"`
	// Class groups Errors for retry policies and metrics: "lost", "image", "store",
	// "deadline", "oom", "evicted", "poison", "invalid", ...
	Class    string  `json:"c,omitempty"`
	Outputs  *Values `json:"o,omitempty"`
	Started  Millis  `json:"s,omitempty"`
	Finished Millis  `json:"f,omitempty"`
	Host     string  `json:"h,omitempty"`
	// Resources are what the step's pod had of them, for how long.
	Resources spec.ResourcesDuration `json:"rs,omitempty"`
	// Containers are those of a container set.
	Containers []Container `json:"cn,omitempty"`
	// Progress is what the step told last.
	Progress spec.Progress `json:"pg,omitempty"`
}

// Timer asks for an EventTimer at a time. A timer replaces an earlier one of the same key
// and name; a zero At takes it back.
type Timer struct {
	Key  Key
	Name string
	At   Millis
}

// Delta is a turn's decision: what the caller must commit, all or nothing, and then do.
type Delta struct {
	State State
	// Nodes are the records that changed or came to be.
	Nodes []*Node
	// Gone are records that are needed no more: chunks that have ended.
	Gone []Key
	// Wipe are chunked loops whose items' records are to be removed, before all else. Of Reopen
	// those of items that run again are, before the Delta is committed.
	Wipe   []Key
	Reopen []Reopen
	// Copy are chunked loops whose items' records are to be taken over from the run's Origin, before
	// Reopen.
	Copy []Copy
	// Forget are leaves that run again, whose logs are of no use.
	Forget []Key
	// Dispatch names leaves and chunks to send to the queue, in order.
	Dispatch []Key
	// CancelAll asks to end every leaf in flight; their results come back as events. SpareExit
	// leaves out those of exit handlers.
	CancelAll, SpareExit bool
	// CancelMessage and CancelPhase are what a leaf that had not started yet ends with.
	CancelMessage string
	CancelPhase   spec.NodePhase
	// Late are leaves to end by themselves, for LateMessage; their results come back as events.
	Late []Key
	// End are daemons whose scope has ended: they have ended for the run, and nobody waits for
	// their results.
	End    []Key
	Timers []Timer
	// Metrics are what the run emits if the Delta is committed.
	Metrics []Emission
	Orders  *Orders    // to be done next; nil is nothing
	Saves   []MemoSave // to be kept first
	// More says that the turn stopped at Limits.Launch: take another one at once.
	More bool
}

// Waiting is how many leaves or loop items could be launched now if the run had more credit:
// State.Waiting, as far as the spec's parallelism lets them.
func (d *Delta) Waiting(p *Plan) int {
	n := d.State.Waiting()
	if most := p.Spec.Parallelism; most != nil {
		n = int(max(0, min(int64(n), *most-int64(d.State.InFlight))))
	}
	if d.Finished() {
		return 0
	}
	return n
}

// Finished says that the run has ended with this Delta.
func (d *Delta) Finished() bool { return d.State.Finished != 0 }

// MissingError reports nodes that Advance needs and the View does not hold, or something else
// if that is set. Load them, nil for one that does not exist, and call again.
type MissingError struct {
	Keys []Key
	// Loop is a chunked loop whose View.Outputs are needed.
	Loop Key
	// All asks for the whole run: a Complete View; From for View.From.
	All, From bool
	// ConfigMap is the name of one that View.ConfigMaps lacks, SyncLimit of what
	// View.SyncLimits lacks.
	ConfigMap, SyncLimit string
}

func (e *MissingError) Error() string {
	switch {
	case e.ConfigMap != "":
		return fmt.Sprintf("config map %q is not loaded", e.ConfigMap)
	case e.From:
		return "the nodes of the run that this one takes over are not loaded"
	case e.SyncLimit != "":
		return fmt.Sprintf("the limit of %q is not loaded", e.SyncLimit)
	case e.All:
		return "the run's nodes are not all loaded"
	case e.Loop != "":
		return fmt.Sprintf("the outputs of loop %q are not loaded", e.Loop)
	}
	return fmt.Sprintf("%d nodes are not loaded", len(e.Keys))
}

// Needs lists the nodes that the events concern and the scopes above them: what a View must
// hold at least.
func Needs(events []Event) []Key {
	keys := make([]Key, 0, len(events))
	for i := range events {
		keys = append(append(keys, events[i].Key), events[i].Keys...)
	}
	return withScopes(keys)
}

// withScopes lists the root, the nodes and the scopes above them, each once.
func withScopes(nodes []Key) []Key {
	seen := map[Key]bool{Root: true}
	keys := []Key{Root}
	for _, k := range nodes {
		for ok := true; ok && !seen[k]; k, ok = k.Parent() {
			seen[k] = true
			keys = append(keys, k)
		}
	}
	return keys
}

// EncodeNode and DecodeNode are the storage form of a node.
func EncodeNode(n *Node) ([]byte, error) { return json.Marshal(n) }

// DecodeNode reads what EncodeNode wrote.
func DecodeNode(k Key, data []byte) (*Node, error) {
	n := &Node{Key: k}
	if err := json.Unmarshal(data, n); err != nil {
		return nil, fmt.Errorf("decoding node %q: %w", k, err)
	}
	return n, nil
}
