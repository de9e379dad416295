package workflow

import (
	"fmt"

	"argosy/workflow/spec"
)

// What a template needs may not be there: an input, a config map, an output that its own outputs
// are made of. Argo then gives up the template, and says so where it is called: a step's group
// ends as Error with a message of its own, and the run ends at once if it was the entrypoint's.

// refusal is the message of the step group that a node keeps from going on, "" if its members
// decide. A step that could not be resolved stands for itself; what its template lacks is told of
// by name.
func (n *Node) refusal(run string) string {
	switch {
	case n.Phase != spec.NodeError:
	case n.Refused:
		return fmt.Sprintf("step group deemed errored due to child %s error: %s", n.Key.Name(run), n.Message)
	case n.Type == spec.NodeTypeSkipped:
		return n.Message
	}
	return ""
}

// refused is the message of a node whose template was given up.
func refused(c *call, k Key, run string, err error) string {
	if c.kind == "tasks" {
		return fmt.Sprintf("task '%s' errored: %s", k.Name(run), err)
	}
	return err.Error()
}

// refuse ends a node whose outputs cannot be resolved.
func (t *turn) refuse(n *Node, err error) {
	n.Refused = true
	message := err.Error()
	if _, attempt := attemptIndex(n.Key); !attempt || isItem(n.Key) {
		message = refused(t.site(n.Key), n.Key, t.v.Run.Name, err)
	}
	t.finish(n, spec.NodeError, message)
}
