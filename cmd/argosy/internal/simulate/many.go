package simulate

import (
	"context"
	"errors"
	"sync"
)

// Sum adds up what came of many seeds.
type Sum struct {
	Seeds  int
	Steps  int
	Faults int
	Broken []Outcome // the seeds that broke a rule, in their order
}

// Many executes the seeds from first on, several at once. It stops after keep broken ones, or
// when ctx ends. progress is called now and then.
func Many(ctx context.Context, first uint64, seeds, parallel, keep int, progress func(Sum)) (Sum, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var (
		mu     sync.Mutex
		sum    Sum
		next   = first
		failed error
		wait   sync.WaitGroup
	)
	take := func() (uint64, bool) {
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() != nil || next-first >= uint64(seeds) {
			return 0, false
		}
		next++
		return next - 1, true
	}
	add := func(o Outcome, err error) {
		mu.Lock()
		defer mu.Unlock()
		failed = errors.Join(failed, err)
		sum.Seeds++
		sum.Steps += o.Steps
		sum.Faults += o.Faults
		if o.Broken != nil {
			sum.Broken = append(sum.Broken, o)
		}
		if progress != nil {
			progress(sum)
		}
		if failed != nil || len(sum.Broken) >= keep {
			stop()
		}
	}
	for range parallel {
		wait.Go(func() {
			r, err := NewRunner()
			if err != nil {
				add(Outcome{}, err)
				return
			}
			defer r.Close()
			for seed, ok := take(); ok; seed, ok = take() {
				add(r.Run(seed, nil))
			}
		})
	}
	wait.Wait()
	return sum, failed
}
