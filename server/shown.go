package server

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// A run with up to maxShown nodes is shown whole. Of a larger one, loops with many items show
// some of them, at most so many of each of these: the first that failed, those that run, the
// first and the last. In loops below such a loop it is a tenth of that.
const (
	maxShown = 1000
	shownOf  = 100
	leastOf  = 4
	// scanItems is how many items are looked at for such that failed.
	scanItems = 20_000
)

// markCut says on a workflow what its status leaves out.
func markCut(wf *spec.Workflow, v *workflow.View) error {
	loops := []workflow.Loop{}
	for _, k := range slices.Sorted(maps.Keys(v.Cut)) {
		n := v.Nodes[k]
		loops = append(loops, workflow.Loop{Name: k.Name(v.Run.Name), Template: n.Template, Phase: n.Phase, LoopCounts: n.Loop.Counts()})
	}
	data, err := json.Marshal(loops)
	if err != nil {
		return fmt.Errorf("encoding the loops of run %s: %w", v.Run.ID, err)
	}
	wf.Annotations = maps.Clone(wf.Annotations)
	if wf.Annotations == nil {
		wf.Annotations = map[string]string{}
	}
	wf.Annotations[workflow.LoopsAnnotation] = string(data)
	wf.Status.Conditions = append(spec.Conditions{{
		Type: workflow.NodesCut, Status: metav1.ConditionTrue,
		Message: fmt.Sprintf("status.nodes has %d of the run's nodes; /api/v1/workflows/%s/%s/nodes has all of them, in pages",
			len(wf.Status.Nodes), v.Run.Namespace, v.Run.Name),
	}}, wf.Status.Conditions...)
	return nil
}

// shown chooses the nodes to show of a run: all, or some, and then the loops that are cut.
func (s *Service) shown(ctx context.Context, r *Record) (map[workflow.Key]*workflow.Node, map[workflow.Key]bool, error) {
	l, err := s.lens(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	p := &picker{lens: l, nodes: map[workflow.Key]*workflow.Node{}}
	if r.Complete {
		whole, err := p.whole(ctx)
		if whole || err != nil {
			return p.nodes, nil, err
		}
	}
	root, err := l.root(ctx)
	if err != nil || root == nil {
		return p.nodes, nil, err
	}
	p.cut = map[workflow.Key]bool{}
	p.nodes[workflow.Root] = root
	return p.nodes, p.cut, p.pick(ctx, root, nil, shownOf)
}

// picker gathers the nodes to show.
type picker struct {
	*lens
	nodes map[workflow.Key]*workflow.Node
	cut   map[workflow.Key]bool
}

func (p *picker) add(kids []branch) {
	for _, kid := range kids {
		p.nodes[kid.node.Key] = kid.node
		for _, n := range kid.attempts {
			p.nodes[n.Key] = n
		}
	}
}

// whole takes all nodes, if they are not too many.
func (p *picker) whole(ctx context.Context) (bool, error) {
	var loops []*workflow.Node
	items := len(p.r.Nodes)
	for _, n := range p.r.Nodes {
		if n != nil && chunked(n) {
			loops = append(loops, n)
			items += n.Loop.Next
		}
	}
	if items > maxShown {
		return false, nil
	}
	maps.Copy(p.nodes, p.r.Nodes)
	for _, n := range loops {
		kids, err := p.items(ctx, n, places(0, n.Loop.Next))
		if err != nil {
			return false, err
		}
		p.add(kids)
	}
	return true, nil
}

// pick takes what is below a node.
func (p *picker) pick(ctx context.Context, n, parent *workflow.Node, width int) error {
	c, err := p.plan.Children(n, parent)
	if err != nil {
		return err
	}
	at := places(0, c.Len())
	switch {
	case n.Loop != nil && c.Len() > width:
		p.cut[n.Key] = true
		if at, err = p.matter(ctx, n, parent, c, width); err != nil {
			return err
		}
		width = max(width/10, leastOf)
	case n.Retry != nil && c.Len() > width:
		at = at[c.Len()-width:]
	}
	if room := max(0, maxShown-len(p.nodes)); len(at) > room {
		at = at[:room]
	}
	kids, err := p.below(ctx, n, parent, at)
	if err != nil {
		return err
	}
	p.add(kids)
	for _, kid := range kids {
		if kid.attempts == nil {
			if err := p.pick(ctx, kid.node, n, width); err != nil {
				return err
			}
		}
	}
	return nil
}

// matter are the places of the items of a loop that are shown, those first that tell most.
func (p *picker) matter(ctx context.Context, n, parent *workflow.Node, c *workflow.Children, width int) ([]int, error) {
	at, err := p.failing(ctx, n, parent, c, width)
	if err != nil {
		return nil, err
	}
	running, err := p.runningItems(ctx, n)
	if err != nil {
		return nil, err
	}
	at = append(at, running[:min(len(running), width)]...)
	at = append(at, places(0, width/2)...)
	at = append(at, places(c.Len()-width/2, c.Len())...)
	seen := map[int]bool{}
	at = slices.DeleteFunc(at, func(i int) bool {
		again := seen[i]
		seen[i] = true
		return again || i >= c.Len()
	})
	at = at[:min(len(at), max(0, maxShown-len(p.nodes)))]
	slices.Sort(at)
	return at, nil
}

// failing looks for items that failed, in a part of the loop.
func (p *picker) failing(ctx context.Context, n, parent *workflow.Node, c *workflow.Children, width int) ([]int, error) {
	first, last, ok := c.Bad()
	if !ok {
		return nil, nil
	}
	defer func(want map[spec.NodePhase]bool) { p.want = want }(p.want)
	p.want = map[spec.NodePhase]bool{spec.NodeFailed: true, spec.NodeError: true}
	var at []int
	look, step := scanItems, scanItems
	if !chunked(n) {
		look, step = scanItems/recordCost, min(maxBatch, width)
	}
	for i := first; i < min(first+look, last) && len(at) < width; i += step {
		kids, err := p.below(ctx, n, parent, places(i, min(i+step, last)))
		if err != nil {
			return nil, err
		}
		for _, kid := range kids {
			if kid.node.Failed() && len(at) < width {
				at = append(at, kid.place)
			}
		}
	}
	return append(at, last), nil
}

// runningItems are the items of a loop that something is in flight of and held by a worker.
func (p *picker) runningItems(ctx context.Context, loop *workflow.Node) ([]int, error) {
	if chunked(loop) {
		at, err := p.inHand(ctx, loop.Key)
		return slices.Sorted(maps.Keys(at)), err
	}
	var at []int
	prefix := string(loop.Key) + "/"
	for k, held := range p.r.Held {
		if tail, ok := strings.CutPrefix(string(k), prefix); held && ok {
			segment, _, _ := strings.Cut(tail, "/")
			at = append(at, workflow.Key("/"+segment).Item())
		}
	}
	slices.Sort(at)
	return slices.Compact(at), nil
}
