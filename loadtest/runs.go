package main

import (
	"context"
	"fmt"
	"time"

	"argosy/server/client"
	"argosy/workflow/spec"
)

// runRepeats is how often a throughput of runs is measured.
const runRepeats = 3

// runsPerSecond measures one-step runs from the first submit to the end of the last one,
// against tasks of asynq alone, which are queued before the clock starts.
func runsPerSecond(ctx context.Context, b bench) (m measurement, err error) {
	err = withFleet(ctx, b, wide(), func(f *fleet) error {
		if _, err := f.runAll(ctx, "warm", 200); err != nil {
			return err
		}
		before, err := f.usage(ctx)
		if err != nil {
			return err
		}
		var samples []time.Duration
		for i := range runRepeats {
			start := time.Now()
			calls, err := f.runAll(ctx, fmt.Sprintf("t6-%d-%d", b.seed, i), b.n)
			if err != nil {
				return err
			}
			samples = append(samples, time.Since(start))
			m.samples = inMillis(calls)
			fmt.Fprintf(b.log, "   %d runs in %v\n", b.n, samples[i].Round(time.Millisecond))
		}
		after, err := f.usage(ctx)
		if err != nil {
			return err
		}
		m.noteUsage(before, after, float64(runRepeats*b.n))
		all := inSeconds(samples)
		m.value = float64(b.n) / all.P50
		m.note("best per second", float64(b.n)/all.Min)
		p, err := asynqThroughput(ctx, f.redis, min(b.n, 20_000))
		m.peers = []peer{p}
		return err
	})
	return m, err
}

// runAll submits one-step runs and waits until all of them have ended well.
func (f *fleet) runAll(ctx context.Context, prefix string, n int) ([]time.Duration, error) {
	before, err := f.ended(ctx)
	if err != nil {
		return nil, err
	}
	calls, err := submitAll(ctx, f, n, func(i int) []byte { return oneStep(prefix, i) })
	if err != nil {
		return nil, err
	}
	return calls, f.awaitEnded(ctx, before+float64(n))
}

// ended counts the runs that the fleet's coordinators ended.
func (f *fleet) ended(ctx context.Context) (float64, error) {
	sum := 0.0
	for i := range f.shape.coordinators {
		n, err := f.find(numbered("coordinator", i)).counter(ctx, "argosy_runs_finished_total")
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// awaitEnded waits until so many runs have ended. A fleet that ends none for a while is
// taken for wedged.
func (f *fleet) awaitEnded(ctx context.Context, n float64) error {
	last, since := -1.0, time.Now()
	for {
		ended, err := f.ended(ctx)
		if err != nil || ended >= n {
			return err
		}
		if ended != last {
			last, since = ended, time.Now()
		}
		if time.Since(since) > patience {
			return fmt.Errorf("%v of %v runs have ended, and no more do", ended, n)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// countRuns counts the namespace's runs by phase, page by page.
func (f *fleet) countRuns(ctx context.Context) (map[spec.WorkflowPhase]int, error) {
	o := client.ListOptions{Limit: 500, Fields: "metadata.continue,items.status.phase"}
	phases := map[spec.WorkflowPhase]int{}
	for {
		page, err := f.client.List(ctx, namespace, o)
		if err != nil {
			return nil, fmt.Errorf("listing runs: %w", err)
		}
		for i := range page.Items {
			phases[page.Items[i].Status.Phase]++
		}
		if o.Continue = page.Continue; o.Continue == "" {
			return phases, nil
		}
	}
}

// queuedBlock is how many runs are submitted between two looks at the rate.
const queuedBlock = 100_000

// queuedRuns measures Redis's memory for n runs that wait for a coordinator, and whether they
// are submitted as fast at the end as at the beginning.
func queuedRuns(ctx context.Context, b bench) (m measurement, err error) {
	err = withFleet(ctx, b, shape{}, func(f *fleet) error {
		if _, err := submitAll(ctx, f, 1000, func(i int) []byte { return oneStep("warm", i) }); err != nil {
			return err
		}
		start, _, err := f.redisBytes(ctx)
		if err != nil {
			return err
		}
		before, err := f.usage(ctx)
		if err != nil {
			return err
		}
		var rates []float64
		var calls []time.Duration
		for done := 0; done < b.n; {
			block := min(queuedBlock, b.n-done)
			from, first := time.Now(), done
			took, err := submitAll(ctx, f, block, func(i int) []byte { return oneStep("queued", first+i) })
			if err != nil {
				return err
			}
			done += block
			calls = append(calls, took...)
			rates = append(rates, float64(block)/time.Since(from).Seconds())
			fmt.Fprintf(b.log, "   %d runs queued, the last %d at %.0f/s\n", done, block, rates[len(rates)-1])
		}
		after, err := f.usage(ctx)
		if err != nil {
			return err
		}
		m.noteUsage(before, after, float64(b.n))
		now, peak, err := f.redisBytes(ctx)
		if err != nil {
			return err
		}
		m.samples = inMillis(calls)
		m.value = (now - start) / 1e9
		m.note("bytes each", (now-start)/float64(b.n))
		m.note("GB at most", peak/1e9)
		m.note("first per second", rates[0])
		m.note("last per second", rates[len(rates)-1])
		flat := rates[len(rates)-1] / rates[0]
		m.note("last rate over the first", flat)
		m.require(flat >= 0.9, "the last were submitted at %.2f of the rate of the first", flat)
		return nil
	})
	return m, err
}
