package server

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// NodeList is a page of a run's nodes, in the order of the tree. Continue is set when there
// may be more, even if the page has fewer nodes than were asked for, or none: a page looks
// through a bounded part of the run.
//
// The nodes are those of status.nodes but for step groups, and without what follows from
// others: children, outboundNodes and, but for pods, progress.
type NodeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []spec.NodeStatus `json:"items"`
}

// NodeOptions choose nodes of a run.
type NodeOptions struct {
	Phases   []spec.NodePhase // none: all
	Under    string           // only the node with this name, id or pod name, and what is below it
	Limit    int              // 0 is 500, and more than 1000 is 1000
	Continue string
}

const (
	nodesAPI  = "argosy.dev/v1alpha1"
	nodesKind = "NodeList"
	// maxPage bounds the nodes of a page, and pageCost what is read for it.
	maxPage  = 1000
	pageCost = 200_000
)

// Nodes returns a page of the nodes of a run.
func (s *Service) Nodes(ctx context.Context, namespace, name string, o NodeOptions) (*NodeList, error) {
	position, err := parsePosition(o.Continue)
	if err != nil {
		return nil, err
	}
	r, err := s.anywhere(ctx, namespace, name, "")
	if err != nil {
		return nil, err
	}
	l, err := s.lens(ctx, r)
	if err != nil {
		return nil, err
	}
	limit := min(o.Limit, maxPage)
	if limit <= 0 {
		limit = maxPage / 2
	}
	l.batch = min(limit, maxBatch)
	list := &NodeList{TypeMeta: metav1.TypeMeta{APIVersion: nodesAPI, Kind: nodesKind}, Items: []spec.NodeStatus{}}
	list.ResourceVersion = strconv.FormatInt(r.Version, 10)
	at, err := l.from(ctx, o.Under)
	if err == nil && at == nil && o.Under != "" {
		err = errorf(CodeNotFound, "node %q of workflow %q not found", o.Under, name)
	}
	if err != nil || at == nil {
		return list, err
	}
	if len(o.Phases) > 0 {
		l.want = map[spec.NodePhase]bool{}
		for _, p := range o.Phases {
			l.want[p] = true
		}
	}
	take := func(_ []int, n, parent, scope *workflow.Node) bool {
		if n.Loop != nil && parent != nil && parent.Steps != nil {
			return true // its items are the nodes
		}
		ns := workflow.NodeStatus(r.Run, &r.State, n, scope, r.Held[n.Key])
		if l.want != nil && !l.want[ns.Phase] {
			return true
		}
		if len(list.Items) == limit {
			return false
		}
		list.Items = append(list.Items, ns)
		return true
	}
	if len(position) == 0 {
		take(nil, at.node, at.parent, at.scope)
	}
	next, err := l.into(ctx, at.branch, at.parent, at.scope, nil, position, pageCost, take)
	if err != nil {
		return nil, err
	}
	list.Continue = formatPosition(next)
	return list, nil
}

// formatPosition and parsePosition are the form of a position in the tree that clients keep.
func formatPosition(at []int) string {
	parts := make([]string, len(at))
	for i, n := range at {
		parts[i] = strconv.Itoa(n)
	}
	return strings.Join(parts, ".")
}

func parsePosition(text string) ([]int, error) {
	if text == "" {
		return nil, nil
	}
	var at []int
	for part := range strings.SplitSeq(text, ".") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return nil, errorf(CodeInvalid, "continue: %q is no token of an earlier page", text)
		}
		at = append(at, n)
	}
	return at, nil
}

var nodePhases = []spec.NodePhase{
	spec.NodePending, spec.NodeRunning, spec.NodeSucceeded, spec.NodeSkipped, spec.NodeFailed, spec.NodeError, spec.NodeOmitted,
}

// nodeOptions reads the query of a list of nodes.
func nodeOptions(q url.Values) (NodeOptions, error) {
	o := NodeOptions{Under: q.Get("under"), Continue: q.Get("continue")}
	for _, list := range q["phase"] {
		for p := range strings.SplitSeq(list, ",") {
			if !slices.Contains(nodePhases, spec.NodePhase(p)) {
				return o, errorf(CodeInvalid, "phase: %q is none of %v", p, nodePhases)
			}
			o.Phases = append(o.Phases, spec.NodePhase(p))
		}
	}
	if s := q.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			return o, errorf(CodeInvalid, "limit: %q is not a number of nodes", s)
		}
		o.Limit = n
	}
	return o, nil
}
