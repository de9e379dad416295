package workflow_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// start is when every test's run begins.
var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// engine plays coordinator and worker in memory: it keeps the run's records, takes turns and
// answers dispatched leaves through act.
type engine struct {
	t     *testing.T
	view  *workflow.View
	now   time.Time
	queue []workflow.Key
	// act decides how a leaf ends. The template is resolved.
	act func(n *workflow.Node, tmpl *spec.Template) *workflow.Result
	// partial gives Advance only the nodes it asks for.
	partial bool
	turns   int
	shelf   shelf
	configs map[string]*workflow.ConfigMap
	loaded  int // nodes that turns asked for
	rounds  int // how often they asked
	// serving are daemons that are ready and were not told to end.
	serving map[workflow.Key]bool
}

func parse(t *testing.T, text string) *spec.Workflow {
	t.Helper()
	docs, err := spec.Parse("test.yaml", []byte(text))
	require.NoError(t, err)
	wf, ok := docs[0].Object.(*spec.Workflow)
	require.True(t, ok, "the document is a %T", docs[0].Object)
	return wf
}

func newEngine(t *testing.T, text string) *engine {
	t.Helper()
	return newEngineOf(t, text, func(*spec.Workflow) {})
}

// newEngineOf is newEngine for a workflow that is prepared first.
func newEngineOf(t *testing.T, text string, prepare func(*spec.Workflow)) *engine {
	t.Helper()
	wf := parse(t, text)
	prepare(wf)
	plan, err := workflow.Compile(wf)
	require.NoError(t, err)
	run := &workflow.Run{ID: "uid", Name: "wf", Namespace: "default", Created: workflow.At(start), Arguments: wf.Execution().Arguments, Labels: wf.Labels}
	return &engine{t: t, view: &workflow.View{Run: run, Plan: plan, Nodes: map[workflow.Key]*workflow.Node{}, Complete: true, Limits: workflow.Limits{ChunkFrom: -1}}, now: start, act: succeed, shelf: shelf{}, serving: map[workflow.Key]bool{}}
}

func succeed(*workflow.Node, *spec.Template) *workflow.Result {
	return &workflow.Result{Phase: spec.NodeSucceeded}
}

// echo answers with the first argument as result, and exit codes: arguments "exit N".
func echo(_ *workflow.Node, tmpl *spec.Template) *workflow.Result {
	arg := strings.Join(tmpl.Container.Args, " ")
	if code, ok := strings.CutPrefix(arg, "exit "); ok && code != "0" {
		return &workflow.Result{Phase: spec.NodeFailed, Message: "Error (exit code " + code + ")"}
	}
	out := &workflow.Values{Result: &arg}
	for _, p := range tmpl.Outputs.Parameters {
		out.Parameters = append(out.Parameters, workflow.Param{Name: p.Name, Value: arg, Global: p.GlobalName})
	}
	return &workflow.Result{Phase: spec.NodeSucceeded, Outputs: out}
}

// turn takes one turn with the events.
func (e *engine) turn(events ...workflow.Event) *workflow.Delta {
	e.t.Helper()
	e.turns++
	e.now = e.now.Add(time.Second)
	view := *e.view
	view.Outputs = e.shelf.outputs(e.view.Nodes)
	if e.partial {
		view.Complete, view.Nodes = false, map[workflow.Key]*workflow.Node{}
	}
	for {
		d, err := workflow.Advance(&view, events, e.now)
		var missing *workflow.MissingError
		if errors.As(err, &missing) {
			e.rounds++
			if missing.All {
				view.Complete, view.Nodes = true, e.view.Nodes
				continue
			}
			if name := missing.ConfigMap; name != "" {
				require.NotContains(e.t, view.ConfigMaps, name, "asked again for a loaded config map")
				view.ConfigMaps = maps.Clone(view.ConfigMaps)
				if view.ConfigMaps == nil {
					view.ConfigMaps = map[string]*workflow.ConfigMap{}
				}
				view.ConfigMaps[name] = e.configs[name]
				continue
			}
			for _, k := range missing.Keys {
				require.NotContains(e.t, view.Nodes, k, "asked again for a loaded node")
				view.Nodes[k] = e.view.Nodes[k]
				e.loaded++
			}
			continue
		}
		require.NoError(e.t, err)
		e.store(d)
		e.queue = append(e.queue, d.Dispatch...)
		e.end(d)
		return d
	}
}

// store keeps the delta as a state store would: through the records' encoding.
func (e *engine) store(d *workflow.Delta) {
	for i, n := range d.Nodes {
		data, err := workflow.EncodeNode(n)
		require.NoError(e.t, err)
		d.Nodes[i], err = workflow.DecodeNode(n.Key, data)
		require.NoError(e.t, err)
	}
	for _, k := range d.Wipe {
		delete(e.shelf, k)
	}
	for _, r := range d.Reopen {
		e.shelf.reopen(r)
		e.shelf.reopen(r) // a turn may have to be taken again
	}
	e.view = e.view.Apply(d)
}

// answer resolves and acts out one dispatched leaf.
func (e *engine) answer(k workflow.Key) workflow.Event {
	e.t.Helper()
	n := e.view.Nodes[k]
	require.NotNil(e.t, n, "dispatched a node without a record: %q", k)
	if n.Chunk != nil {
		return e.chunk(k, n.Chunk.To, true)
	}
	r := e.leaf(n)
	if n.IsDaemon() && r.Phase == spec.NodeSucceeded {
		e.serving[k] = true
		return workflow.Event{Kind: workflow.EventReady, Key: k, Ready: &workflow.Ready{Address: "10.0.0.1", Host: "host"}}
	}
	return workflow.Event{Kind: workflow.EventResult, Key: k, Result: r}
}

// end ends the daemons that the delta says, and at the run's end there must be none.
func (e *engine) end(d *workflow.Delta) {
	e.t.Helper()
	for _, k := range d.End {
		delete(e.serving, k)
		e.queue = slices.DeleteFunc(e.queue, func(q workflow.Key) bool { return q == k })
	}
	if d.Finished() {
		require.Empty(e.t, e.serving, "daemons are left at the run's end")
	}
}

// leaf resolves and acts out a leaf.
func (e *engine) leaf(n *workflow.Node) *workflow.Result {
	e.t.Helper()
	tmpl, _, err := e.view.Plan.Resolve(e.view.Run, n)
	r := &workflow.Result{Phase: spec.NodeError, Class: "invalid"}
	if err != nil {
		r.Message = err.Error()
	} else {
		r = e.act(n, tmpl)
	}
	return r
}

// run goes on until the run ends, answering leaves in the order that pick gives.
func (e *engine) run(pick func(n int) int) *engine {
	e.t.Helper()
	d := e.turn()
	for !d.Finished() {
		if len(e.queue) == 0 {
			require.True(e.t, d.More, "the run is wedged: nothing in flight and nothing to do\n%s", e.dump())
			d = e.turn()
			continue
		}
		i := pick(len(e.queue))
		k := e.queue[i]
		e.queue = append(e.queue[:i], e.queue[i+1:]...)
		d = e.turn(e.answer(k))
		require.Less(e.t, e.turns, 100_000, "the run does not end")
	}
	require.Zero(e.t, e.view.State.InFlight, "leaves in flight at the end")
	return e
}

func inOrder(int) int { return 0 }

func shuffled(seed uint64) func(int) int {
	r := rand.New(rand.NewPCG(seed, 1))
	return r.IntN
}

// phases lists "name phase" of every node.
func (e *engine) phases() map[string]string {
	out := map[string]string{}
	for _, n := range e.view.Nodes {
		if n.Type != "" {
			out[n.Key.Name("wf")] = string(n.Phase)
		}
	}
	return out
}

func (e *engine) dump() string {
	var b strings.Builder
	for name, phase := range e.phases() {
		fmt.Fprintf(&b, "%s %s\n", name, phase)
	}
	return b.String()
}

func (e *engine) node(name string) *workflow.Node {
	e.t.Helper()
	for _, n := range e.view.Nodes {
		if n.Key.Name("wf") == name {
			return n
		}
	}
	require.Fail(e.t, "no such node", "%s in\n%s", name, e.dump())
	return nil
}

// head begins every workflow of the tests.
const head = `
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: wf}
spec:
  entrypoint: main
  templates:
  - name: echo
    inputs: {parameters: [{name: text, default: hi}]}
    outputs: {parameters: [{name: out, valueFrom: {path: /tmp/out}}]}
    container: {image: busybox, command: [echo], args: ["{{inputs.parameters.text}}"]}
`
