package server

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are what the server counts.
type Metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	streams  *prometheus.GaugeVec
	submits  *prometheus.CounterVec
	events   *prometheus.CounterVec
}

// NewMetrics registers the server's metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "argosy_server_requests_total",
			Help: "HTTP requests by route, method and status.",
		}, []string{"route", "method", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "argosy_server_request_duration_seconds",
			Help:    "Time to answer, by route; streams are not in it.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route"}),
		streams: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "argosy_server_streams",
			Help: "Open streams by route.",
		}, []string{"route"}),
		submits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "argosy_server_submitted_total",
			Help: "Workflows handed in, by outcome: accepted, invalid, refused (no room), exists, error.",
		}, []string{"outcome"}),
	}
	m.events = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "argosy_server_events_total",
		Help: "Events by what became of them: received, refused (too many wait); and of the bindings that were asked: none, submitted, failed.",
	}, []string{"outcome"})
	r.MustRegister(m.requests, m.duration, m.streams, m.submits, m.events)
	return m
}

// observed counts a route's requests. The route is the pattern, never the path, so that
// the number of series stays small.
func (m *Metrics) observed(route string, streaming bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		if streaming {
			open := m.streams.WithLabelValues(route)
			open.Inc()
			defer open.Dec()
		}
		next.ServeHTTP(rec, r)
		if !streaming {
			m.duration.WithLabelValues(route).Observe(time.Since(start).Seconds())
		}
		m.requests.WithLabelValues(route, r.Method, strconv.Itoa(rec.status)).Inc()
	})
}

// recorder remembers the status that was sent.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
