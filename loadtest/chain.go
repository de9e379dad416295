package main

import (
	"context"
	"fmt"
	"os/exec"
	"time"
)

// chainRepeats is how often a chain is measured.
const chainRepeats = 7

// sequence measures n steps of 10 ms one after the other, against the same commands that
// nothing but a loop starts.
func sequence(ctx context.Context, b bench) (m measurement, err error) {
	err = withFleet(ctx, b, plain("process"), func(f *fleet) error {
		a := again{warm: 1, times: 1, steps: b.n, look: 50 * time.Millisecond}
		text := chainText(b.n, leaf(`["sleep", "0.01"]`))
		var samples, bare []time.Duration
		for i := range chainRepeats {
			took, err := f.repeat(ctx, b, a, text)
			if err != nil {
				return err
			}
			a.warm = 0
			samples = append(samples, took...)
			start := time.Now()
			for range b.n {
				if err := exec.CommandContext(ctx, "sleep", "0.01").Run(); err != nil {
					return fmt.Errorf("running sleep: %w", err)
				}
			}
			bare = append(bare, time.Since(start))
			fmt.Fprintf(b.log, "   %d steps in %v, bare %v\n", b.n, samples[i].Round(time.Millisecond), bare[i].Round(time.Millisecond))
		}
		m.samples = inSeconds(samples)
		m.value = m.samples.P50
		p := peer{Name: fmt.Sprintf("%d times sleep 0.01, started one after the other", b.n), Unit: "s", Samples: inSeconds(bare)}
		p.Value = p.Samples.P50
		m.peers = []peer{p}
		m.note("ms a step beyond the 10", (m.value/float64(b.n)-0.010)*1000)
		return nil
	})
	return m, err
}

// maxHopTail is what the 99th percentile of hops may be, in ms.
const maxHopTail = 20

// hops measures the time from one step's commit to the next one's in a chain of n: commit,
// dispatch, dequeue, claim, report, claim of the turn, commit.
func hops(ctx context.Context, b bench) (m measurement, err error) {
	err = withFleet(ctx, b, plain("noop"), func(f *fleet) error {
		text := chainText(b.n, noopLeaf)
		if _, err := f.repeat(ctx, b, again{warm: 1, steps: b.n, look: 50 * time.Millisecond}, text); err != nil {
			return err
		}
		before, err := f.usage(ctx)
		if err != nil {
			return err
		}
		var samples []time.Duration
		for range chainRepeats {
			seen, err := watchCommits(ctx, f.redis)
			if err != nil {
				return err
			}
			_, err = f.repeat(ctx, b, again{times: 1, steps: b.n, look: 50 * time.Millisecond}, text)
			at := seen.times()
			if err != nil {
				return err
			}
			// One commit starts the first step, each of the others ends one.
			if len(at) != b.n+1 {
				return fmt.Errorf("there were %d commits for %d steps", len(at), b.n)
			}
			for i := 1; i < len(at); i++ {
				samples = append(samples, at[i].Sub(at[i-1]))
			}
		}
		after, err := f.usage(ctx)
		if err != nil {
			return err
		}
		m.noteUsage(before, after, float64(chainRepeats*b.n))
		m.samples = inMillis(samples)
		m.value = m.samples.P50
		m.require(m.samples.P99 <= maxHopTail, "p99 is %v ms, not %d ms", m.samples.P99, maxHopTail)
		usual, err := asynqHop(ctx, f.redis, 0, 10)
		if err != nil {
			return err
		}
		polled, err := asynqHop(ctx, f.redis, 5*time.Millisecond, b.n)
		m.peers = []peer{usual, polled}
		return err
	})
	return m, err
}
