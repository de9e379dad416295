package main

import (
	"math"
	"slices"
	"time"
)

// quantiles sums samples up.
type quantiles struct {
	Count int     `json:"count"`
	Unit  string  `json:"unit"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	Min   float64 `json:"min"`
	Max   float64 `json:"max"`
}

// inMillis sums durations up in milliseconds.
func inMillis(samples []time.Duration) quantiles {
	return sum(samples, time.Millisecond, "ms")
}

// inSeconds sums durations up in seconds.
func inSeconds(samples []time.Duration) quantiles {
	return sum(samples, time.Second, "s")
}

func sum(samples []time.Duration, unit time.Duration, name string) quantiles {
	q := quantiles{Count: len(samples), Unit: name}
	if len(samples) == 0 {
		return q
	}
	sorted := slices.Clone(samples)
	slices.Sort(sorted)
	// The nearest rank: always a sample that was seen.
	at := func(p float64) float64 {
		i := int(math.Ceil(p*float64(len(sorted)))) - 1
		return round(float64(sorted[max(i, 0)]) / float64(unit))
	}
	q.P50, q.P95, q.P99, q.Min, q.Max = at(0.50), at(0.95), at(0.99), at(0), at(1)
	return q
}

// round keeps four digits: no clock here is better than that.
func round(v float64) float64 {
	if v == 0 {
		return 0
	}
	scale := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
