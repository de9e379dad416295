package simulate

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"argosy/coordinator"
	"argosy/queue/queuesim"
)

// Runner executes seeds, one after the other.
type Runner struct {
	server  *queuesim.Server
	metrics *coordinator.Metrics
}

// Outcome is what came of a seed.
type Outcome struct {
	Seed   uint64
	Steps  int
	Faults int
	Broken *Violation // nil: all rules held
}

// NewRunner makes a Runner.
func NewRunner() (*Runner, error) { return newRunner(nil) }

// newRunner makes a Runner of scripts that tests put mistakes into.
func newRunner(rewrite func(name, source string) string) (*Runner, error) {
	server, err := queuesim.NewServer(rewrite)
	if err != nil {
		return nil, fmt.Errorf("making the simulated Redis: %w", err)
	}
	return &Runner{server: server, metrics: coordinator.NewMetrics(prometheus.NewRegistry())}, nil
}

// Close releases the Runner.
func (r *Runner) Close() { r.server.Close() }

// Run executes a seed and writes what happens to the trace, if there is one.
func (r *Runner) Run(seed uint64, trace io.Writer) (Outcome, error) {
	r.server.Flush()
	w, err := newWorld(seed, r.server, r.metrics, trace)
	if err != nil {
		return Outcome{}, err
	}
	w.run()
	return Outcome{Seed: seed, Steps: w.steps, Faults: w.faults, Broken: w.broken}, nil
}

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
