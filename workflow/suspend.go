package workflow

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// A Suspend node waits for its duration, if it has one, or until somebody sets how it ends. What
// its template's outputs have supplied is handed in meanwhile:
//
//	launched --> Running, held --set values--> ..  --resumed, or its time came--> Succeeded
//	                   |                             an output has no value -----> Error
//	                   +--set phase, stopped------------------------------------> as it was set

// Set is what somebody hands to nodes that wait. Without a phase they go on waiting.
type Set struct {
	Phase      spec.NodePhase    `json:"p,omitempty"`
	Message    string            `json:"m,omitempty"`
	Parameters map[string]string `json:"v,omitempty"`
}

// Suspended says that the node waits for somebody.
func (n *Node) Suspended() bool { return n != nil && n.Held == heldSuspend }

// Check says why a node that waits cannot be set so; nil: it can.
func (s *Set) Check(n *Node) error {
	for name := range s.Parameters {
		if n.Outputs == nil {
			return fmt.Errorf("cannot set output parameters because node is not expecting any raw parameters")
		}
		i := slices.IndexFunc(n.Outputs.Parameters, func(p Param) bool { return p.Name == name })
		switch {
		case i < 0:
			return fmt.Errorf("node is not expecting output parameter '%s'", name)
		case !n.Outputs.Parameters[i].Wanted:
			return fmt.Errorf("cannot set output parameter '%s' because it does not use valueFrom.raw or it was already set", name)
		}
	}
	if s.Phase != spec.NodeSucceeded || n.Outputs == nil {
		return nil
	}
	for _, p := range n.Outputs.Parameters {
		if _, set := s.Parameters[p.Name]; p.Wanted && p.Default == nil && !set {
			return unsetError(p.Name)
		}
	}
	return nil
}

func unsetError(name string) error {
	return fmt.Errorf("raw output parameter '%s' has not been set and does not have a default value", name)
}

// startSuspend has a node wait.
func (t *turn) startSuspend(n *Node, tmpl *template) {
	n.Phase, n.Started = spec.NodeRunning, t.now
	if !n.Counted { // else it counts since it waits
		t.delta.State.Total++
	}
	scope := t.inputScope(n)
	n.offer(tmpl)
	wait, err := suspendTime(tmpl.Suspend.Duration, scope)
	if err == nil {
		n.Outputs, err = suppliedOutputs(tmpl, scope)
	}
	t.hold(n, heldSuspend)
	switch {
	case err != nil:
		t.endSuspend(n.Key, spec.NodeError, err.Error())
	case tmpl.Suspend.Duration != "":
		t.delta.Timers = append(t.delta.Timers, Timer{Key: n.Key, Name: timerSuspend, At: t.now + wait})
	}
}

func suspendTime(text string, scope expr.Scope) (Millis, error) {
	text, err := expr.Substitute(text, scope, expr.Strict)
	if err != nil || text == "" {
		return 0, err
	}
	d, err := parseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("suspend.duration: %w", err)
	}
	return Millis(d.Milliseconds()), nil
}

// suppliedOutputs are the outputs of a node that waits for them.
func suppliedOutputs(tmpl *template, scope expr.Scope) (*Values, error) {
	if len(tmpl.Outputs.Parameters) == 0 {
		return nil, nil
	}
	out := &Values{}
	for i := range tmpl.Outputs.Parameters {
		p := &tmpl.Outputs.Parameters[i]
		global, err := expr.Substitute(p.GlobalName, scope, expr.Strict)
		if err != nil {
			return nil, fmt.Errorf("resolving the globalName of outputs.parameters.%s: %w", p.Name, err)
		}
		param := Param{Name: p.Name, Global: global, Wanted: p.ValueFrom != nil}
		switch {
		case p.Value != nil:
			param.Value, err = substitute(p.Value.String(), scope)
		case p.ValueFrom != nil && p.ValueFrom.Default != nil:
			var text string
			text, err = substitute(p.ValueFrom.Default.String(), scope)
			param.Default = &text
		}
		if err != nil {
			return nil, fmt.Errorf("resolving outputs.parameters.%s: %w", p.Name, err)
		}
		out.Parameters = append(out.Parameters, param)
	}
	return out, nil
}

// offer keeps what whoever is asked for values may choose from: the enum that an input has, or
// that its value has, which then is a parameter as JSON.
func (n *Node) offer(tmpl *template) {
	if n.Inputs == nil {
		return
	}
	in := *n.Inputs
	in.Parameters = slices.Clone(in.Parameters)
	for i := range in.Parameters {
		p := &in.Parameters[i]
		declared := tmpl.Inputs.GetParameterByName(p.Name)
		var given spec.Parameter
		if json.Unmarshal([]byte(p.Value), &given) != nil || len(given.Enum) == 0 {
			given = spec.Parameter{}
		}
		if declared == nil {
			continue
		}
		enum, byDefault := declared.Enum, declared.Default
		if len(given.Enum) > 0 {
			enum = given.Enum
			if byDefault == nil {
				byDefault = &enum[0]
			}
		}
		for _, e := range enum {
			p.Enum = append(p.Enum, e.String())
		}
		if byDefault != nil {
			p.Default = new(byDefault.String())
		}
		if declared.Description != nil {
			p.Description = declared.Description.String()
		}
	}
	n.Inputs = &in
}

// set hands values to nodes that wait, and ends them if it says how.
func (t *turn) set(keys []Key, s *Set) {
	t.need(withScopes(keys)...)
	for _, k := range keys {
		if n := t.node(k); t.delta.State.Finished != 0 || !n.Suspended() || s.Check(n) != nil {
			continue // it has gone on, or was set meanwhile
		}
		n := t.edit(k)
		if s.Message != "" {
			n.Message = s.Message
		}
		if len(s.Parameters) > 0 {
			n.Outputs = n.Outputs.with(func(p *Param) {
				if v, ok := s.Parameters[p.Name]; ok {
					p.Value, p.Wanted, p.Default = v, false, nil
				}
			})
		}
		if s.Phase != "" {
			t.endSuspend(k, s.Phase, n.Message)
		}
	}
}

// with is a copy in which parameters are changed.
func (v *Values) with(change func(*Param)) *Values {
	out := *v
	out.Parameters = slices.Clone(v.Parameters)
	for i := range out.Parameters {
		change(&out.Parameters[i])
	}
	return &out
}

// endSuspend ends a node that waits. If it succeeds, outputs that nobody set have their defaults.
func (t *turn) endSuspend(k Key, phase spec.NodePhase, message string) {
	n := t.letGo(k, heldSuspend)
	if n == nil {
		return
	}
	var unset error
	if phase == spec.NodeSucceeded && n.Outputs != nil {
		n.Outputs = n.Outputs.with(func(p *Param) {
			switch {
			case !p.Wanted:
			case p.Default != nil:
				p.Value, p.Wanted, p.Default = *p.Default, false, nil
			case unset == nil:
				phase, unset = spec.NodeError, unsetError(p.Name)
			}
		})
	}
	if t.v.Plan.templates[n.Template].Suspend.Duration != "" {
		t.timerOff(k, timerSuspend)
	}
	t.delta.State.leafEnded(phase)
	if unset != nil {
		t.refuse(n, unset)
		return
	}
	t.finish(n, phase, message)
}

// limitTime bounds how long a leaf may take, also to be started, by its template's timeout.
func (t *turn) limitTime(n *Node, tmpl *template) error {
	if tmpl.Timeout == "" {
		return nil
	}
	text, err := expr.Substitute(tmpl.Timeout, t.inputScope(n), expr.Strict)
	if err != nil {
		return fmt.Errorf("resolving timeout: %w", err)
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("invalid timeout format. %w", err)
	}
	t.delta.Timers = append(t.delta.Timers, Timer{Key: n.Key, Name: timerTimeout, At: t.now + Millis(d.Milliseconds())})
	return nil
}

// timedOut has a leaf ended that takes too long. Its result comes back as an event.
func (t *turn) timedOut(k Key) {
	if n := t.node(k); n == nil || !leaf(n.Type) || n.Fulfilled() {
		return
	}
	t.edit(k).Late = true
	t.delta.Late = append(t.delta.Late, k)
}
