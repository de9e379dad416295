package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"argosy/workflow/spec"
)

// loopRepeats is how often a loop runs; the first one warms up and does not count.
const loopRepeats = 6

// loopNoop measures the items per second of one loop, against tasks per second of asynq
// alone.
func loopNoop(ctx context.Context, b bench) (measurement, error) {
	return loop(ctx, b, "noop", func(f *fleet) ([]peer, error) {
		p, err := asynqThroughput(ctx, f.redis, max(b.n, 2000))
		return []peer{p}, err
	})
}

// loopProcess measures the items per second of one loop whose items run true, against xargs
// doing the same without isolation, queue or record. Half of that is the target.
func loopProcess(ctx context.Context, b bench) (measurement, error) {
	m, err := loop(ctx, b, "process", func(*fleet) ([]peer, error) {
		p, err := xargs(ctx, b.n)
		return []peer{p}, err
	})
	if err == nil {
		m.target = m.peers[0].Value / 2
	}
	return m, err
}

func loop(ctx context.Context, b bench, executor string, peers func(*fleet) ([]peer, error)) (m measurement, err error) {
	f, err := startFleet(ctx, b, executor)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, f.stop()) }()
	var samples []time.Duration
	for i := range loopRepeats {
		name := fmt.Sprintf("loop-%d-%d", b.seed, i)
		wf, err := loopWorkflow(name, b.n)
		if err != nil {
			return m, err
		}
		took, err := f.toEnd(ctx, wf, 20*time.Millisecond, 10*time.Minute)
		if err == nil {
			err = checkLoop(ctx, f, name, b.n)
		}
		if err != nil {
			return m, fmt.Errorf("%w\n%s", err, f.logs())
		}
		fmt.Fprintf(b.log, "   %d items in %v\n", b.n, took.Round(time.Millisecond))
		if i > 0 {
			samples = append(samples, took)
		}
	}
	m.samples = inSeconds(samples)
	m.value = float64(b.n) / m.samples.P50
	m.notes = map[string]float64{"items": float64(b.n), "bestPerSecond": round(float64(b.n) / m.samples.Min)}
	m.peers, err = peers(f)
	return m, err
}

// checkLoop makes sure that what was measured is what was asked for.
func checkLoop(ctx context.Context, f *fleet, name string, n int) error {
	whole, err := f.client.Get(ctx, namespace, name, "")
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	succeeded := 0
	for _, node := range whole.Status.Nodes {
		if node.Type == spec.NodeTypePod && node.Phase == spec.NodeSucceeded {
			succeeded++
		}
	}
	if succeeded != n {
		return fmt.Errorf("run %s has %d steps that succeeded, not %d", name, succeeded, n)
	}
	return nil
}

func loopWorkflow(name string, n int) (*spec.Workflow, error) {
	return parse(fmt.Sprintf(`
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata:
  name: %s
spec:
  entrypoint: main
  templates:
    - name: main
      steps:
        - - name: item
            template: item
            withSequence:
              count: "%d"
            arguments:
              parameters:
                - name: i
                  value: "{{item}}"
    - name: item
      inputs:
        parameters:
          - name: i
      container:
        image: busybox
        command: ["true", "{{inputs.parameters.i}}"]
`, name, n))
}
