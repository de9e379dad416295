package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"argosy/workflow/spec"
)

// helloOn measures one-step runs, one after the other: from the start of the submit to the
// answer that shows the run ended, looking again 1 ms after each answer. Its target of 10 ms
// is five hops of 2 ms: submit, start, execute, finish, answer. A process step may cost 10 ms
// more.
func helloOn(executor string) func(context.Context, bench) (measurement, error) {
	return func(ctx context.Context, b bench) (m measurement, err error) {
		f, err := startFleet(ctx, b, executor)
		if err != nil {
			return m, err
		}
		defer func() { err = errors.Join(err, f.stop()) }()
		samples, err := hellos(ctx, f, b)
		if err != nil {
			return m, fmt.Errorf("%w\n%s", err, f.logs())
		}
		m.samples = inMillis(samples)
		m.value = m.samples.P50
		m.peers, err = helloPeers(ctx, f, b, executor)
		return m, err
	}
}

// helloPeers measures the parts that hello cannot do without, on the same Redis.
func helloPeers(ctx context.Context, f *fleet, b bench, executor string) ([]peer, error) {
	polled, err := asynqHop(ctx, f.redis, 5*time.Millisecond, b.n)
	if err != nil {
		return nil, err
	}
	usual, err := asynqHop(ctx, f.redis, 0, 10)
	if err != nil {
		return nil, err
	}
	bare, err := bareExec(ctx, b.n)
	if err != nil {
		return nil, err
	}
	if executor == "process" {
		return []peer{bare, polled, usual}, nil
	}
	return []peer{polled, usual, bare}, nil
}

func hellos(ctx context.Context, f *fleet, b bench) ([]time.Duration, error) {
	random := rand.New(rand.NewPCG(b.seed, 0))
	const warmup = 10
	var samples []time.Duration
	for i := range b.n + warmup {
		wf, err := helloWorkflow(fmt.Sprintf("hello-%d-%d", b.seed, i), random.Uint64())
		if err != nil {
			return nil, err
		}
		took, err := f.toEnd(ctx, wf, time.Millisecond, patience)
		if err != nil {
			return nil, err
		}
		if i >= warmup {
			samples = append(samples, took)
		}
	}
	return samples, nil
}

func helloWorkflow(name string, word uint64) (*spec.Workflow, error) {
	return parse(fmt.Sprintf(`
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata:
  name: %s
spec:
  entrypoint: hello
  arguments:
    parameters:
      - name: word
        value: "%x"
  templates:
    - name: hello
      container:
        image: busybox
        command: ["true", "{{workflow.parameters.word}}"]
`, name, word))
}
