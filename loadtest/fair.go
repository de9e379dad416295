package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"argosy/workflow"
)

// hellosBeside is how many one-step runs are submitted beside each wide run.
const hellosBeside = 40

// fairness measures by how much a wide run of n steps of 10 ms delays one-step runs that are
// submitted in the middle of it, on one worker with one slot for each core. They wait for a
// slot to come free, which must take no longer than one task: a chunk, for the wide run is one
// loop. Beside it stands a wide run of loops that are too short for chunks, whose tasks are
// the steps themselves.
func fairness(ctx context.Context, b bench) (m measurement, err error) {
	err = withFleet(ctx, b, plain("process"), func(f *fleet) error {
		hello := chainText(1, noopLeaf)
		alone, err := f.repeat(ctx, b, again{warm: 10, times: hellosBeside, steps: 1, look: time.Millisecond}, hello)
		if err != nil {
			return err
		}
		idle := inMillis(alone)
		sleep := leaf(`["sleep", "0.01"]`)
		chunked, err := f.beside(ctx, b, loopText(b.n, sleep), hello)
		if err != nil {
			return err
		}
		steps, err := f.beside(ctx, b, shortLoopsText(b.n, sleep), hello)
		if err != nil {
			return err
		}
		m.samples = chunked
		m.value = max(0, chunked.P95-idle.P50)
		m.peers = []peer{
			{Name: "the same one-step runs with nothing beside them", Unit: "ms", Value: idle.P50, Samples: idle},
			{Name: "beside a wide run without chunks", Unit: "ms", Value: steps.P50, Samples: steps},
		}
		m.target = float64((workflow.ChunkTime + 10*time.Millisecond).Milliseconds())
		m.note("ms of delay beside chunks, p50", chunked.P50-idle.P50)
		m.note("ms of delay beside steps, p50", steps.P50-idle.P50)
		m.note("ms of delay beside steps, p95", steps.P95-idle.P50)
		return nil
	})
	return m, err
}

// beside submits a wide run, and when it has begun one-step runs one after the other, whose
// times it returns. The wide run must not have ended meanwhile.
func (f *fleet) beside(ctx context.Context, b bench, wideText, hello string) (quantiles, error) {
	f.runs++
	wide, err := named(wideText, fmt.Sprintf("wide-%d-%d", b.seed, f.runs))
	if err != nil {
		return quantiles{}, err
	}
	if _, err := f.client.Submit(ctx, namespace, wide, false); err != nil {
		return quantiles{}, fmt.Errorf("submitting %s: %w", wide.Name, err)
	}
	done := func() (begun, ended bool, err error) {
		s, err := f.look(ctx, wide.Name)
		return !strings.HasPrefix(string(s.Progress), "0/"), s.Phase.Completed(), err
	}
	for begun := false; !begun; {
		if begun, _, err = done(); err == nil {
			err = pause(ctx, 20*time.Millisecond)
		}
		if err != nil {
			return quantiles{}, err
		}
	}
	samples, err := f.repeat(ctx, b, again{times: hellosBeside, steps: 1, look: time.Millisecond}, hello)
	if err != nil {
		return quantiles{}, err
	}
	_, ended, err := done()
	if err == nil && ended {
		err = fmt.Errorf("run %s ended before the runs beside it: it needs more steps", wide.Name)
	}
	if err != nil {
		return quantiles{}, err
	}
	if err := f.client.Terminate(ctx, namespace, wide.Name); err != nil {
		return quantiles{}, fmt.Errorf("ending %s: %w", wide.Name, err)
	}
	for ended := false; !ended; {
		if _, ended, err = done(); err == nil {
			err = pause(ctx, 20*time.Millisecond)
		}
		if err != nil {
			return quantiles{}, err
		}
	}
	return inMillis(samples), nil
}

// shortLoop is a loop that is not chunked.
const shortLoop = 200

// shortLoopsText is about n items in loops side by side, each too short for chunks.
func shortLoopsText(n int, leaf string) string {
	var steps strings.Builder
	for i := range max(1, n/shortLoop) {
		fmt.Fprintf(&steps, "    %s {name: loop-%d, template: step, withSequence: {count: \"%d\"}}\n", []string{"- -", "  -"}[min(i, 1)], i, shortLoop)
	}
	return header + "  - name: main\n    steps:\n" + steps.String() + leaf
}
