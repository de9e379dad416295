package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/fields"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// Suspend has nothing new start in a run until it is resumed.
func (s *Service) Suspend(ctx context.Context, namespace, name string) (*spec.Workflow, error) {
	r, err := s.load(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	over := errorf(CodeInvalid, "cannot suspend completed workflows")
	if r.State.Phase.Completed() {
		return nil, over
	}
	return s.tell(ctx, r, by(ctx, actionSuspend, workflow.Event{Kind: workflow.EventSignal, Signal: workflow.SignalSuspend}), over)
}

// Resume lets a run go on, and nodes that wait: all of them, or those that a selector matches.
func (s *Service) Resume(ctx context.Context, namespace, name, selector string) (*spec.Workflow, error) {
	set := workflow.Set{Phase: spec.NodeSucceeded}
	if selector != "" {
		return s.setNodes(ctx, namespace, name, selector, by(ctx, actionResume, workflow.Event{Set: &set}))
	}
	r, err := s.load(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	waiting, err := s.waiting(ctx, r, fields.Everything())
	if err != nil {
		return nil, err
	}
	if !r.State.Suspended && len(waiting) == 0 {
		return s.object(ctx, r) // there is nothing to resume
	}
	e := by(ctx, actionResume, workflow.Event{Kind: workflow.EventSignal, Signal: workflow.SignalResume})
	if e.Keys, err = settable(waiting, &set); err != nil {
		return nil, err
	}
	return s.tell(ctx, r, e, errorf(CodePrecondition, "cannot resume a completed workflow: workflow: %q, namespace: %q", r.Run.Name, r.Run.Namespace))
}

// SetNodes sets nodes that wait and that a selector matches.
func (s *Service) SetNodes(ctx context.Context, namespace, name, selector string, set workflow.Set) (*spec.Workflow, error) {
	return s.setNodes(ctx, namespace, name, selector, workflow.Event{Set: &set})
}

func (s *Service) setNodes(ctx context.Context, namespace, name, selector string, e workflow.Event) (*spec.Workflow, error) {
	if selector == "" {
		return nil, errorf(CodeInvalid, "'set' currently only targets suspend nodes, use a node field selector to target them")
	}
	matches, err := fields.ParseSelector(selector)
	if err != nil {
		return nil, errorf(CodeInvalid, "nodeFieldSelector: %v", err)
	}
	r, err := s.load(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	waiting, err := s.waiting(ctx, r, matches)
	if err != nil {
		return nil, err
	}
	nobody := errorf(CodeInvalid, "currently, set only targets suspend nodes: no suspend nodes matching nodeFieldSelector: %s", selector)
	if len(waiting) == 0 {
		return nil, nobody
	}
	e.Kind = workflow.EventSet
	if e.Keys, err = settable(waiting, e.Set); err != nil {
		return nil, err
	}
	return s.tell(ctx, r, e, nobody)
}

func settable(nodes []*workflow.Node, set *workflow.Set) ([]workflow.Key, error) {
	keys := make([]workflow.Key, len(nodes))
	for i, n := range nodes {
		if err := set.Check(n); err != nil {
			return nil, errorf(CodeInvalid, "%v", err)
		}
		keys[i] = n.Key
	}
	return keys, nil
}

// waiting are the nodes of a run that wait for somebody and that a selector matches.
func (s *Service) waiting(ctx context.Context, r *Record, matches fields.Selector) ([]*workflow.Node, error) {
	if r.State.Held == 0 {
		return nil, nil
	}
	nodes := r.Nodes
	if !r.Complete {
		whole, err := s.store.Load(ctx, r.Run.ID, math.MaxInt32)
		if err != nil {
			return nil, fmt.Errorf("loading run %s: %w", r.Run.ID, err)
		}
		nodes = whole.Nodes
	}
	var found []*workflow.Node
	for _, n := range nodes {
		if n.Suspended() && matches.Matches(nodeFields(r, n, scopeAbove(n.Key, nodes))) {
			found = append(found, n)
		}
	}
	return found, nil
}

// scopeAbove is the Steps or DAG node that a node is of.
func scopeAbove(k workflow.Key, nodes map[workflow.Key]*workflow.Node) *workflow.Node {
	for pk, ok := k.Parent(); ok; pk, ok = pk.Parent() {
		if n := nodes[pk]; n != nil && (n.Steps != nil || n.DAG != nil) {
			return n
		}
	}
	return nil
}

// nodeFields are what a node field selector may name.
func nodeFields(r *Record, n, scope *workflow.Node) fields.Set {
	ns := workflow.NodeStatus(r.Run, &r.State, n, scope, false)
	set := fields.Set{
		"displayName": ns.DisplayName, "templateName": ns.TemplateName, "phase": string(ns.Phase), "name": ns.Name, "id": ns.ID,
	}
	if ref := ns.TemplateRef; ref != nil {
		set["templateName"] = ref.Template
		set["templateRef.name"], set["templateRef.template"] = ref.Name, ref.Template
	}
	if ns.Inputs != nil {
		for _, p := range ns.Inputs.Parameters {
			if p.Value != nil {
				set["inputs.parameters."+p.Name+".value"] = p.Value.String()
			}
		}
	}
	return set
}

// heardWithin bounds how long an answer waits until the run shows what was asked for.
const heardWithin = 3 * time.Second

// tell hands a run an event and returns it as it is when it has heard of it, or, if that takes
// long, as it is then. over is the error of a run that has ended.
func (s *Service) tell(ctx context.Context, r *Record, e workflow.Event, over error) (*spec.Workflow, error) {
	until, cancel := context.WithTimeout(ctx, heardWithin)
	defer cancel()
	changed, err := s.store.Watch(until, r.Run.ID)
	if err != nil {
		return nil, fmt.Errorf("watching run %s: %w", r.Run.ID, err)
	}
	switch err := s.store.Signal(ctx, r.Run.ID, e); {
	case errors.Is(err, ErrFinished):
		return nil, over // meanwhile
	case errors.Is(err, ErrNotFound):
		return nil, notFound(r.Run.Name)
	case err != nil:
		return nil, fmt.Errorf("signalling run %s: %w", r.Run.ID, err)
	}
	s.log.Info("told", "hop", "submit", "run", r.Run.ID, "namespace", r.Run.Namespace, "name", r.Run.Name, "kind", e.Kind, "signal", e.Signal, "nodes", len(e.Keys))
	return s.heard(ctx, until, r, changed)
}

// heard waits until a run has changed since a record of it, and returns it.
func (s *Service) heard(ctx, until context.Context, r *Record, changed <-chan struct{}) (*spec.Workflow, error) {
	for {
		now, err := s.store.Load(ctx, r.Run.ID, maxShown)
		if errors.Is(err, ErrNotFound) {
			return nil, notFound(r.Run.Name)
		}
		if err != nil {
			return nil, fmt.Errorf("loading run %s: %w", r.Run.ID, err)
		}
		if now.Version > r.Version || until.Err() != nil {
			return s.object(ctx, now)
		}
		select {
		case _, open := <-changed:
			if !open {
				<-until.Done()
			}
		case <-until.Done():
		}
	}
}

func (h *HTTP) suspend(r *http.Request) (any, error) {
	return h.Service.Suspend(r.Context(), r.PathValue("namespace"), r.PathValue("name"))
}

func (h *HTTP) resume(r *http.Request) (any, error) {
	var req struct {
		NodeFieldSelector string `json:"nodeFieldSelector"`
	}
	if err := readBody(r, &req); err != nil {
		return nil, err
	}
	return h.Service.Resume(r.Context(), r.PathValue("namespace"), r.PathValue("name"), req.NodeFieldSelector)
}

func (h *HTTP) set(r *http.Request) (any, error) {
	var req struct {
		NodeFieldSelector string `json:"nodeFieldSelector"`
		Message           string `json:"message"`
		Phase             string `json:"phase"`
		OutputParameters  string `json:"outputParameters"`
	}
	if err := readBody(r, &req); err != nil {
		return nil, err
	}
	set := workflow.Set{Phase: spec.NodePhase(req.Phase), Message: req.Message}
	switch set.Phase {
	case spec.NodeSucceeded, spec.NodeFailed, spec.NodeError, "":
	default:
		return nil, errorf(CodeInvalid, "%s is an invalid phase to set to", req.Phase)
	}
	if req.OutputParameters != "" {
		if err := json.Unmarshal([]byte(req.OutputParameters), &set.Parameters); err != nil {
			return nil, errorf(CodeInvalid, "unable to parse output parameter set request: %v", err)
		}
	}
	if set.Phase == "" && set.Message == "" && len(set.Parameters) == 0 {
		return nil, errorf(CodeInvalid, "nothing to set: give outputParameters, message or phase")
	}
	return h.Service.SetNodes(r.Context(), r.PathValue("namespace"), r.PathValue("name"), req.NodeFieldSelector, set)
}
