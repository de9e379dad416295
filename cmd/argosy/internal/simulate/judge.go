package simulate

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// judge looks at what is left when all is over.
func (w *world) judge() {
	w.trace(nil, "all is over")
	for _, k := range w.server.Keys() {
		if w.leftover(k) {
			w.violated("nothing is left over", k)
		}
	}
	for _, m := range w.broker.Messages() {
		w.violated("nothing is left over", "the broker has "+name(m.Delivery))
	}
	if w.executing > 0 {
		w.violated("nothing is left over", fmt.Sprintf("%d steps still run", w.executing))
	}
	if w.demanded() {
		w.violated("nothing is left over", "something still waits for room")
	}
	if w.archiving() {
		w.violated("nothing is left over", "something still waits to be archived")
	}
	for _, j := range w.jobs {
		if err := w.compare(j); err != nil {
			w.violated("runs end as if undisturbed", fmt.Sprintf("%s: %v", j.id, err))
		}
	}
}

// leftover says that a key should be gone when all is over.
func (w *world) leftover(key string) bool {
	tag := slot(key)
	if id, ok := strings.CutPrefix(tag, "r:"); ok {
		r := w.watch.runs[id]
		if w.schedule != nil && key == "{r:"+id+"}:gone" {
			return false // for a while it must not be submitted
		}
		kept := []string{"run", "state", "meta", "nodes", "loops", "hosts", "g", "x"}
		what, _, _ := strings.Cut(strings.TrimPrefix(key, "{r:"+id+"}:"), ":")
		return r == nil || r.deleted || !slices.Contains(kept, what)
	}
	if strings.HasPrefix(key, "due:") {
		return !w.soonGone(key)
	}
	return strings.HasPrefix(key, "taken:") || lockLeft(key)
}

// soonGone says that all runs of a shard that are to be looked at later are deleted: a turn that did not
// know of that put it off, and the next one forgets them.
func (w *world) soonGone(due string) bool {
	for run, at := range w.server.Scores(due) {
		if r := w.watch.runs[run]; r == nil || !r.deleted || int64(at) <= w.now.UnixMilli() {
			return false
		}
	}
	return true
}

// compare holds a run's end against what it would have been without faults.
func (w *world) compare(j *job) error {
	if !j.deleted.IsZero() {
		return nil
	}
	prefix := "{r:" + j.id + "}:"
	var state workflow.State
	_, data, _ := strings.Cut(w.server.Text(prefix+"state"), " ") // after its version
	if err := json.Unmarshal([]byte(data), &state); err != nil {
		return fmt.Errorf("reading its state: %w", err)
	}
	nodes := map[workflow.Key]*workflow.Node{}
	for _, k := range w.server.Fields(prefix + "nodes") {
		n, err := workflow.DecodeNode(workflow.Key(k), []byte(w.server.Field(prefix+"nodes", k)))
		if err != nil {
			return err
		}
		if n.Class == "poison" {
			return nil // the watch made sure that it had to be
		}
		nodes[n.Key] = n
	}
	if poisoned, err := w.spread(j, nodes); err != nil || poisoned {
		return err
	}
	if root := nodes[workflow.Root]; root == nil || !agree(state.Phase, root.Phase) && !agree(state.Phase, exitPhase(nodes)) {
		return fmt.Errorf("it ended as %s, unlike its root", state.Phase)
	}
	if err := w.inArchive(w.watch.runs[j.id], &state); err != nil {
		return err
	}
	if state.Closing() || j.want.timed { // when it was told to decides how much of it ran
		return nil
	}
	if j.want.loose {
		if ended(state.Phase) != ended(j.want.phase) {
			return fmt.Errorf("it ended as %s and not %s", state.Phase, j.want.phase)
		}
		return nil
	}
	if state.Phase != j.want.phase {
		return fmt.Errorf("it ended as %s and not %s: %s", state.Phase, j.want.phase, state.Message)
	}
	if !reflect.DeepEqual(state.Outputs, j.want.outputs) {
		return fmt.Errorf("its outputs are %+v and not %+v", state.Outputs, j.want.outputs)
	}
	for _, k := range sorted(j.want.nodes) {
		switch got, want := nodes[k], j.want.nodes[k]; {
		case got == nil:
			return fmt.Errorf("%s is missing", nodeName(j.id, k))
		case got.Phase != want.Phase || got.Type != want.Type:
			return fmt.Errorf("%s is a %s that is %s, and not a %s that is %s", nodeName(j.id, k), got.Type, got.Phase, want.Type, want.Phase)
		case !reflect.DeepEqual(plain(got.Outputs), plain(want.Outputs)):
			return fmt.Errorf("the outputs of %s differ", nodeName(j.id, k))
		}
	}
	for _, k := range sorted(nodes) {
		if j.want.nodes[k] == nil {
			return fmt.Errorf("%s ran too", nodeName(j.id, k))
		}
	}
	return nil
}

// exitPhase is how the exit handler ended, if it failed and the run did not.
func exitPhase(nodes map[workflow.Key]*workflow.Node) spec.NodePhase {
	if exit := nodes[workflow.Root.Hook(spec.ExitLifecycleEvent)]; exit.Failed() && !nodes[workflow.Root].Failed() {
		return exit.Phase
	}
	return ""
}

// agree says that a run ended as its root did.
func agree(run spec.WorkflowPhase, root spec.NodePhase) bool {
	return root == spec.NodeSkipped && run == spec.WorkflowSucceeded || string(root) == string(run)
}

// ended tells only success from failure.
func ended(p spec.WorkflowPhase) bool { return p == spec.WorkflowSucceeded }

// plain is what can be compared of outputs that were stored and others that were not.
func plain(v *workflow.Values) string {
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(data)
}
