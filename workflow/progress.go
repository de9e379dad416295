package workflow

import (
	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// Units are how much of something is done, and of how much.
type Units struct {
	Done  int `json:"n,omitempty"`
	Total int `json:"m,omitempty"`
}

func parseUnits(text string) (u Units, ok bool) {
	u.Done, u.Total, ok = spec.ParseProgress(text)
	return u, ok
}

func (u Units) plus(o Units) Units  { return Units{u.Done + o.Done, u.Total + o.Total} }
func (u Units) minus(o Units) Units { return Units{u.Done - o.Done, u.Total - o.Total} }

// units are what a leaf counts for in the run's progress beyond the one that any does: one that
// succeeded has done all that it told of.
func (n *Node) units() Units {
	switch {
	case n.Progress == nil:
		return Units{}
	case n.Phase == spec.NodeSucceeded:
		return Units{n.Progress.Total - 1, n.Progress.Total - 1}
	}
	return Units{n.Progress.Done, n.Progress.Total - 1}
}

// startProgress gives a leaf the progress that its template says it starts with.
func (t *turn) startProgress(n *Node) {
	text, ok := t.v.Plan.templates[n.Template].Metadata.Annotations[spec.AnnotationProgress]
	if !ok || n.Type != spec.NodeTypePod {
		return
	}
	text, err := expr.Substitute(text, t.inputScope(n), expr.Strict)
	if u, ok := parseUnits(text); ok && err == nil {
		t.setProgress(n, u)
	}
}

// tells notes what a leaf tells of its progress.
func (t *turn) tells(e *Event) {
	n := t.node(e.Key)
	if n == nil || n.Fulfilled() || !leaf(n.Type) {
		return
	}
	if u, ok := parseUnits(e.Message); ok && (n.Progress == nil || *n.Progress != u) {
		t.setProgress(t.edit(e.Key), u)
	}
}

func (t *turn) setProgress(n *Node, u Units) {
	s := &t.delta.State
	s.Units = s.Units.minus(n.units())
	n.Progress = &u
	s.Units = s.Units.plus(n.units())
}
