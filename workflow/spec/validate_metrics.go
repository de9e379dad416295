package spec

import (
	"fmt"
	"regexp"
	"strings"
)

// What Prometheus takes as names.
var (
	metricName  = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)
	metricLabel = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
)

// metrics checks what a workflow or a template emits.
func (v *validator) metrics(m *Metrics, path, where string) {
	if m == nil {
		return
	}
	for i, p := range m.Prometheus {
		at := fmt.Sprintf("%s.prometheus[%d]", path, i)
		if p == nil {
			v.fail(at, "%s the metric is empty", where)
			continue
		}
		if !metricName.MatchString(p.Name) && !strings.Contains(p.Name, "{{") {
			v.fail(at, "%s metric name '%s' is invalid. Metric names must contain alphanumeric characters, '_' or ':'", where, p.Name)
		}
		if p.Help == "" {
			v.fail(at, "%s metric '%s' must contain a help string under 'help: ' field", where, p.Name)
		}
		for k, l := range p.Labels {
			if l == nil || (!metricLabel.MatchString(l.Key) && !strings.Contains(l.Key, "{{")) {
				v.fail(fmt.Sprintf("%s.labels[%d]", at, k), "%s metric '%s' has an invalid label: keys must contain alphanumeric characters or '_'", where, p.Name)
			}
		}
		v.metricValue(p, at, where)
	}
}

// metricValue checks that a metric is of one kind and has a value.
func (v *validator) metricValue(p *Prometheus, path, where string) {
	kinds := 0
	value := func(kind, text string) {
		if kinds++; text == "" {
			v.fail(path+"."+kind, "%s metric '%s' error: missing %s.value", where, p.Name, kind)
		}
	}
	if g := p.Gauge; g != nil {
		value("gauge", g.Value)
		if g.Realtime != nil && *g.Realtime && strings.Contains(g.Value, "resourcesDuration.") {
			v.fail(path+".gauge", "%s metric '%s' error: 'resourcesDuration.*' metrics cannot be used in real-time", where, p.Name)
		}
		switch g.Operation {
		case "", GaugeOperationSet, GaugeOperationAdd, GaugeOperationSub:
		default:
			v.fail(path+".gauge.operation", "%s metric '%s' error: unknown operation '%s'", where, p.Name, g.Operation).
				Hint = "use Set, Add or Sub"
		}
	}
	if h := p.Histogram; h != nil {
		if value("histogram", h.Value); len(h.Buckets) == 0 {
			v.fail(path+".histogram", "%s metric '%s' error: missing histogram.buckets", where, p.Name)
		}
	}
	if c := p.Counter; c != nil {
		value("counter", c.Value)
	}
	if kinds != 1 {
		v.fail(path, "%s metric '%s' error: must have exactly one of gauge, histogram and counter", where, p.Name)
	}
}
