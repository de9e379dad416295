package worker

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"argosy/workflow"
)

// Metrics are what a worker tells Prometheus.
type Metrics struct {
	inFlight prometheus.Gauge
	duration *prometheus.HistogramVec
	results  *prometheus.CounterVec
	errors   *prometheus.CounterVec
}

// NewMetrics registers the worker's metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "argosy_worker_steps_in_flight",
			Help: "Steps that this worker is executing.",
		}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "argosy_worker_step_duration_seconds",
			Help:    "How long steps took, by the phase that they ended in.",
			Buckets: prometheus.ExponentialBuckets(0.005, 4, 10), // 5 ms to 22 min
		}, []string{"phase"}),
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "argosy_worker_results_total",
			Help: "Steps that ended, by phase; Dropped for those that end unreported.",
		}, []string{"phase"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "argosy_worker_errors_total",
			Help: "Steps that we failed, by class of the fault.",
		}, []string{"class"}),
	}
	reg.MustRegister(m.inFlight, m.duration, m.results, m.errors)
	return m
}

// Measure counts and times steps.
func Measure(next Executor, m *Metrics) Executor {
	return ExecutorFunc(func(ctx context.Context, s *Step) (workflow.Result, error) {
		m.inFlight.Inc()
		defer m.inFlight.Dec()
		start := time.Now()
		r, err := next.Execute(ctx, s)
		phase := "Dropped"
		if !errors.Is(err, ErrLeaseLost) && !errors.Is(err, ErrShutdown) {
			result := asResult(r, err)
			phase = string(result.Phase)
			if result.Class != "" {
				m.errors.WithLabelValues(result.Class).Inc()
			}
		}
		m.results.WithLabelValues(phase).Inc()
		m.duration.WithLabelValues(phase).Observe(time.Since(start).Seconds())
		return r, err
	})
}
