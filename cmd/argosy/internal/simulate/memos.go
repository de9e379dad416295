package simulate

import (
	"encoding/json"
	"math/rand/v2"

	corev1 "k8s.io/api/core/v1"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// memoize may have leaves keep their outputs for all of the same key, in any run: what they write
// then depends on who was first.
func memoize(rng *rand.Rand, wf *spec.Workflow) bool {
	if rng.IntN(5) > 0 {
		return false
	}
	for _, name := range []string{leafWork, leafFlaky} {
		if rng.IntN(3) == 0 {
			continue
		}
		m := &spec.Memoize{Key: "shared", Cache: &spec.Cache{ConfigMap: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: name}}}}
		if rng.IntN(2) == 0 {
			m.MaxAge = "3s"
		}
		wf.Spec.Template(name).Memoize = m
	}
	return true
}

// recalls answers that there is nothing yet.
func recalls(o *workflow.Orders) (events []workflow.Event) {
	if o == nil {
		return nil
	}
	for _, m := range o.Memos {
		events = append(events, workflow.Event{Kind: workflow.EventMemo, Key: m.Key})
	}
	return events
}

// saves notes what is kept.
func (v *watch) saves(args []string) {
	var m workflow.Memo
	if len(args) < 2 {
		return
	}
	if err := json.Unmarshal([]byte(args[1]), &m); err != nil {
		v.violated("memos can be read", "%v", err)
	}
	v.saved[plain(m.Outputs)] = true
}

// recalled looks at a node that ended with what was kept.
func (v *watch) recalled(r *runWatch, n *workflow.Node) {
	if n.Phase != spec.NodeSucceeded || !v.saved[plain(n.Outputs)] {
		v.violated("what is recalled was kept", "%s is %s", nodeName(r.id, n.Key), n.Phase)
	}
}
