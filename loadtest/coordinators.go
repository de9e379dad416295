package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"argosy/workflow/spec"
)

// secondCoordinator measures how much faster two coordinator processes work off n queued
// one-step runs than one does, and kills each of the two on the way in rounds of their own,
// after which no run may be missing.
//
// Each coordinator takes one turn at a time here, most of which is waiting for Redis: so there
// are cores for a second one even where Redis and the worker share two. What two of them do at
// 32 turns each is noted, too.
func secondCoordinator(ctx context.Context, b bench) (m measurement, err error) {
	rates := map[string][]float64{}
	var took []time.Duration
	for range runRepeats {
		for _, turns := range []string{"1", "32"} {
			for _, n := range []int{1, 2} {
				d, err := workOff(ctx, b, n, turns)
				if err != nil {
					return m, err
				}
				fmt.Fprintf(b.log, "   %d of %s turns each: %d runs in %v\n", n, turns, b.n, d.Round(time.Millisecond))
				name := fmt.Sprintf("runs per second, %d with %s turns", n, turns)
				rates[name] = append(rates[name], float64(b.n)/d.Seconds())
				if n == 2 && turns == "1" {
					took = append(took, d)
				}
			}
		}
	}
	for name, found := range rates {
		m.note(name, median(found))
	}
	m.samples = inSeconds(took)
	one := m.notes["runs per second, 1 with 1 turns"]
	m.value = m.notes["runs per second, 2 with 1 turns"] / one
	m.peers = []peer{{Name: "one coordinator", Value: 1, Unit: "x"}}
	m.note("times as fast with 32 turns", m.notes["runs per second, 2 with 32 turns"]/m.notes["runs per second, 1 with 32 turns"])
	for killed := range 2 {
		lost, err := killCoordinator(ctx, b, killed)
		if err != nil {
			return m, err
		}
		fmt.Fprintf(b.log, "   coordinator %d killed on the way: %d of %d runs lost\n", killed+1, lost, b.n)
		m.require(lost == 0, "%d runs were lost with coordinator %d", lost, killed+1)
	}
	return m, nil
}

// workOff takes the time in which coordinators work off queued runs.
func workOff(ctx context.Context, b bench, coordinators int, turns string) (took time.Duration, err error) {
	sh := shape{executor: "noop", workers: 1, slots: manySlots, coordinator: []string{"--turns", turns}}
	err = withFleet(ctx, b, sh, func(f *fleet) error {
		if _, err := submitAll(ctx, f, b.n, func(i int) []byte { return oneStep("s2", i) }); err != nil {
			return err
		}
		start := time.Now()
		if err := f.addCoordinators(ctx, coordinators); err != nil {
			return err
		}
		if err := f.awaitEnded(ctx, float64(b.n)); err != nil {
			return err
		}
		took = time.Since(start)
		return nil
	})
	return took, err
}

func (f *fleet) addCoordinators(ctx context.Context, n int) error {
	for i := range n {
		if err := f.startRole(ctx, numbered("coordinator", i), append([]string{"coordinator"}, f.shape.coordinator...)...); err != nil {
			return err
		}
	}
	f.shape.coordinators = n
	return nil
}

// killCoordinator kills one of two when half of the runs have ended, and counts those that do
// not end well.
func killCoordinator(ctx context.Context, b bench, which int) (lost int, err error) {
	err = withFleet(ctx, b, shape{executor: "noop", workers: 1, slots: manySlots}, func(f *fleet) error {
		if _, err := submitAll(ctx, f, b.n, func(i int) []byte { return oneStep("s2", i) }); err != nil {
			return err
		}
		if err := f.addCoordinators(ctx, 2); err != nil {
			return err
		}
		if err := f.awaitEnded(ctx, float64(b.n)/2); err != nil {
			return err
		}
		f.find(numbered("coordinator", which)).end(syscall.SIGKILL)
		for deadline := time.Now().Add(time.Minute); ; {
			phases, err := f.countRuns(ctx)
			if err != nil {
				return err
			}
			if lost = b.n - phases[spec.WorkflowSucceeded]; lost == 0 || time.Now().After(deadline) {
				return nil
			}
			if err := pause(ctx, 500*time.Millisecond); err != nil {
				return err
			}
		}
	})
	return lost, err
}
