package workflow_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// shelf keeps the packed records of chunked loops, as the state store does.
type shelf map[workflow.Key]*workflow.Packed

// keep stores what a worker packed.
func (s shelf) keep(loop workflow.Key, p *workflow.Pack) {
	all := s[loop]
	if all == nil {
		all = &workflow.Packed{Extras: map[int][]byte{}, Hosts: []string{"elsewhere", "here"}}
		s[loop] = all
	}
	if need := p.To * workflow.ItemSize; len(all.Records) < need {
		all.Records = append(all.Records, make([]byte, need-len(all.Records))...)
	}
	copy(all.Records[p.First*workflow.ItemSize:], p.Records)
	for i, x := range p.Extras {
		all.Extras[i] = x
	}
}

// reopen takes back the records of items that run again, as reopen.lua does.
func (s shelf) reopen(r workflow.Reopen) {
	p := s[r.Loop]
	if p == nil {
		return
	}
	for i := range len(p.Records) / workflow.ItemSize {
		record := p.Records[i*workflow.ItemSize:][:workflow.ItemSize]
		if code := record[0] & 0x0f; (code == 1 || code == 4) && !slices.ContainsFunc(r.Also, func(r [2]int) bool { return r[0] <= i && i < r[1] }) {
			record[0] |= 0x20
			continue
		}
		clear(record)
		delete(p.Extras, i)
	}
}

// outputs are what a View may be asked to hold of them.
func (s shelf) outputs(nodes map[workflow.Key]*workflow.Node) map[workflow.Key]map[int][]byte {
	out := map[workflow.Key]map[int][]byte{}
	for k, n := range nodes {
		if n != nil && n.Loop != nil && n.Loop.Chunks != nil {
			out[k] = nil
			if p := s[k]; p != nil {
				out[k] = p.Extras
			}
		}
	}
	return out
}

// items opens the items of a chunked loop.
func (e *engine) items(loop *workflow.Node) *workflow.Items {
	e.t.Helper()
	needs := map[workflow.Key]*workflow.Node{}
	for _, k := range workflow.ItemNeeds(loop, 0, loop.Loop.Count) {
		needs[k] = e.view.Nodes[k]
	}
	it, err := e.view.Plan.Items(e.view.Run, loop, needs)
	require.NoError(e.t, err)
	return it
}

// chunk plays a worker: it runs at most so many items of a chunk, and returns the rest or
// goes on later.
func (e *engine) chunk(k workflow.Key, most int, end bool) workflow.Event {
	e.t.Helper()
	n := e.view.Nodes[k]
	pk, _ := k.Parent()
	loop := e.view.Nodes[pk]
	it := e.items(loop)
	from := n.Chunk.Done
	for e.shelf[pk] != nil && from < n.Chunk.To && e.shelf[pk].Has(from) && !e.shelf[pk].Kept(from) {
		from++
	}
	pack := workflow.NewPack(loop, from, "here", 2)
	for i := from; i < n.Chunk.To && i < from+most; i++ {
		if e.shelf[pk] != nil && e.shelf[pk].Kept(i) {
			pack.Keep(e.shelf[pk], i)
			continue
		}
		r := it.Begin(i, workflow.At(e.now))
		for leaf := r.Leaf(); leaf != nil; leaf = r.Leaf() {
			result := e.leaf(leaf)
			result.Started, result.Finished, result.Host = loop.Started+workflow.Millis(7*i), loop.Started+workflow.Millis(9*i+1), []string{"here", "there"}[i%2]
			r.Ended(result)
		}
		require.NoError(e.t, pack.Add(r))
	}
	pack.End = end || pack.To == n.Chunk.To
	e.shelf.keep(pk, pack)
	return workflow.Event{Kind: workflow.EventItems, Key: k, Items: &pack.Tally}
}

// spread gives the items of chunked loops nodes of their own, as a loop without chunks has.
func (e *engine) spread() {
	e.t.Helper()
	for _, loop := range e.view.Nodes {
		if loop.Loop == nil || loop.Loop.Chunks == nil || e.shelf[loop.Key] == nil {
			continue
		}
		it := e.items(loop)
		for i := range loop.Loop.Count {
			r, err := it.Unpack(e.shelf[loop.Key], i)
			require.NoError(e.t, err)
			if r == nil {
				continue
			}
			require.Equal(e.t, it.Key(i), r.Nodes()[0].Key)
			for _, n := range r.Nodes() {
				e.view.Nodes[n.Key] = n
			}
		}
	}
}

// records is all that is known of a run's nodes at its end, but for times.
func (e *engine) records() map[string]string {
	e.t.Helper()
	out := map[string]string{}
	for k, n := range e.view.Nodes {
		if n.Type == "" {
			continue
		}
		shown := *n
		shown.Started, shown.Finished, shown.Host = 0, 0, ""
		if n.Retry != nil {
			r := *n.Retry
			r.First = 0
			shown.Retry = &r
		}
		if n.Loop != nil {
			l := *n.Loop
			l.Chunks = nil
			shown.Loop = &l
		}
		data, err := json.Marshal(&shown)
		require.NoError(e.t, err)
		out[k.Name("wf")] = string(data)
	}
	return out
}

// timeless is a status but for times, and what depends on them.
func timeless(s spec.WorkflowStatus) spec.WorkflowStatus {
	s.StartedAt, s.FinishedAt = metav1.Time{}, metav1.Time{}
	for id, n := range s.Nodes {
		n.StartedAt, n.FinishedAt, n.HostNodeName = metav1.Time{}, metav1.Time{}, ""
		s.Nodes[id] = n
	}
	return s
}

func TestChunkedLoopsEndAsThePlainOnes(t *testing.T) {
	t.Parallel()
	chunked := 0
	for seed := range uint64(600) {
		n := randomNested(seed, false)
		if f := n.reference(); len(f.phases) > 400 {
			continue
		}
		plain, chunks := newChaos(t, n, seed), newChaos(t, n, seed)
		chunks.chunkFrom = 1
		plain.finish()
		chunks.finish()
		for _, node := range chunks.view.Nodes {
			if node.Loop != nil && node.Loop.Chunks != nil {
				chunked++
			}
		}
		chunks.spread()
		chunks.requireSettled()
		require.Equal(t, plain.records(), chunks.records(), "seed %d\n%s", seed, n.yaml())
		require.Equal(t, timeless(workflow.Status(plain.view, nil)), timeless(workflow.Status(chunks.view, nil)), "seed %d", seed)
		require.Equal(t, plain.view.State.Message, chunks.view.State.Message)
		require.Equal(t, plain.view.State.Total, chunks.view.State.Total)
	}
	require.Greater(t, chunked, 150)
}

func TestChunkedLoopsEndWheneverTheyAreStopped(t *testing.T) {
	t.Parallel()
	terminate := workflow.Event{Kind: workflow.EventSignal, Signal: workflow.SignalTerminate}
	deadline := workflow.Event{Kind: workflow.EventTimer, Key: workflow.Root, Timer: "deadline"}
	for seed := range uint64(400) {
		n := randomNested(seed, true)
		if len(n.reference().phases) > 400 {
			continue
		}
		c := newChaos(t, n, seed, [][]workflow.Event{{stop}, {stop, terminate}, {deadline}}[seed%3]...)
		c.chunkFrom = 1
		c.finish()
		c.spread()
		c.requireSettled()
	}
}

// wide is a loop whose items differ in all ways that they can.
const wide = head + `
  - name: list
    container: {image: busybox, args: [list]}
  - name: leaf
    inputs:
      parameters: [{name: text}, {name: more, default: "{{workflow.name}}"}]
      artifacts: [{name: in, path: /in, optional: true, raw: {data: "for {{inputs.parameters.text}}"}}]
    outputs: {parameters: [{name: out, valueFrom: {path: /tmp/out}}]}
    retryStrategy: {limit: "{{=asInt(inputs.parameters.text) % 3}}", retryPolicy: Always}
    activeDeadlineSeconds: 30
    script: {image: busybox, command: [sh], source: "echo {{inputs.parameters.text}} {{retries}} {{pod.name}} {{node.name}}"}
  - name: main
    steps:
    - - {name: list, template: list}
    - - name: a
        template: leaf
        withParam: "{{steps.list.outputs.result}}"
        when: "{{item.n}} != 4 && {{steps.list.status}} == Succeeded"
        continueOn: {failed: true, error: true}
        arguments:
          parameters:
          - {name: text, value: "{{item.n}}"}
          - {name: more, value: "{{=item.s + steps.list.outputs.result[:3] + sprig.upper(workflow.name)}}"}
    - - {name: end, template: echo, arguments: {parameters: [{name: text, value: "{{steps.a.outputs.parameters.out}}"}]}}
`

func TestAChunkedItemIsAllThatAPlainOneIs(t *testing.T) {
	t.Parallel()
	var list []map[string]any
	for i := range 40 {
		item := map[string]any{"n": i, "s": fmt.Sprintf("{{not.a.tag}} %d", i)}
		if i == 7 {
			delete(item, "s") // cannot be opened
		}
		list = append(list, item)
	}
	text, err := json.Marshal(list)
	require.NoError(t, err)
	run := func(chunkFrom int) *engine {
		e := newEngine(t, wide)
		e.view.Limits.ChunkFrom, e.view.Limits.InFlight = chunkFrom, 5
		resolved := map[workflow.Key]string{}
		e.act = func(n *workflow.Node, tmpl *spec.Template) *workflow.Result {
			data, err := json.Marshal(tmpl)
			require.NoError(t, err)
			resolved[n.Key] = string(data)
			if tmpl.Name == "list" {
				result := string(text)
				return &workflow.Result{Phase: spec.NodeSucceeded, Outputs: &workflow.Values{Result: &result}}
			}
			if tmpl.Name == "echo" {
				return echo(n, tmpl)
			}
			code := int(n.Key[len(n.Key)-2]-'0') % 2 * len(n.Inputs.Parameters[0].Value) // some attempts fail
			code = (code + len(resolved)) % 3
			code = map[bool]int{true: 0, false: code}[len(string(n.Key))%3 == 0]
			value := "out of " + n.Inputs.Parameters[0].Value
			r := &workflow.Result{Phase: spec.NodeSucceeded, Outputs: &workflow.Values{ExitCode: &code, Parameters: []workflow.Param{{Name: "out", Value: value}}}}
			switch code {
			case 1:
				r.Phase, r.Message, r.Outputs.Parameters = spec.NodeFailed, workflow.ExitMessage(1), nil
			case 2:
				r.Phase, r.Message, r.Class = spec.NodeError, "gone", "lost"
			}
			return r
		}
		e.run(inOrder)
		e.spread()
		for k := range e.view.Nodes {
			if k.IsChunk() {
				require.Fail(t, "a chunk is left", k)
			}
		}
		require.NotEmpty(t, resolved)
		return e
	}
	plain, chunks := run(-1), run(2)
	require.NotNil(t, chunks.node("wf[1].a").Loop.Chunks)
	require.Equal(t, plain.records(), chunks.records())
	require.Contains(t, chunks.node("wf[2].end").Inputs.Parameters[0].Value, "out of 0")
}

func TestWhatNeedsTurnsOfItsOwnIsNotChunked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		template, call string
		want           bool
	}{
		"a leaf":                        {`{name: leaf, container: {image: i}}`, ``, true},
		"with retries":                  {`{name: leaf, retryStrategy: {limit: 2}, container: {image: i}}`, ``, true},
		"steps":                         {`{name: leaf, steps: [[{name: x, template: echo}]]}`, ``, false},
		"an exported output":            {`{name: leaf, outputs: {parameters: [{name: o, globalName: g, valueFrom: {path: /o}}]}, container: {image: i}}`, ``, false},
		"the run's duration in it":      {`{name: leaf, container: {image: i, args: ["{{workflow.duration}}"]}}`, ``, false},
		"the run's outputs in the call": {`{name: leaf, inputs: {parameters: [{name: p}]}, container: {image: i}}`, `, arguments: {parameters: [{name: p, value: "{{workflow.outputs.parameters.x}}"}]}`, false},
		"a name made of names":          {`{name: leaf, inputs: {parameters: [{name: p}]}, container: {image: i}}`, `, arguments: {parameters: [{name: p, value: "{{workflow.parameters.{{item}}}}"}]}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, head+"  - "+c.template+"\n  - name: main\n    steps:\n    - - {name: a, template: leaf, withSequence: {count: 10}"+c.call+"}\n")
			e.view.Limits = workflow.Limits{ChunkFrom: 5}
			e.turn()
			loop := e.view.Nodes[workflow.Root.Step(0, "a")]
			require.Equal(t, c.want, loop.Loop.Chunks != nil)
		})
	}
}

func TestChunksAreGuidedBySlotsAndTime(t *testing.T) {
	t.Parallel()
	e := newEngine(t, head+`
  - name: main
    steps:
    - - {name: a, template: echo, withSequence: {count: 1000000}}
`)
	e.view.Limits = workflow.Limits{Slots: 4, InFlight: 8}
	d := e.turn()
	require.Len(t, d.Dispatch, 8)
	size := func(k workflow.Key) int { c := e.view.Nodes[k].Chunk; return c.To - c.From }
	require.Equal(t, 64, size(d.Dispatch[0]), "nobody knows yet how long an item takes")
	tally := func(k workflow.Key, micros int64, end bool) workflow.Event {
		c := e.view.Nodes[k].Chunk
		return workflow.Event{Kind: workflow.EventItems, Key: k, Items: &workflow.Tally{
			From: c.Done, To: c.To, Succeeded: c.To - c.Done, Leaves: c.To - c.Done, Micros: micros, End: end,
		}}
	}
	next := e.turn(tally(d.Dispatch[0], 640, true))
	require.Equal(t, 20_000, size(next.Dispatch[0]), "as many as fit into ChunkTime")
	require.Equal(t, 8, e.view.State.InFlight)
	require.Equal(t, 64+7*64+20_000, e.view.State.Total)
	require.Equal(t, 1_000_000-e.view.State.Total, e.view.State.Left)
	// A worker whose time is up returns the rest, which goes out first.
	back := tally(next.Dispatch[0], 200_000, true)
	back.Items.To -= 5_000
	next = e.turn(back)
	chunk := e.view.Nodes[next.Dispatch[0]].Chunk
	require.Equal(t, back.Items.To, chunk.From)
}

func TestAViewWithoutALoopsOutputsAsksForThem(t *testing.T) {
	t.Parallel()
	e := newEngine(t, head+`
  - name: main
    steps:
    - - {name: a, template: echo, withSequence: {count: 3}}
    - - {name: b, template: echo, arguments: {parameters: [{name: text, value: "{{steps.a.outputs.result}}"}]}}
`)
	e.view.Limits, e.act = workflow.Limits{ChunkFrom: 1, Slots: 1, InFlight: 1}, echo
	d := e.turn()
	var last workflow.Event
	for len(d.Dispatch) == 1 && d.Dispatch[0].IsChunk() {
		last = e.chunk(d.Dispatch[0], 1, true)
		if last.Items.To == 3 {
			break
		}
		d = e.turn(last)
	}
	view := *e.view
	view.Outputs = nil
	_, err := workflow.Advance(&view, []workflow.Event{last}, e.now)
	var missing *workflow.MissingError
	require.ErrorAs(t, err, &missing)
	require.Equal(t, workflow.Root.Step(0, "a"), missing.Loop)
	require.Len(t, e.shelf[missing.Loop].Extras, 3)
}

// BenchmarkItem is what it costs to open, resolve and pack one item.
func BenchmarkItem(b *testing.B) {
	view, _ := wideLoop(b, 1)
	view.Limits = workflow.Limits{ChunkFrom: 1}
	view.Nodes, view.State = nil, workflow.State{}
	d, err := workflow.Advance(view, nil, start)
	require.NoError(b, err)
	view = view.Apply(d)
	loop := view.Nodes[workflow.Root.Step(0, "a")]
	it, err := view.Plan.Items(view.Run, loop, view.Nodes)
	require.NoError(b, err)
	result := &workflow.Result{Phase: spec.NodeSucceeded}
	b.ReportAllocs()
	for b.Loop() {
		pack := workflow.NewPack(loop, 0, "", 0)
		r := it.Begin(0, 0)
		if _, _, err := view.Plan.Resolve(view.Run, r.Leaf()); err != nil {
			b.Fatal(err)
		}
		r.Ended(result)
		if err := pack.Add(r); err != nil {
			b.Fatal(err)
		}
	}
}
