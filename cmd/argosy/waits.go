package main

import (
	"fmt"
	"strings"

	"argosy/workflow/spec"
)

// sayHow writes into the messages of what waits for somebody in a run how to have it go on.
// where has the flags that lead to its server.
func sayHow(wf *spec.Workflow, where string) {
	argosy := "argosy" + where
	if wf.Spec.Suspend != nil && *wf.Spec.Suspend && wf.Status.Message == "" && !wf.Status.Phase.Completed() {
		wf.Status.Message = fmt.Sprintf("suspended; to go on: %s resume %s", argosy, wf.Name)
	}
	for id, n := range wf.Status.Nodes {
		if n.Type != spec.NodeTypeSuspend || n.Phase != spec.NodeRunning {
			continue
		}
		how := fmt.Sprintf("%s resume %s", argosy, wf.Name)
		if wants := wanted(&n); wants != "" {
			how = fmt.Sprintf("%s node set %s%s --phase Succeeded --node-field-selector displayName=%s", argosy, wf.Name, wants, n.DisplayName)
		}
		n.Message = strings.TrimPrefix(n.Message+"; to go on: "+how, "; ")
		wf.Status.Nodes[id] = n
	}
}

// wanted are the flags for the outputs that a node does not go on without.
func wanted(n *spec.NodeStatus) string {
	flags := ""
	if n.Outputs != nil {
		for _, p := range n.Outputs.Parameters {
			if p.ValueFrom != nil && p.ValueFrom.Supplied != nil && p.ValueFrom.Default == nil {
				flags += " -p " + p.Name + "=VALUE"
			}
		}
	}
	return flags
}

// waits says that a workflow may wait for somebody.
func waits(wf *spec.Workflow) bool {
	s := wf.Execution()
	for i := range s.Templates {
		if w := s.Templates[i].Suspend; w != nil && w.Duration == "" {
			return true
		}
	}
	return s.Suspend != nil && *s.Suspend
}
