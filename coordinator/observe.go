package coordinator

import "argosy/workflow"

// Observer is told what turns changed, once that is committed. It must not block: the turn waits
// for it. What it is told is the turn's own, and must not be changed.
//
// It is told once of a commit whose answer came, and not at all of one whose answer was lost: what
// an observer tells others is a convenience, and no part of the run.
type Observer interface {
	Committed(c *Change)
}

// Change is what a turn changed of a run.
type Change struct {
	Run        *workflow.Run
	Was, State *workflow.State
	// Nodes are the records that changed or came to be, which are not all those of nodes. Before has
	// what was there of them, and more.
	Nodes  []*workflow.Node
	Before map[workflow.Key]*workflow.Node
	Now    workflow.Millis
}

// observe tells the observers of a commit.
func (c *Coordinator) observe(l *Loaded, commit *Commit) {
	if len(c.config.Observers) == 0 {
		return
	}
	change := &Change{Run: l.Run, Was: &l.State, State: commit.State, Nodes: commit.Nodes, Before: l.Nodes, Now: l.Now}
	for _, o := range c.config.Observers {
		o.Committed(change)
	}
}
