package main

import (
	"context"
	"fmt"
	"sync"
)

// part is a piece of a process that runs until it is told to stop: it takes no more work
// when take ends, finishes what it has, and gives up at the latest when work ends.
type part struct {
	name string
	run  func(take, work context.Context) error
}

// runParts starts groups of parts in order and runs them until ctx ends or one of them does.
// The groups are stopped in reverse order, each one before the next: who sends work goes
// before who receives it. It returns the first error.
func runParts(ctx context.Context, groups ...[]part) error {
	work, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	ended := make(chan struct{})
	var once sync.Once
	var first error
	end := func(err error) {
		once.Do(func() {
			first = err
			close(ended)
		})
	}
	type running struct {
		stop context.CancelFunc
		wait *sync.WaitGroup
	}
	started := make([]running, 0, len(groups))
	for _, group := range groups {
		take, stop := context.WithCancel(work)
		r := running{stop: stop, wait: &sync.WaitGroup{}}
		for _, p := range group {
			r.wait.Go(func() {
				err := p.run(take, work)
				if take.Err() != nil && err == nil {
					return
				}
				if err == nil {
					err = fmt.Errorf("it ended by itself")
				}
				end(fmt.Errorf("running the %s: %w", p.name, err))
			})
		}
		started = append(started, r)
	}
	select {
	case <-ctx.Done():
		end(nil)
	case <-ended:
	}
	for i := len(started) - 1; i >= 0; i-- {
		started[i].stop()
		started[i].wait.Wait()
	}
	return first
}
