package workflow

import (
	"encoding/json"
	"time"

	"argosy/workflow/spec"
)

// Node is the record of one node of a run: what the run must remember of it, and nothing
// that follows from the spec. Its JSON is what the state store keeps, hence the short names.
type Node struct {
	Key      Key            `json:"-"`            // the field under which the record is stored
	Type     spec.NodeType  `json:"t"`            // Pod, Steps, DAG, TaskGroup, Retry, Suspend, Skipped
	Phase    spec.NodePhase `json:"p"`            // Argo's node phase
	Template string         `json:"tm,omitempty"` // the template that the node runs, by name
	Message  string         `json:"m,omitempty"`
	Display  string         `json:"dp,omitempty"` // the name to show, where the template gives one
	Started  Millis         `json:"s,omitempty"`
	Finished Millis         `json:"f,omitempty"`
	Host     string         `json:"h,omitempty"`  // where a leaf ran
	Class    string         `json:"c,omitempty"`  // class of an Error, see Result.Class
	Lost     int            `json:"ls,omitempty"` // workers that died with it
	Held     string         `json:"hd,omitempty"` // what the node waits for that no worker reports, see held.go
	Late     bool           `json:"lt,omitempty"` // a leaf that is ended as it took too long
	Refused  bool           `json:"rf,omitempty"` // it ended as Error since something of it could not be resolved
	Reused   bool           `json:"ru,omitempty"` // a leaf that was skipped as it succeeded in the run's Origin

	Inputs  *Values `json:"i,omitempty"`
	Outputs *Values `json:"o,omitempty"`
	// Resources are what a leaf's pod had of them, for how long.
	Resources spec.ResourcesDuration `json:"rs,omitempty"`
	// Progress is what a leaf told of its own, or starts with.
	Progress *Units `json:"pg,omitempty"`
	// Avoid are the hosts of the attempts before, if this one is to run elsewhere.
	Avoid []string `json:"av,omitempty"`
	// Containers are how those of a container set ended.
	Containers []Container `json:"cn,omitempty"`

	// Vars holds what the template uses of names whose value changes during a run
	// (workflow.outputs.*), as it was when the node was launched.
	Vars map[string]string `json:"v,omitempty"`
	// WantResult says that the caller mentions outputs.result.
	WantResult bool `json:"w,omitempty"`
	// Item is the loop value that the node was expanded with.
	Item json.RawMessage `json:"it,omitempty"`
	// Branch is the phase that a Skipped or Omitted DAG task inherits from its ancestors.
	Branch spec.NodePhase `json:"b,omitempty"`

	// Items are some of the items of the loop above, and then this is a record of its own
	// which is no node: it has no Type, see items.go.
	Items []json.RawMessage `json:"is,omitempty"`
	// Call is what a chunked loop's call is opened with, and Chunk a range of its items: as
	// Items, each makes a record of its own; see chunk.go.
	Call  *CallState  `json:"ca,omitempty"`
	Chunk *ChunkState `json:"ck,omitempty"`

	Steps *StepsState `json:"st,omitempty"`
	DAG   *DAGState   `json:"d,omitempty"`
	Loop  *LoopState  `json:"l,omitempty"`
	Retry *RetryState `json:"r,omitempty"`
	Limit *LimitState `json:"lm,omitempty"`
	Hooks *HookState  `json:"hk,omitempty"`
	Lock  *LockState  `json:"lk,omitempty"`
	Memo  *MemoState  `json:"me,omitempty"`

	// Daemon is set for what runs until it is ended, and Daemons are those that have served below
	// a Steps or DAG node.
	Daemon  *DaemonState `json:"dm,omitempty"`
	Daemons []Key        `json:"dn,omitempty"`
	// Counted says that State.Total has the node since it waits to start.
	Counted bool `json:"ct,omitempty"`
}

// Container is how one container of a set ended.
type Container struct {
	Name     string         `json:"n"`
	Phase    spec.NodePhase `json:"p"`
	Message  string         `json:"m,omitempty"`
	Started  Millis         `json:"s,omitempty"`
	Finished Millis         `json:"f,omitempty"`
}

// Values are the inputs or the outputs of a node.
type Values struct {
	Parameters []Param         `json:"p,omitempty"`
	Artifacts  []spec.Artifact `json:"a,omitempty"`
	Result     *string         `json:"r,omitempty"` // outputs.result
	ExitCode   *int            `json:"x,omitempty"`
}

// Param is a parameter with its value.
type Param struct {
	Name   string `json:"n"`
	Value  string `json:"v"`
	Global string `json:"g,omitempty"` // exported as workflow.outputs.parameters.<Global>
	// Of a node that waits for somebody: an output that has no value yet, the value that it has
	// then if nobody sets it; and what an input offers.
	Wanted      bool     `json:"w,omitempty"`
	Default     *string  `json:"d,omitempty"`
	Enum        []string `json:"e,omitempty"`
	Description string   `json:"ds,omitempty"`
}

// Parameter returns the named parameter's value. It is safe on nil.
func (v *Values) Parameter(name string) (string, bool) {
	if v != nil {
		for i := range v.Parameters {
			if v.Parameters[i].Name == name && !v.Parameters[i].Wanted {
				return v.Parameters[i].Value, true
			}
		}
	}
	return "", false
}

// Artifact returns the named artifact. It is safe on nil.
func (v *Values) Artifact(name string) (*spec.Artifact, bool) {
	if v != nil {
		for i := range v.Artifacts {
			if v.Artifacts[i].Name == name {
				return &v.Artifacts[i], true
			}
		}
	}
	return nil, false
}

// Fulfilled says that the node has ended, in whatever way.
func (n *Node) Fulfilled() bool { return n != nil && Fulfilled(n.Phase) }

// Failed says that the node ended as Failed or Error.
func (n *Node) Failed() bool { return n != nil && failed(n.Phase) }

// Fulfilled says that a phase is final.
func Fulfilled(p spec.NodePhase) bool {
	switch p {
	case spec.NodeSucceeded, spec.NodeFailed, spec.NodeError, spec.NodeSkipped, spec.NodeOmitted:
		return true
	}
	return false
}

func failed(p spec.NodePhase) bool { return p == spec.NodeFailed || p == spec.NodeError }

// Millis is a time in milliseconds since the Unix epoch; 0 is no time.
type Millis int64

// At converts a time.
func At(t time.Time) Millis {
	if t.IsZero() {
		return 0
	}
	return Millis(t.UnixMilli())
}

// Time converts back, in UTC.
func (m Millis) Time() time.Time {
	if m == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(m)).UTC()
}
