package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"argosy/workflow/spec"
)

// What a rung may take, from the rows: a hop as in L4, a run as in T6, an item as in T3, and a
// process step.
const (
	hopTime     = 2 * time.Millisecond
	runTime     = time.Second / 3000
	itemTime    = time.Second / 100_000
	processTime = 5 * time.Millisecond
	baseTime    = 10 * time.Millisecond // a hello
)

// ladderRepeats is how often the run of a rung is taken.
const ladderRepeats = 3

// rung is one kind of run, of some size.
type rung struct {
	row, about string
	n          int
	steps      func(n int) int // that the run has
	text       func(b bench) string
	each       time.Duration // what one of n may take
	chain      bool          // one after the other: beside asynq's hop, not its throughput
	executor   string        // "" is noop
}

func same(n int) int { return n }

func rungs() []rung {
	var all []rung
	for _, n := range []int{5, 40, 200} {
		all = append(all, rung{row: fmt.Sprint("chain-", n), about: "a chain of n steps", n: n, steps: same, each: hopTime, chain: true,
			text: func(b bench) string { return chainText(b.n, noopLeaf) }})
	}
	for name, n := range map[string]int{"100": 100, "1k": 1000, "10k": 10_000, "100k": 100_000, "1M": 1_000_000} {
		all = append(all, rung{row: "loop-" + name, about: "a loop of n items", n: n, steps: same, each: itemTime,
			text: func(b bench) string { return loopText(b.n, noopLeaf) }})
	}
	return append(all,
		rung{row: "diamond", about: "a DAG of one task, n that depend on it, and one that depends on them", n: 100, steps: func(n int) int { return n + 2 },
			each: runTime, text: func(b bench) string { return diamondText(b.n) }},
		rung{row: "dag-random", about: "a DAG of n tasks that each depend on up to three others", n: 300, steps: same, each: runTime, text: randomText},
		rung{row: "nested-loops", about: "a loop of 10 over loops of n", n: 100, steps: func(n int) int { return 10 * n }, each: 10 * runTime,
			text: func(b bench) string { return nestedText(b.n) }},
		rung{row: "recursion", about: "a template that calls itself n deep, with a step at each depth", n: 90, steps: same, each: hopTime, chain: true,
			text: func(b bench) string { return recursiveText(b.n) }},
	)
}

// scenario makes a row of a rung.
func (r rung) scenario() scenario {
	return scenario{row: r.row, about: r.about, n: r.n, unit: "s", lessIsBetter: true, ladder: true, measure: r.measure}
}

func (r rung) measure(ctx context.Context, b bench) (m measurement, err error) {
	executor := r.executor
	if executor == "" {
		executor = "noop"
	}
	steps := r.steps(b.n)
	err = withFleet(ctx, b, plain(executor), func(f *fleet) error {
		if _, err := f.repeat(ctx, b, again{warm: 3, steps: 1, look: time.Millisecond}, chainText(1, noopLeaf)); err != nil {
			return err
		}
		before, err := f.usage(ctx)
		if err != nil {
			return err
		}
		samples, err := f.repeat(ctx, b, again{times: ladderRepeats, steps: steps, look: 50 * time.Millisecond, limit: loopLimit}, r.text(b))
		if err != nil {
			return err
		}
		after, err := f.usage(ctx)
		if err != nil {
			return err
		}
		m.noteUsage(before, after, float64(ladderRepeats*steps))
		m.samples = inSeconds(samples)
		m.value = m.samples.P50
		m.target = (baseTime + time.Duration(b.n)*r.each).Seconds()
		m.peers, err = r.peers(ctx, f, steps)
		return err
	})
	return m, err
}

// peers is what asynq alone takes for as many tasks.
func (r rung) peers(ctx context.Context, f *fleet, steps int) ([]peer, error) {
	if r.chain {
		p, err := asynqHop(ctx, f.redis, 5*time.Millisecond, 20)
		p.Name, p.Value, p.Unit = p.Name+", as many one after the other", round(p.Value*float64(steps)/1000), "s"
		return []peer{p}, err
	}
	p, err := asynqThroughput(ctx, f.redis, min(max(steps, 1000), 20_000))
	p.Name, p.Value, p.Unit = p.Name+", as many", round(float64(steps)/p.Value), "s"
	return []peer{p}, err
}

func diamondText(n int) string {
	var tasks strings.Builder
	ends := make([]string, n)
	for i := range ends {
		ends[i] = fmt.Sprintf("m%d", i)
		fmt.Fprintf(&tasks, "      - {name: m%d, template: step, depends: a}\n", i)
	}
	return header + "  - name: main\n    dag:\n      tasks:\n      - {name: a, template: step}\n" + tasks.String() +
		fmt.Sprintf("      - {name: z, template: step, depends: %q}\n", strings.Join(ends, " && ")) + noopLeaf
}

func randomText(b bench) string {
	random := rand.New(rand.NewPCG(b.seed, 0))
	var tasks strings.Builder
	for i := range b.n {
		on := map[string]bool{}
		for range random.IntN(4) {
			if i > 0 {
				on[fmt.Sprintf("t%d", random.IntN(i))] = true
			}
		}
		names := make([]string, 0, len(on))
		for name := range on {
			names = append(names, name)
		}
		fmt.Fprintf(&tasks, "      - {name: t%d, template: step, depends: %q}\n", i, strings.Join(names, " && "))
	}
	return header + "  - name: main\n    dag:\n      tasks:\n" + tasks.String() + noopLeaf
}

func nestedText(n int) string {
	return header + fmt.Sprintf(`
  - name: main
    steps:
    - - {name: outer, template: inner, withSequence: {count: "10"}, arguments: {parameters: [{name: o, value: "{{item}}"}]}}
  - name: inner
    inputs: {parameters: [{name: o}]}
    steps:
    - - {name: item, template: step, withSequence: {count: "%d"}, arguments: {parameters: [{name: i, value: "{{inputs.parameters.o}}-{{item}}"}]}}
`, n) + noopLeaf
}

func recursiveText(n int) string {
	return header + fmt.Sprintf(`
  - name: main
    steps:
    - - {name: down, template: down, arguments: {parameters: [{name: depth, value: "%d"}]}}
  - name: down
    inputs: {parameters: [{name: depth}]}
    steps:
    - - {name: work, template: step}
    - - name: deeper
        template: down
        when: "{{inputs.parameters.depth}} > 1"
        arguments: {parameters: [{name: depth, value: "{{=asInt(inputs.parameters.depth) - 1}}"}]}
`, n) + noopLeaf
}

// mapReduce measures examples/map-reduce.yaml with n parts, whose data travel as artifacts.
func mapReduce(ctx context.Context, b bench) (m measurement, err error) {
	body, err := os.ReadFile("examples/map-reduce.yaml")
	if err != nil {
		return m, fmt.Errorf("reading the example: %w", err)
	}
	wf, err := parse(string(body))
	if err != nil {
		return m, err
	}
	var lines strings.Builder
	for i := range b.n {
		fmt.Fprintf(&lines, "line %d of the text\n", i)
	}
	wf.GenerateName = ""
	wf.Spec.Arguments.Parameters[0].Value = spec.AnyStringPtr(strconv.Itoa(b.n))
	wf.Spec.Arguments.Artifacts[0].Raw.Data = lines.String()
	err = withFleet(ctx, b, plain("process"), func(f *fleet) error {
		var samples []time.Duration
		for i := range ladderRepeats + 1 {
			wf.Name = fmt.Sprintf("map-reduce-%d", i)
			took, err := f.toEnd(ctx, wf, b.n+2, 50*time.Millisecond, loopLimit)
			if err != nil {
				return err
			}
			if i > 0 {
				samples = append(samples, took)
			}
		}
		m.samples = inSeconds(samples)
		m.value = m.samples.P50
		m.target = (baseTime + time.Duration(b.n+2)*processTime).Seconds()
		took, err := xargs(ctx, b.n)
		m.peers = []peer{{Name: "xargs, as many processes", Value: round(took.Seconds()), Unit: "s", Samples: inSeconds([]time.Duration{took})}}
		return err
	})
	return m, err
}

// manyAtOnce measures n one-step runs that are submitted together.
func manyAtOnce(ctx context.Context, b bench) (m measurement, err error) {
	err = withFleet(ctx, b, wide(), func(f *fleet) error {
		if _, err := f.runAll(ctx, "warm", 100); err != nil {
			return err
		}
		var samples []time.Duration
		for i := range ladderRepeats {
			start := time.Now()
			if _, err := f.runAll(ctx, fmt.Sprint("many-", i), b.n); err != nil {
				return err
			}
			samples = append(samples, time.Since(start))
		}
		return m.manyRuns(ctx, f, b.n, samples)
	})
	return m, err
}

func (m *measurement) manyRuns(ctx context.Context, f *fleet, n int, samples []time.Duration) error {
	m.samples = inSeconds(samples)
	m.value = m.samples.P50
	m.target = (baseTime + time.Duration(n)*runTime).Seconds()
	p, err := asynqThroughput(ctx, f.redis, n)
	p.Name, p.Value, p.Unit = p.Name+", as many", round(float64(n)/p.Value), "s"
	m.peers = []peer{p}
	return err
}

// queuedHellos measures how long n queued one-step runs take once a coordinator comes.
func queuedHellos(ctx context.Context, b bench) (m measurement, err error) {
	var samples []time.Duration
	for range ladderRepeats {
		took, err := workOff(ctx, b, 1, "32")
		if err != nil {
			return m, err
		}
		samples = append(samples, took)
	}
	err = withFleet(ctx, b, shape{}, func(f *fleet) error { return m.manyRuns(ctx, f, b.n, samples) })
	return m, err
}

// nodeBytes measures Redis's memory for each item of a loop: while no worker is there, and
// when all have ended.
func nodeBytes(ctx context.Context, b bench) (m measurement, err error) {
	err = withFleet(ctx, b, shape{executor: "noop", coordinators: 1}, func(f *fleet) error {
		before, _, err := f.redisBytes(ctx)
		if err != nil {
			return err
		}
		wf, err := named(loopText(b.n, noopLeaf), "bytes")
		if err != nil {
			return err
		}
		if _, err := f.client.Submit(ctx, namespace, wf, false); err != nil {
			return fmt.Errorf("submitting: %w", err)
		}
		pending, last := 0.0, 0.0
		for quiet := 0; quiet < 10; { // until a second has brought no more
			if err := pause(ctx, 100*time.Millisecond); err != nil {
				return err
			}
			now, _, err := f.redisBytes(ctx)
			if err != nil {
				return err
			}
			if quiet++; now > last*1.01 {
				last, quiet = now, 0
			}
			pending = now
		}
		if err := f.startWorker(ctx, "worker"); err != nil {
			return err
		}
		for {
			end, err := f.look(ctx, wf.Name)
			if err != nil {
				return err
			}
			if end.Phase.Completed() {
				break
			}
			if err := pause(ctx, 50*time.Millisecond); err != nil {
				return err
			}
		}
		ended, _, err := f.redisBytes(ctx)
		if err != nil {
			return err
		}
		m.value = (ended - before) / float64(b.n)
		m.note("bytes of a pending node", (pending-before)/float64(b.n))
		m.note("bytes of a finished node", m.value)
		return nil
	})
	return m, err
}
