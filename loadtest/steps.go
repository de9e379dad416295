package main

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// processRepeats is how often a loop of processes is measured, and each of its peers.
const processRepeats = 5

// trueSteps measures how many process steps a second a loop of n does that run true, against
// bare processes in the same namespaces on the same overlay, and xargs without any isolation.
// It must do 1/1.25 of the former and a half of the latter.
func trueSteps(ctx context.Context, b bench) (m measurement, err error) {
	err = withFleet(ctx, b, plain("process"), func(f *fleet) error {
		text := loopText(b.n, noopLeaf)
		a := again{warm: 1, times: 1, steps: b.n, look: 50 * time.Millisecond}
		var ours, bare, plainly []time.Duration
		before, err := f.usage(ctx)
		if err != nil {
			return err
		}
		for i := range processRepeats {
			took, err := f.repeat(ctx, b, a, text)
			if err != nil {
				return err
			}
			a.warm = 0
			ours = append(ours, took...)
			isolated, err := bareIsolated(ctx, b.n)
			if err != nil {
				return err
			}
			bare = append(bare, isolated)
			by, err := xargs(ctx, b.n)
			if err != nil {
				return err
			}
			plainly = append(plainly, by)
			fmt.Fprintf(b.log, "   %d steps in %v, bare %v, xargs %v\n", b.n, ours[i].Round(time.Millisecond), bare[i].Round(time.Millisecond), by.Round(time.Millisecond))
		}
		after, err := f.usage(ctx)
		if err != nil {
			return err
		}
		m.noteUsage(before, after, float64((processRepeats+1)*b.n))
		m.samples = inSeconds(ours)
		m.value = float64(b.n) / m.samples.P50
		m.peers = []peer{
			perSecond("bare processes, in the same namespaces on the same overlay", b.n, bare),
			perSecond(fmt.Sprintf("xargs -P %d -n 1 true", runtime.NumCPU()), b.n, plainly),
		}
		m.target = max(m.peers[0].Value/1.25, m.peers[1].Value/2)
		return nil
	})
	return m, err
}

// perSecond is a peer that did n things in each of the times.
func perSecond(name string, n int, samples []time.Duration) peer {
	p := peer{Name: name, Unit: "/s", Samples: inSeconds(samples)}
	p.Value = round(float64(n) / p.Samples.P50)
	return p
}

// taskTime is the CPU that a task of busyTasks takes.
const taskTime = 10 * time.Millisecond

// busyTasks measures a loop of n tasks that each take 10 ms of CPU, over 10 workers, against
// the time in which the machine's cores can do the tasks.
func busyTasks(ctx context.Context, b bench) (m measurement, err error) {
	command, each, err := busyCommand(ctx)
	if err != nil {
		return m, err
	}
	err = withFleet(ctx, b, shape{executor: "process", coordinators: 1, workers: 10, slots: 1}, func(f *fleet) error {
		text := loopText(b.n, leaf(fmt.Sprintf(`["sh", "-c", %q]`, command)))
		a := again{warm: 1, times: 1, steps: b.n, look: 50 * time.Millisecond}
		var ours, bare []time.Duration
		for i := range processRepeats {
			took, err := f.repeat(ctx, b, a, text)
			if err != nil {
				return err
			}
			a.warm = 0
			ours = append(ours, took...)
			start := time.Now()
			if _, err := onAllCores(ctx, b.n, "sh", "-c", command); err != nil {
				return err
			}
			bare = append(bare, time.Since(start))
			fmt.Fprintf(b.log, "   %d tasks in %v, bare %v\n", b.n, ours[i].Round(time.Millisecond), bare[i].Round(time.Millisecond))
		}
		m.samples = inSeconds(ours)
		m.value = m.samples.P50
		bound := each.Seconds() * float64(b.n) / float64(runtime.NumCPU())
		m.target = 1.35 * bound
		alone := peer{Name: "the same commands, one on each core", Unit: "s", Samples: inSeconds(bare)}
		alone.Value = alone.Samples.P50
		m.peers = []peer{{Name: "the CPU of all tasks, over the cores", Value: round(bound), Unit: "s"}, alone}
		m.note("ms of CPU a task", each.Seconds()*1000)
		m.note("times the bare commands", m.value/alone.Value)
		return nil
	})
	return m, err
}

// busyCommand finds a shell command that takes about taskTime of CPU, and what it takes.
func busyCommand(ctx context.Context) (command string, each time.Duration, err error) {
	rounds := 5000
	for range 5 {
		command = fmt.Sprintf("i=0; while [ $i -lt %d ]; do i=$((i+1)); done", rounds)
		used, err := onAllCores(ctx, 50, "sh", "-c", command)
		if err != nil {
			return "", 0, err
		}
		each = used / 50
		rounds = int(float64(rounds) * float64(taskTime) / float64(each))
	}
	return command, each, nil
}

// onAllCores runs a command n times, one on each core at a time, and sums up its CPU.
func onAllCores(ctx context.Context, n int, command string, args ...string) (used time.Duration, err error) {
	var sum, left atomic.Int64
	left.Store(int64(n))
	failed := make([]error, runtime.NumCPU())
	var all sync.WaitGroup
	for i := range failed {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				cmd := exec.CommandContext(ctx, command, args...)
				if err := cmd.Run(); err != nil {
					failed[i] = fmt.Errorf("running %s: %w", command, err)
					return
				}
				sum.Add(int64(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()))
			}
		})
	}
	all.Wait()
	for _, err := range failed {
		if err != nil {
			return 0, err
		}
	}
	return time.Duration(sum.Load()), nil
}

// xargs takes the time in which xargs runs true n times, on all cores.
func xargs(ctx context.Context, n int) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, "xargs", "-P", strconv.Itoa(runtime.NumCPU()), "-n", "1", "true")
	cmd.Stdin = numbers(n)
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("running xargs: %w", err)
	}
	return time.Since(start), nil
}
