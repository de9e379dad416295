package workflow

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// A wide loop over a leaf template goes to workers in chunks: one delivery carries a range of
// items. The worker opens each item with the code that a turn would have opened it with, runs
// it with its retries, and records how it ended, packed, where the run's records are. The run
// itself learns only what it decides by: a Tally of each batch of items.
//
//	          take            dispatched, claimed       Tally, Tally .. the last one
//	left ------------> chunk --------------------> runs ----------------------------> gone
//	  ^                                                                                 |
//	  +---- Back: what a worker returns of a chunk, its time being up ------------------+
//
// A chunk's worker works on its items in order, so that what is left of one is always its end.
const (
	defaultChunkFrom = 256
	maxChunk         = 50_000
	// firstChunk bounds chunks as long as nobody knows how long an item takes.
	firstChunk = 64
	// ChunkTime is how long a worker works on a chunk before it returns the rest, so that
	// others get their turn.
	ChunkTime = 200 * time.Millisecond
)

// ChunksState is what a chunked loop keeps beside what any loop does.
type ChunksState struct {
	Back   [][2]int `json:"b,omitempty"` // ranges of items that were launched and returned
	Micros int64    `json:"u,omitempty"` // time that workers spent on the items that ended
	Ended  int      `json:"e,omitempty"` // those items
	Leaves int      `json:"v,omitempty"` // attempts of those
	// Reused counts the items among those that succeeded in the run's Origin; the leaf that did so is
	// none of Leaves.
	Reused int `json:"r,omitempty"`

	call *CallState // of a loop that starts
}

// ChunkState is a range of items under way.
type ChunkState struct {
	From int `json:"f,omitempty"`
	To   int `json:"t"`           // exclusive
	Done int `json:"d,omitempty"` // the first one that has no result yet
	// Poison says that too many workers died with that one: it is not tried again.
	Poison bool `json:"p,omitempty"`
}

// CallState is what items are opened with that does not depend on the item. It holds the
// values of what the call's texts name, by name.
type CallState struct {
	Caller     string                   `json:"c"` // the template that holds the call
	Values     map[string]string        `json:"v,omitempty"`
	Absent     []string                 `json:"a,omitempty"`
	Artifacts  map[string]spec.Artifact `json:"f,omitempty"` // by what a from names
	WantResult bool                     `json:"w,omitempty"`
}

// Tally is how the items [From, To) of a chunk ended.
type Tally struct {
	From      int `json:"f,omitempty"`
	To        int `json:"t,omitempty"`
	Succeeded int `json:"s,omitempty"`
	Failed    int `json:"x,omitempty"`
	Errors    int `json:"e,omitempty"`
	Leaves    int `json:"l,omitempty"`  // attempts that were run
	Reused    int `json:"ru,omitempty"` // of Succeeded, those that did so in the run's Origin
	// The first item that Failed, the first that ended as Error, and the last of either with
	// its phase; of no use when there is none.
	FirstFailed int            `json:"ff,omitempty"`
	FirstError  int            `json:"fe,omitempty"`
	Why         string         `json:"w,omitempty"` // the refusal of that one
	LastBad     int            `json:"lb,omitempty"`
	LastPhase   spec.NodePhase `json:"lp,omitempty"`
	Micros      int64          `json:"u,omitempty"` // time spent on them
	// End says that the delivery is over. Items of the chunk after To go back to the loop.
	End bool `json:"end,omitempty"`
}

// callKey is the key of the record with a chunked loop's CallState.
func callKey(loop Key) Key { return loop.Child("#call") }

// chunkKey is the key of the chunk that begins with item i. An item begins a chunk only once:
// a chunk is returned when at least its first item has ended.
func chunkKey(loop Key, i int) Key { return loop.Child("#c" + strconv.Itoa(i)) }

// IsChunk says that the key is that of a chunk.
func (k Key) IsChunk() bool { return strings.HasPrefix(k.Segment(), "#c") && k.Segment() != "#call" }

// chunks prepares a loop that goes to workers in chunks; nil: each item needs turns of its own.
func (t *turn) chunks(n *Node, c *call) *ChunksState {
	from := t.v.Limits.ChunkFrom
	if from == 0 {
		from = defaultChunkFrom
	}
	tmpl, err := t.v.Plan.template(c.template)
	if from < 0 || n.Loop.Count < from || t.v.Plan.failures || c.caller.Limit != nil || !c.hooks.none() || err != nil || !tmpl.chunks() {
		return nil
	}
	if state := t.captureCall(c); state != nil {
		return &ChunksState{call: state}
	}
	return nil
}

// chunks says that a worker alone can take a node of the template from its call to its end.
func (t *template) chunks() bool {
	if t.TellsProgress() { // which items of chunks have no record for
		return false
	}
	if t.IsDaemon() || t.Synchronization != nil || t.Memoize != nil || t.Container == nil && t.Script == nil || len(t.dynamic) > 0 || t.lastRetry || t.inline || t.Metrics != nil {
		return false
	}
	if r := t.RetryStrategy; r != nil && *r != (spec.RetryStrategy{Limit: r.Limit, RetryPolicy: r.RetryPolicy}) {
		return false
	}
	if slices.ContainsFunc(t.Inputs.Parameters, func(p spec.Parameter) bool { return fromConfigMap(&p) }) {
		return false // only a turn reads config maps
	}
	// What is exported may be read by any other node, in the order of the items' ends.
	return !slices.ContainsFunc(t.Outputs.Parameters, func(p spec.Parameter) bool { return p.GlobalName != "" }) &&
		!slices.ContainsFunc(t.Outputs.Artifacts, func(a spec.Artifact) bool { return a.GlobalName != "" })
}

// captureCall keeps the values of what the call's texts name; nil: they are not all known, or
// not the same for all items.
func (t *turn) captureCall(c *call) *CallState {
	refs, ok := c.references()
	if !ok || slices.ContainsFunc(c.arguments.Parameters, func(p spec.Parameter) bool { return fromConfigMap(&p) }) {
		return nil
	}
	s := &CallState{Caller: c.caller.Template, WantResult: t.wantsResult(c)}
	scope := t.callScope(c, nil)
	for _, name := range refs {
		if !s.capture(name, scope) {
			return nil
		}
	}
	find := t.opener(c).find
	for i := range c.arguments.Artifacts {
		a := &c.arguments.Artifacts[i]
		if a.FromExpression != "" {
			return nil
		}
		if a.From == "" {
			continue
		}
		found, err := find(fromName(a))
		if err != nil || found == nil {
			return nil
		}
		if s.Artifacts == nil {
			s.Artifacts = map[string]spec.Artifact{}
		}
		s.Artifacts[fromName(a)] = *found
	}
	return s
}

// references are the names in the texts that an item is opened with; false: they cannot be
// told, or their values change.
func (c *call) references() ([]string, bool) {
	data, err := json.Marshal([]any{c.arguments, c.when})
	var tree any
	if err != nil || json.Unmarshal(data, &tree) != nil || nested(tree) {
		return nil, false
	}
	refs := map[string]bool{}
	collectRefs(tree, refs)
	return sortedNames(refs), !slices.ContainsFunc(sortedNames(refs), dynamicName)
}

func nested(v any) bool {
	switch v := v.(type) {
	case string:
		return expr.Nested(v)
	case []any:
		return slices.ContainsFunc(v, nested)
	case map[string]any:
		for _, e := range v {
			if nested(e) {
				return true
			}
		}
	}
	return false
}

// capture keeps what a name stands for: the longest part of it that is a name, as expressions
// look for it. A name that nobody knows is none to the worker either.
func (s *CallState) capture(name string, scope expr.Scope) bool {
	if root, _, _ := strings.Cut(name, "."); root == "item" {
		return true
	}
	for ; name != ""; name = name[:max(0, strings.LastIndexByte(name, '.'))] {
		value, state := scope.Lookup(name)
		switch text, isText := value.(string); {
		case state == expr.Unknown:
		case state == expr.Absent || state == expr.Known && value == nil:
			s.Absent = append(s.Absent, name)
			return true
		case state != expr.Known || !isText:
			return false
		default:
			if s.Values == nil {
				s.Values = map[string]string{}
			}
			s.Values[name] = text
			return true
		}
	}
	return true
}

// Lookup is a Scope of what was captured.
func (s *CallState) Lookup(name string) (any, expr.State) {
	if v, ok := s.Values[name]; ok {
		return v, expr.Known
	}
	if slices.Contains(s.Absent, name) {
		return nil, expr.Absent
	}
	return nil, expr.Unknown
}

// expandChunks launches the chunks that there is room for.
func (t *turn) expandChunks(n *Node) {
	l, s := n.Loop, &t.delta.State
	for left := l.left(); left > 0 && !t.closing(n.Key); left = l.left() {
		if !t.hasRoom() {
			s.Ready = append(s.Ready, n.Key)
			break
		}
		from, to := l.take(l.chunkSize(left, t.v.Limits))
		l.Running += to - from
		s.Left -= to - from
		s.Total += to - from
		s.InFlight++
		t.room--
		chunk := &Node{Key: chunkKey(n.Key, from), Template: n.Template, Chunk: &ChunkState{From: from, To: to, Done: from}}
		t.put(chunk)
		t.delta.Dispatch = append(t.delta.Dispatch, chunk.Key)
	}
	t.settleLoop(n)
}

// chunkSize is guided self-scheduling: large chunks first and small ones at the end, so that
// workers end together, and none that takes much longer than ChunkTime.
func (l *LoopState) chunkSize(left int, limits Limits) int {
	chunks := cmp.Or(limits.Chunks, 2*limits.Slots, limits.InFlight, 16)
	size := min(maxChunk, (left+chunks-1)/chunks)
	if c := l.Chunks; c.Ended == 0 {
		size = min(size, firstChunk)
	} else if each := c.Micros / int64(c.Ended); each > 0 {
		size = min(size, int(ChunkTime.Microseconds()/each))
	}
	return max(1, size)
}

// take takes a range of at most so many items: of what came back first.
func (l *LoopState) take(size int) (from, to int) {
	if c := l.Chunks; len(c.Back) > 0 {
		first := &c.Back[0]
		from, to = first[0], min(first[0]+size, first[1])
		if first[0] = to; to == first[1] {
			c.Back = c.Back[1:]
		}
		return from, to
	}
	from, to = l.Next, min(l.Next+size, l.Count)
	l.Next = to
	return from, to
}

// itemsEnded takes note of items' ends. What was counted before changes nothing.
func (t *turn) itemsEnded(e *Event) {
	n, r := t.node(e.Key), e.Items
	if n == nil || n.Chunk == nil || r == nil || r.From != n.Chunk.Done || r.To < r.From || r.To > n.Chunk.To {
		return
	}
	n = t.edit(e.Key)
	if r.To > r.From {
		n.Chunk.Done, n.Chunk.Poison, n.Lost = r.To, false, 0
	}
	pk, _ := n.Key.Parent()
	loop := t.edit(pk)
	t.count(loop, r)
	if r.End || n.Chunk.Done == n.Chunk.To {
		t.chunkEnded(n)
		return
	}
	t.settleLoop(loop)
}

// count adds a tally to a loop.
func (t *turn) count(n *Node, r *Tally) {
	l, s := n.Loop, &t.delta.State
	ended := r.To - r.From
	l.Running -= ended
	l.Succeeded += r.Succeeded
	l.Bad += r.Failed
	l.Errors += r.Errors
	l.Chunks.Ended += ended
	l.Chunks.Micros += r.Micros
	l.Chunks.Leaves += r.Leaves
	s.Total += r.Leaves - ended
	s.Done += r.Leaves
	s.Succeeded += r.Succeeded - r.Reused
	l.Chunks.Reused += r.Reused
	if r.Failed+r.Errors == 0 {
		return
	}
	if l.Phase == "" || r.LastBad > l.Last {
		l.Phase, l.Last = r.LastPhase, r.LastBad
	}
	c := t.site(n.Key)
	first, why := -1, ""
	if r.Failed > 0 && !c.tolerates(spec.NodeFailed) {
		first = r.FirstFailed
	}
	if r.Errors > 0 && !c.tolerates(spec.NodeError) && (first < 0 || r.FirstError < first) {
		first, why = r.FirstError, r.Why
	}
	if first >= 0 && (l.Failed == "" || first < l.First) {
		t.needItems(n, first, first+1)
		l.Failed, l.First, l.Why = itemKey(n.Key, first, t.item(n, c, first)).ID(t.v.Run.Name), first, why
	}
}

// chunkEnded removes a chunk. Its items that have no result go back to the loop.
func (t *turn) chunkEnded(n *Node) {
	s := &t.delta.State
	pk, _ := n.Key.Parent()
	loop := t.edit(pk)
	l := loop.Loop
	s.InFlight--
	if from, to := n.Chunk.Done, n.Chunk.To; from < to {
		l.Chunks.Back = append(l.Chunks.Back, [2]int{from, to})
		l.Running -= to - from
		s.Total -= to - from
		s.Left += to - from
		if !slices.Contains(s.Ready, pk) {
			s.Ready = append(s.Ready, pk)
		}
	}
	t.drop(n)
	t.settleLoop(loop)
}

// chunkOutputs are the outputs of a chunked loop's items, but for exit codes.
func (t *turn) chunkOutputs(loop Key) []*Values {
	extras, ok := t.v.Outputs[loop]
	if !ok {
		panic(&MissingError{Loop: loop}) // recovered in Advance
	}
	var outputs []*Values
	for _, i := range slices.Sorted(maps.Keys(extras)) {
		var x extra
		if json.Unmarshal(extras[i], &x) == nil && x.Outputs != nil {
			outputs = append(outputs, x.Outputs)
		}
	}
	return outputs
}
