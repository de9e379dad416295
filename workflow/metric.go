package workflow

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// Emission is a custom metric with its value, as a run emits it. Name, help and labels are
// filled.
type Emission struct {
	*spec.Prometheus
	Value float64
	// Of and Index tell a gauge in real time from others of its run.
	Of    Key
	Index int
	// Since is when what a gauge in real time measures began: its value is the time since
	// then. 0 is not in real time, or not any more.
	Since Millis
}

// emit gathers the metrics of what began or ended in the turn.
func (t *turn) emit() {
	if !t.v.Plan.measured {
		return
	}
	for _, k := range t.order {
		n := t.changed[k]
		if n == nil || !measures(n) {
			continue
		}
		tmpl := t.v.Plan.templates[n.Template]
		if tmpl == nil || tmpl.Metrics == nil {
			continue
		}
		before := t.v.Nodes[k]
		if before == nil {
			t.metrics(tmpl.Metrics, n, t.nodeMetrics(n), false, max(n.Started, t.v.State.Started))
		}
		if n.Fulfilled() && !before.Fulfilled() {
			t.metrics(tmpl.Metrics, n, t.nodeMetrics(n), true, 0)
		}
	}
	own, s := t.v.Plan.Spec.Metrics, &t.delta.State
	if own == nil {
		return
	}
	begins, ends := t.v.State.Phase == "", s.Finished != 0
	if !begins && !ends {
		return
	}
	root := t.node(Root)
	if root == nil {
		root = &Node{Key: Root, Phase: spec.NodeError, Started: s.Started, Finished: s.Finished}
	}
	known := expr.Chain(expr.Map{"workflow.status": string(s.Phase), "workflow.duration": seconds(t.now - s.Started)}, t.nodeMetrics(root))
	if begins {
		t.metrics(own, &Node{}, known, false, s.Started)
	}
	if ends {
		t.metrics(own, &Node{}, known, true, 0)
	}
}

// measures says that a node is one that its template's metrics are of: an attempt, and not
// what tries again; nothing that was left out.
func measures(n *Node) bool {
	switch n.Type {
	case "", spec.NodeTypeRetry, spec.NodeTypeTaskGroup, spec.NodeTypeStepGroup, spec.NodeTypeSkipped:
		return false
	}
	return n.Phase != spec.NodeOmitted && n.Phase != spec.NodeSkipped
}

// nodeMetrics is what the metrics of a node may name.
func (t *turn) nodeMetrics(n *Node) expr.Scope {
	end := n.Finished
	if end == 0 {
		end = t.now
	}
	m := expr.Map{"duration": seconds(end - n.Started), "status": string(n.Phase)}
	used := n.Resources
	if n.Key == Root {
		used = t.delta.State.Resources
	}
	for name, amount := range used {
		m["resourcesDuration."+string(name)] = strconv.FormatInt(int64(amount), 10)
	}
	if o := n.Outputs; o != nil {
		if o.ExitCode != nil {
			m["exitCode"] = strconv.Itoa(*o.ExitCode)
		}
		if o.Result != nil {
			m["outputs.result"] = *o.Result
		}
		for _, p := range o.Parameters {
			m["outputs.parameters."+p.Name] = p.Value
		}
	}
	return expr.Chain(m, t.inputScope(n))
}

func seconds(m Millis) string {
	return fmt.Sprintf("%f", (time.Duration(m) * time.Millisecond).Seconds())
}

// metrics emits what begins, gauges in real time, or what has ended. A metric that cannot be
// made is told of and left out.
func (t *turn) metrics(m *spec.Metrics, n *Node, known expr.Scope, ended bool, since Millis) {
	for i, p := range m.Prometheus {
		realtime := p != nil && p.Gauge != nil && p.Gauge.Realtime != nil && *p.Gauge.Realtime
		if p == nil || !ended && !realtime {
			continue
		}
		e, err := measure(p, known)
		switch {
		case err != nil:
			t.delta.State.MetricsError = err.Error()
			continue
		case e == nil:
			continue
		}
		if e.Of, e.Index = n.Key, i; realtime {
			e.Since = since
		}
		t.delta.Metrics = append(t.delta.Metrics, *e)
	}
}

// mentionsResult says that metrics name the result of what they are of.
func mentionsResult(m *spec.Metrics) bool {
	data, err := json.Marshal(m)
	return err == nil && slices.Contains(expr.ReferencesJSON(data), "outputs.result")
}

// measure fills a metric; nil: its condition does not hold.
func measure(p *spec.Prometheus, known expr.Scope) (*Emission, error) {
	filled := *p
	fill := expr.NewFiller(known, expr.Strict)
	filled.Labels = make([]*spec.MetricLabel, len(p.Labels))
	texts := []*string{&filled.Name, &filled.Help, &filled.When}
	for i, l := range p.Labels {
		own := *l
		filled.Labels[i] = &own
		texts = append(texts, &own.Key, &own.Value)
	}
	for _, text := range texts {
		var err error
		if *text, err = fill.Fill(*text); err != nil {
			return nil, fmt.Errorf("unable to substitute parameters for metric '%s': %w", p.Name, err)
		}
	}
	if filled.When != "" {
		proceed, err := expr.When(filled.When)
		if err != nil {
			return nil, fmt.Errorf("unable to compute 'when' clause for metric '%s': %w", p.Name, err)
		}
		if !proceed {
			return nil, nil
		}
	}
	value := ""
	switch {
	case p.Counter != nil:
		value = p.Counter.Value
	case p.Gauge != nil:
		value = p.Gauge.Value
	case p.Histogram != nil:
		value = p.Histogram.Value
	}
	value, err := fill.Fill(value)
	if err != nil {
		return nil, fmt.Errorf("unable to substitute parameters for metric '%s': %w", p.Name, err)
	}
	number, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err == nil && math.IsNaN(number) {
		err = fmt.Errorf("it is not a number")
	}
	if err != nil {
		return nil, fmt.Errorf("could not compute metric '%s': the value %q: %w", p.Name, value, err)
	}
	return &Emission{Prometheus: &filled, Value: number}, nil
}
