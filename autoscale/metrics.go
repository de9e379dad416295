package autoscale

import "github.com/prometheus/client_golang/prometheus"

// Metrics are those of all loops of a process.
type Metrics struct {
	want     *prometheus.GaugeVec
	replicas *prometheus.GaugeVec
	tasks    *prometheus.GaugeVec
	oldest   *prometheus.GaugeVec
	holds    *prometheus.CounterVec
	changes  *prometheus.CounterVec
}

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		want: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "argosy_autoscale_want", Help: "Workers wanted, by what wants them: demand, running, recent; final is what was decided.",
		}, []string{"pool", "reason"}),
		replicas: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "argosy_autoscale_replicas", Help: "Workers asked for before the decision.",
		}, []string{"pool"}),
		tasks: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "argosy_autoscale_tasks", Help: "Tasks seen, by state: ready, running, waiting for room.",
		}, []string{"pool", "state"}),
		oldest: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "argosy_autoscale_oldest_seconds", Help: "Age of the oldest task that waits.",
		}, []string{"pool"}),
		holds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "argosy_autoscale_holds_total", Help: "Steps that changed nothing because they could not see or act, by reason: observe, stale, scale.",
		}, []string{"pool", "reason"}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "argosy_autoscale_changes_total", Help: "Changes made, by direction: up, down.",
		}, []string{"pool", "direction"}),
	}
	r.MustRegister(m.want, m.replicas, m.tasks, m.oldest, m.holds, m.changes)
	return m
}

func (m *Metrics) decided(o Observation, d Decision) {
	m.replicas.WithLabelValues(o.Pool).Set(float64(o.Replicas))
	m.tasks.WithLabelValues(o.Pool, "ready").Set(float64(o.Ready))
	m.tasks.WithLabelValues(o.Pool, "running").Set(float64(o.Running))
	m.tasks.WithLabelValues(o.Pool, "waiting").Set(float64(o.Waiting))
	m.oldest.WithLabelValues(o.Pool).Set(o.OldestAge.Seconds())
	for reason, workers := range map[string]int{"demand": d.ForDemand, "running": d.ForRunning, "recent": d.Recent, "final": d.Want} {
		m.want.WithLabelValues(o.Pool, reason).Set(float64(workers))
	}
}

func (m *Metrics) scaled(pool string, from, to int) {
	m.replicas.WithLabelValues(pool).Set(float64(to))
	direction := "up"
	if to < from {
		direction = "down"
	}
	m.changes.WithLabelValues(pool, direction).Inc()
}

func (m *Metrics) held(pool, reason string) { m.holds.WithLabelValues(pool, reason).Inc() }
