package coordinator

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are what a coordinator tells of itself.
type Metrics struct {
	turns      *prometheus.CounterVec
	duration   prometheus.Histogram
	claims     prometheus.Counter
	dispatched *prometheus.CounterVec
	finished   *prometheus.CounterVec
	lost       *prometheus.CounterVec
	crons      *prometheus.CounterVec
	held       prometheus.Gauge
	custom     *custom
}

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		turns: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "argosy_turns_total", Help: "Turns by outcome: committed, idle, fenced, gone, failed.",
		}, []string{"outcome"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "argosy_turn_duration_seconds", Help: "Time from claim to settlement.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
		claims: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "argosy_turn_claims_total", Help: "Runs claimed for a turn.",
		}),
		dispatched: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "argosy_tasks_dispatched_total", Help: "Tasks sent to a pool, by class: high, normal, bulk.",
		}, []string{"pool", "class"}),
		finished: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "argosy_runs_finished_total", Help: "Runs that ended, by phase.",
		}, []string{"phase"}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "argosy_deliveries_lost_total", Help: "Deliveries found lost, by what became of the node: resent, poison.",
		}, []string{"outcome"}),
		crons: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "argosy_cron_runs_total", Help: "Runs that schedules wanted, by outcome: submitted, refused.",
		}, []string{"outcome"}),
		held: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "argosy_turns_held", Help: "1 while nothing new is started, since Redis has little memory left.",
		}),
	}
	m.custom = newCustom()
	r.MustRegister(m.custom, m.turns, m.duration, m.claims, m.dispatched, m.finished, m.lost, m.crons, m.held)
	return m
}
