package spec

import "encoding/json"

// Metrics are the metrics that a run or node emits.
type Metrics struct {
	Prometheus []*Prometheus `json:"prometheus"`
}

// Prometheus is one metric. Exactly one of gauge, histogram and counter is set.
type Prometheus struct {
	Name      string         `json:"name"`
	Labels    []*MetricLabel `json:"labels,omitempty"`
	Help      string         `json:"help"`
	When      string         `json:"when,omitempty"`
	Gauge     *Gauge         `json:"gauge,omitempty"`
	Histogram *Histogram     `json:"histogram,omitempty"`
	Counter   *Counter       `json:"counter,omitempty"`
}

// MetricLabel is one label of a metric.
type MetricLabel struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Gauge is a gauge.
type Gauge struct {
	Value     string         `json:"value"`
	Realtime  *bool          `json:"realtime,omitempty"`
	Operation GaugeOperation `json:"operation,omitempty"`
}

// GaugeOperation is how a gauge takes its value.
type GaugeOperation string

// The gauge operations.
const (
	GaugeOperationSet GaugeOperation = "Set"
	GaugeOperationAdd GaugeOperation = "Add"
	GaugeOperationSub GaugeOperation = "Sub"
)

// Histogram is a histogram.
type Histogram struct {
	Value   string   `json:"value"`
	Buckets []Amount `json:"buckets"`
}

// Counter is a counter.
type Counter struct {
	Value string `json:"value"`
}

// Amount is a number in JSON that keeps its digits.
type Amount struct {
	Value json.Number `json:"-"`
}

// MarshalJSON writes the bare number.
func (a Amount) MarshalJSON() ([]byte, error) { return json.Marshal(a.Value) }

// UnmarshalJSON reads the bare number.
func (a *Amount) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &a.Value) }
