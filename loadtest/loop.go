package main

import (
	"context"
	"fmt"
	"time"
)

// loopRepeats is how often a loop is measured.
const loopRepeats = 3

// loopLimit is how long one loop may take.
const loopLimit = time.Hour

// itemsPerSecond measures the items per second of one loop, against tasks per second of asynq
// alone.
func itemsPerSecond(ctx context.Context, b bench) (m measurement, err error) {
	err = withFleet(ctx, b, wide(), func(f *fleet) error {
		text := loopText(b.n, noopLeaf)
		if _, err := f.repeat(ctx, b, again{warm: 1, steps: b.n / 10, look: 50 * time.Millisecond}, loopText(b.n/10, noopLeaf)); err != nil {
			return err
		}
		before, err := f.usage(ctx)
		if err != nil {
			return err
		}
		samples, err := f.repeat(ctx, b, again{times: loopRepeats, steps: b.n, look: 50 * time.Millisecond, limit: loopLimit}, text)
		if err != nil {
			return err
		}
		after, err := f.usage(ctx)
		if err != nil {
			return err
		}
		m.noteUsage(before, after, float64(loopRepeats*b.n))
		m.samples = inSeconds(samples)
		m.value = float64(b.n) / m.samples.P50
		m.note("best per second", float64(b.n)/m.samples.Min)
		p, err := asynqThroughput(ctx, f.redis, 20_000)
		m.peers = []peer{p}
		return err
	})
	return m, err
}

// Bounds of a run of a million items beside its time.
const (
	maxRunBytes         = 100e6
	maxCoordinatorBytes = 200e6
	maxGrowth           = 13 // times what a tenth of it takes
)

// oneLargeRun measures one run of n items, against one of a tenth: time, Redis's memory, and
// the coordinator's. Both have a fleet of their own, and neither warms up.
func oneLargeRun(ctx context.Context, b bench) (m measurement, err error) {
	small, err := largeRun(ctx, b, b.n/10)
	if err != nil {
		return m, err
	}
	fmt.Fprintf(b.log, "   %d items in %v\n", b.n/10, small.took.Round(time.Millisecond))
	large, err := largeRun(ctx, b, b.n)
	if err != nil {
		return m, err
	}
	m.samples = inSeconds([]time.Duration{large.took})
	m.value = large.took.Seconds()
	m.peers = []peer{{Name: fmt.Sprintf("%d items", b.n/10), Value: round(small.took.Seconds()), Unit: "s", Samples: inSeconds([]time.Duration{small.took})}}
	m.note("Redis bytes of the run, at most", large.peak)
	m.note("Redis bytes of the run, ended", large.ended)
	m.note("coordinator's memory, at most", large.coordinator)
	m.note("worker's memory, at most", large.worker)
	m.note("server's memory, at most", large.server)
	growth := large.took.Seconds() / small.took.Seconds()
	m.require(large.peak <= maxRunBytes, "Redis had %.0f bytes of it", large.peak)
	m.require(large.coordinator <= maxCoordinatorBytes, "the coordinator had %.0f bytes", large.coordinator)
	m.require(growth <= maxGrowth, "it took %.1f times what a tenth of it takes", growth)
	return m, nil
}

type largeRunResult struct {
	took                        time.Duration
	peak, ended                 float64
	coordinator, worker, server float64
}

func largeRun(ctx context.Context, b bench, n int) (r largeRunResult, err error) {
	err = withFleet(ctx, b, wide(), func(f *fleet) error {
		before, _, err := f.redisBytes(ctx)
		if err != nil {
			return err
		}
		samples, err := f.repeat(ctx, b, again{times: 1, steps: n, look: 50 * time.Millisecond, limit: loopLimit}, loopText(n, noopLeaf))
		if err != nil {
			return err
		}
		r.took = samples[0]
		now, peak, err := f.redisBytes(ctx)
		if err != nil {
			return err
		}
		r.peak, r.ended = peak-before, now-before
		for name, into := range map[string]*float64{"coordinator": &r.coordinator, "worker": &r.worker, "server": &r.server} {
			if *into, err = f.find(name).peakBytes(); err != nil {
				return err
			}
		}
		return nil
	})
	return r, err
}
