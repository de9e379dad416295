package main

import (
	"context"
	"fmt"
	"time"
)

// helloOn measures one-step runs, one after the other: from the start of the submit to the
// answer that shows the run ended, looking again 1 ms after each answer. Its target of 10 ms
// is five hops of 2 ms: submit, start, execute, finish, answer. A process step may cost 10 ms
// more.
func helloOn(executor string) func(context.Context, bench) (measurement, error) {
	return func(ctx context.Context, b bench) (m measurement, err error) {
		err = withFleet(ctx, b, plain(executor), func(f *fleet) error {
			samples, err := f.repeat(ctx, b, again{warm: 10, times: b.n, steps: 1, look: time.Millisecond, answered: true}, chainText(1, noopLeaf))
			if err != nil {
				return err
			}
			m.samples = inMillis(samples)
			m.value = m.samples.P50
			m.peers, err = helloPeers(ctx, f, b, executor)
			return err
		})
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

// again says how a workflow is repeated.
type again struct {
	warm, times int           // the first ones do not count
	steps       int           // that each run has
	look        time.Duration // between two looks at whether it has ended
	answered    bool          // take the time until an answer shows the end, not until its commit
	limit       time.Duration // of one run; 0 is ten minutes
}

// repeat takes the times of runs of the text, one after the other.
func (f *fleet) repeat(ctx context.Context, b bench, a again, text string) ([]time.Duration, error) {
	if a.limit == 0 {
		a.limit = 10 * time.Minute
	}
	var samples []time.Duration
	for i := range a.warm + a.times {
		f.runs++
		wf, err := named(text, fmt.Sprintf("run-%d-%d", b.seed, f.runs))
		if err != nil {
			return nil, err
		}
		measure := f.toEnd
		if a.answered {
			measure = f.toAnswer
		}
		took, err := measure(ctx, wf, a.steps, a.look, a.limit)
		if err != nil {
			return nil, err
		}
		if i >= a.warm {
			samples = append(samples, took)
		}
	}
	return samples, nil
}
