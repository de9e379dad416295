package queue

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics exposes the demand of every pool, observed anew at each scrape. When it cannot be
// observed nothing is exposed, since unknown is not zero.
type Metrics struct {
	demand *Demand
	log    *slog.Logger
	tasks  *prometheus.Desc
	oldest *prometheus.Desc
	failed prometheus.Counter
}

// observeWithin bounds a scrape.
const observeWithin = 2 * time.Second

// RegisterMetrics adds the metrics of all pools to a registry.
func RegisterMetrics(reg prometheus.Registerer, d *Demand) error {
	m := &Metrics{
		demand: d, log: d.conn.log,
		tasks: prometheus.NewDesc("argosy_queue_tasks",
			"Deliveries that a pool has, ready for a worker or running, and what waits for its run's credit.", []string{"pool", "state"}, nil),
		oldest: prometheus.NewDesc("argosy_queue_oldest_seconds",
			"How long the oldest ready delivery of a pool has waited.", []string{"pool"}, nil),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "argosy_queue_observe_failures_total", Help: "Scrapes at which the pools could not be observed.",
		}),
	}
	if err := reg.Register(m); err != nil {
		return fmt.Errorf("registering the queue's metrics: %w", err)
	}
	return nil
}

// Describe is part of prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.tasks
	ch <- m.oldest
	m.failed.Describe(ch)
}

// Collect is part of prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), observeWithin)
	defer cancel()
	if err := m.observe(ctx, ch); err != nil {
		m.failed.Inc()
		m.log.Warn("the pools cannot be observed", "error", err)
	}
	m.failed.Collect(ch)
}

func (m *Metrics) observe(ctx context.Context, ch chan<- prometheus.Metric) error {
	pools, err := m.demand.Pools(ctx)
	if err != nil {
		return err
	}
	for _, pool := range pools {
		load, err := m.demand.Pool(ctx, pool)
		if err != nil {
			return err
		}
		ch <- prometheus.MustNewConstMetric(m.tasks, prometheus.GaugeValue, float64(load.Ready), pool, "ready")
		ch <- prometheus.MustNewConstMetric(m.tasks, prometheus.GaugeValue, float64(load.Running), pool, "running")
		ch <- prometheus.MustNewConstMetric(m.tasks, prometheus.GaugeValue, float64(load.Waiting), pool, "waiting")
		ch <- prometheus.MustNewConstMetric(m.oldest, prometheus.GaugeValue, load.OldestAge.Seconds(), pool)
	}
	return nil
}

// roomMetrics expose how full Redis is.
type roomMetrics struct {
	room              *Room
	used, limit, runs *prometheus.Desc
}

// RegisterRoomMetrics adds the metrics of how full Redis is to a registry.
func RegisterRoomMetrics(reg prometheus.Registerer, r *Room) error {
	m := &roomMetrics{
		room: r,
		used: prometheus.NewDesc("argosy_redis_memory_bytes",
			"Memory that Redis uses; of a cluster's servers, the one that is nearest to its limit.", nil, nil),
		limit: prometheus.NewDesc("argosy_redis_memory_limit_bytes",
			"Memory from which on nothing more is accepted; 0 is no limit.", nil, nil),
		runs: prometheus.NewDesc("argosy_runs_unfinished", "Runs that have not finished.", nil, nil),
	}
	if err := reg.Register(m); err != nil {
		return fmt.Errorf("registering the metrics of how full Redis is: %w", err)
	}
	return nil
}

// Describe is part of prometheus.Collector.
func (m *roomMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.used
	ch <- m.limit
	ch <- m.runs
}

// Collect is part of prometheus.Collector. Unknown is not zero: nothing is exposed then.
func (m *roomMetrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), observeWithin)
	defer cancel()
	f, err := m.room.Fill(ctx)
	if err != nil {
		m.room.conn.log.Warn("how full Redis is cannot be observed", "error", err)
		return
	}
	ch <- prometheus.MustNewConstMetric(m.used, prometheus.GaugeValue, float64(f.Used))
	ch <- prometheus.MustNewConstMetric(m.limit, prometheus.GaugeValue, float64(f.Limit))
	ch <- prometheus.MustNewConstMetric(m.runs, prometheus.GaugeValue, float64(f.Runs))
}
