package coordinator

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// customPrefix is what Argo puts before the names of custom metrics.
const customPrefix = "argo_workflows_"

const (
	// maxSeries bounds what workflows can make a coordinator keep: each value of a label is
	// another series.
	maxSeries = 10_000
	maxLabels = 64
	// seenWithin is how long a gauge in real time is shown after this coordinator had a turn of
	// its run last: another may have gone on with it.
	seenWithin = 30 * time.Second
)

// custom is what workflows have measured themselves. It is a prometheus.Collector whose
// metrics are not known beforehand. What it would not take it refuses when asked to check,
// since one bad metric would spoil all of them.
type custom struct {
	now func() time.Time

	mu       sync.Mutex
	families map[string]*family
	series   int
	live     map[liveID]*liveGauge
	runs     map[string]time.Time // of live, when their runs had turns last
}

// family is all metrics of one name.
type family struct {
	kind, help string
	buckets    []float64
	series     map[string]*series // by their labels
}

type series struct {
	names, values []string
	value         float64 // of a counter or gauge, the sum of a histogram
	count         uint64
	buckets       map[float64]uint64
}

type liveID struct {
	run   string
	of    workflow.Key
	index int
}

// liveGauge is a gauge in real time.
type liveGauge struct {
	name, help    string
	names, values []string
	since         time.Time
}

func newCustom() *custom {
	return &custom{now: time.Now, families: map[string]*family{}, live: map[liveID]*liveGauge{}, runs: map[string]time.Time{}}
}

// Describe tells nothing: what there will be is not known.
func (c *custom) Describe(chan<- *prometheus.Desc) {}

// Collect is part of prometheus.Collector.
func (c *custom) Collect(out chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, f := range c.families {
		for _, s := range f.series {
			d := prometheus.NewDesc(name, f.help, s.names, nil)
			switch f.kind {
			case kindCounter:
				out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, s.value, s.values...)
			case kindGauge:
				out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, s.value, s.values...)
			default:
				out <- prometheus.MustNewConstHistogram(d, s.count, s.value, maps.Clone(s.buckets), s.values...)
			}
		}
	}
	now := c.now()
	shown := map[string]bool{}
	for id, g := range c.live {
		if now.Sub(c.runs[id.run]) > seenWithin {
			continue
		}
		// Two runs may have the same gauge with the same labels: one is shown.
		key := g.name + "\x00" + labelKey(g.names, g.values)
		if f := c.families[g.name]; shown[key] || f != nil && f.series[labelKey(g.names, g.values)] != nil {
			continue
		}
		shown[key] = true
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc(g.name, g.help, g.names, nil), prometheus.GaugeValue, now.Sub(g.since).Seconds(), g.values...)
	}
}

const (
	kindCounter   = "counter"
	kindGauge     = "gauge"
	kindHistogram = "histogram"
)

func kindOf(e *workflow.Emission) string {
	switch {
	case e.Counter != nil:
		return kindCounter
	case e.Gauge != nil:
		return kindGauge
	}
	return kindHistogram
}

var (
	metricName = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)
	labelName  = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
)

// take keeps what a turn emitted, and says what it could not: the rest is kept.
func (c *custom) take(run string, emissions []workflow.Emission) error {
	if len(emissions) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var refused []error
	for i := range emissions {
		e := &emissions[i]
		if err := c.takeOne(run, e); err != nil {
			refused = append(refused, fmt.Errorf("could not compute metric '%s': %w", e.Name, err))
		}
	}
	return errors.Join(refused...)
}

func (c *custom) takeOne(run string, e *workflow.Emission) error {
	name, kind := customPrefix+e.Name, kindOf(e)
	if !metricName.MatchString(name) {
		return errors.New("metric names must contain alphanumeric characters, '_' or ':'")
	}
	names, values, err := labelsOf(e.Labels)
	if err != nil {
		return err
	}
	id := liveID{run, e.Of, e.Index}
	f := c.families[name]
	if f == nil {
		if err := c.free(name, kind); err != nil {
			return err
		}
		f = &family{kind: kind, help: e.Help, series: map[string]*series{}}
		if kind == kindHistogram {
			if f.buckets, err = bucketsOf(e.Histogram); err != nil {
				return err
			}
		}
	}
	if f.kind != kind {
		return fmt.Errorf("it is a %s, and was a %s before", kind, f.kind)
	}
	if f.help != e.Help {
		return errors.New("metrics of one name must have one help string")
	}
	key := labelKey(names, values)
	s := f.series[key]
	if s == nil && c.series >= maxSeries {
		return fmt.Errorf("there are %d metrics already: use fewer values for labels", maxSeries)
	}
	if kind == kindCounter && e.Value < 0 {
		return errors.New("a counter cannot go down")
	}
	c.families[name] = f
	if e.Since != 0 {
		if c.live[id] == nil && s == nil {
			c.series++
		}
		c.live[id] = &liveGauge{name: name, help: e.Help, names: names, values: values, since: e.Since.Time()}
		c.runs[run] = c.now()
		return nil
	}
	c.endLive(id)
	if s == nil {
		s = &series{names: names, values: values, buckets: map[float64]uint64{}}
		f.series[key] = s
		c.series++
	}
	s.take(e, f)
	return nil
}

func (s *series) take(e *workflow.Emission, f *family) {
	switch f.kind {
	case kindCounter:
		s.value += e.Value
	case kindGauge:
		switch e.Gauge.Operation {
		case spec.GaugeOperationAdd:
			s.value += e.Value
		case spec.GaugeOperationSub:
			s.value -= e.Value
		default:
			s.value = e.Value
		}
	default:
		s.value += e.Value
		s.count++
		for _, b := range f.buckets {
			if e.Value <= b {
				s.buckets[b]++
			} else {
				s.buckets[b] += 0 // it is shown
			}
		}
	}
}

// free says that a new family's name gets in the way of none: a histogram has names with
// suffixes, too.
func (c *custom) free(name, kind string) error {
	suffixes := []string{"_count", "_sum", "_bucket"}
	for _, s := range suffixes {
		if base, ok := strings.CutSuffix(name, s); ok && c.families[base] != nil && c.families[base].kind == kindHistogram {
			return fmt.Errorf("the name is one of the histogram %s", base)
		}
		if kind == kindHistogram && c.families[name+s] != nil {
			return fmt.Errorf("the histogram would have the name of %s", name+s)
		}
	}
	return nil
}

// seen keeps the gauges in real time of a run shown, or ends them.
func (c *custom) seen(run string, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.runs[run]; !ok {
		return
	}
	now := c.now()
	c.runs[run] = now
	if ended {
		delete(c.runs, run)
	}
	for other, at := range c.runs {
		if now.Sub(at) > 2*seenWithin {
			delete(c.runs, other)
		}
	}
	for id := range c.live {
		if _, ok := c.runs[id.run]; !ok {
			c.endLive(id)
		}
	}
}

func (c *custom) endLive(id liveID) {
	if c.live[id] != nil {
		delete(c.live, id)
		c.series--
	}
}

func labelsOf(labels []*spec.MetricLabel) (names, values []string, err error) {
	if len(labels) > maxLabels {
		return nil, nil, fmt.Errorf("it has %d labels, of at most %d", len(labels), maxLabels)
	}
	sorted := slices.SortedFunc(slices.Values(labels), func(a, b *spec.MetricLabel) int { return strings.Compare(a.Key, b.Key) })
	for i, l := range sorted {
		switch {
		case !labelName.MatchString(l.Key) || strings.HasPrefix(l.Key, "__"):
			return nil, nil, fmt.Errorf("invalid label '%s': keys must contain alphanumeric characters or '_'", l.Key)
		case l.Key == "le":
			return nil, nil, errors.New("the label 'le' is that of histograms")
		case i > 0 && sorted[i-1].Key == l.Key:
			return nil, nil, fmt.Errorf("it has the label '%s' twice", l.Key)
		}
		names, values = append(names, l.Key), append(values, strings.ToValidUTF8(l.Value, "�"))
	}
	return names, values, nil
}

func labelKey(names, values []string) string {
	return strings.Join(names, "\x00") + "\x01" + strings.Join(values, "\x00")
}

func bucketsOf(h *spec.Histogram) ([]float64, error) {
	var out []float64
	for _, b := range h.Buckets {
		v, err := b.Value.Float64()
		if err != nil {
			return nil, fmt.Errorf("the bucket %q: %w", b.Value, err)
		}
		out = append(out, v)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
