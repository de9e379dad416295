package coordinator

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

func emission(name string, value float64, labels ...string) workflow.Emission {
	p := &spec.Prometheus{Name: name, Help: "help of " + name}
	for i := 0; i+1 < len(labels); i += 2 {
		p.Labels = append(p.Labels, &spec.MetricLabel{Key: labels[i], Value: labels[i+1]})
	}
	return workflow.Emission{Prometheus: p, Value: value, Of: workflow.Root}
}

func counter(name string, value float64, labels ...string) workflow.Emission {
	e := emission(name, value, labels...)
	e.Counter = &spec.Counter{}
	return e
}

func gauge(name string, value float64, op spec.GaugeOperation) workflow.Emission {
	e := emission(name, value)
	e.Gauge = &spec.Gauge{Operation: op}
	return e
}

func histogram(name string, value float64, buckets ...string) workflow.Emission {
	e := emission(name, value)
	e.Histogram = &spec.Histogram{}
	for _, b := range buckets {
		e.Histogram.Buckets = append(e.Histogram.Buckets, spec.Amount{Value: json.Number(b)})
	}
	return e
}

// exposes compares what is exposed, without comments.
func exposes(t *testing.T, c *custom, want ...string) {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	require.NoError(t, err)
	var got []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			text := fmt.Sprintf("%s{%s}", strings.TrimPrefix(f.GetName(), "argo_workflows_"), strings.Join(labels, ","))
			switch {
			case m.Counter != nil:
				text += fmt.Sprintf(" %g", m.GetCounter().GetValue())
			case m.Gauge != nil:
				text += fmt.Sprintf(" %g", m.GetGauge().GetValue())
			default:
				text += fmt.Sprintf(" %g of %d", m.GetHistogram().GetSampleSum(), m.GetHistogram().GetSampleCount())
				for _, b := range m.GetHistogram().GetBucket() {
					text += fmt.Sprintf(" %g:%d", b.GetUpperBound(), b.GetCumulativeCount())
				}
			}
			got = append(got, text)
		}
	}
	require.Equal(t, want, got)
}

func TestCustomMetricsAddUp(t *testing.T) {
	t.Parallel()
	c := newCustom()
	require.NoError(t, c.take("r", []workflow.Emission{
		counter("c", 1, "b", "x", "a", "y"), counter("c", 2, "a", "y", "b", "x"), counter("c", 5, "a", "z"),
		gauge("g", 7, ""), gauge("g", 5, spec.GaugeOperationAdd), gauge("g", 2, spec.GaugeOperationSub),
		histogram("h", 1.5, "1", "2", "5"), histogram("h", 4, "1", "2", "5"), histogram("h", 9, "1"),
	}))
	exposes(t, c, "c{a=z} 5", "c{a=y,b=x} 3", "g{} 10", "h{} 14.5 of 3 1:0 2:1 5:2")
	require.NoError(t, c.take("r", []workflow.Emission{gauge("g", 1, spec.GaugeOperationSet)}))
	require.Equal(t, 4, testutil.CollectAndCount(c))
}

func TestABadCustomMetricSpoilsNoOther(t *testing.T) {
	t.Parallel()
	c := newCustom()
	other := counter("c", 1)
	other.Prometheus.Help = "another"
	for _, tc := range []struct {
		e   workflow.Emission
		err string
	}{
		{counter("c", 1), ""},
		{histogram("h", 1, "1"), ""},
		{counter("x_count", 1), ""},
		{gauge("c", 1, ""), "it is a gauge, and was a counter before"},
		{other, "must have one help string"},
		{counter("c", -1), "cannot go down"},
		{counter("c", 1, "a-b", "x"), "invalid label 'a-b'"},
		{counter("c", 1, "__a", "x"), "invalid label"},
		{counter("c", 1, "le", "x"), "histograms"},
		{counter("c", 1, "a", "x", "a", "y"), "twice"},
		{counter("a b", 1), "metric names must"},
		{counter("h_sum", 1), "one of the histogram"},
		{histogram("x", 1, "1"), "would have the name"},
		{histogram("y", 1, "z"), "bucket"},
		{counter("c", 1, "a", "\xff"), ""},
	} {
		err := c.take("r", []workflow.Emission{tc.e, gauge("last", 1, spec.GaugeOperationAdd)})
		if tc.err == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, tc.err)
			require.ErrorContains(t, err, "could not compute metric '"+tc.e.Name+"': ")
		}
	}
	exposes(t, c, "c{} 1", "c{a=�} 1", "h{} 1 of 1 1:1", "last{} 15", "x_count{} 1")
}

func TestCustomMetricsAreBounded(t *testing.T) {
	t.Parallel()
	c := newCustom()
	for i := range maxSeries {
		require.NoError(t, c.take("r", []workflow.Emission{counter("c", 1, "i", fmt.Sprint(i))}))
	}
	require.ErrorContains(t, c.take("r", []workflow.Emission{counter("c", 1, "i", "more")}), "use fewer values for labels")
	require.NoError(t, c.take("r", []workflow.Emission{counter("c", 1, "i", "7")}))
}

func TestGaugesInRealTimeGoOnUntilTheirEnd(t *testing.T) {
	t.Parallel()
	c := newCustom()
	now := time.UnixMilli(100_000)
	c.now = func() time.Time { return now }
	live := gauge("g", 0, "")
	live.Since = 90_000
	require.NoError(t, c.take("r", []workflow.Emission{live}))
	require.NoError(t, c.take("another", []workflow.Emission{live}))
	exposes(t, c, "g{} 10")
	now = now.Add(20 * time.Second)
	c.seen("r", false)
	exposes(t, c, "g{} 30")
	require.NoError(t, c.take("r", []workflow.Emission{gauge("g", 31, "")}))
	c.seen("r", true)
	exposes(t, c, "g{} 31")

	// A run that another coordinator goes on with is not shown here for ever.
	lost := gauge("l", 0, "")
	lost.Since = 100_000
	require.NoError(t, c.take("lost", []workflow.Emission{lost}))
	now = now.Add(seenWithin + time.Second)
	exposes(t, c, "g{} 31")
	now = now.Add(seenWithin)
	c.runs["r"] = now
	c.seen("r", true)
	require.Empty(t, c.live)
	require.Equal(t, 1, c.series)
}
