package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"argosy/workflow/spec"
)

// What may be taken of bare Jobs' time, both sides to their pods' end.
const (
	jobTimes    = 1.3 // L1, L2
	loopTimes   = 1.1 // T1
	outputTimes = 1.6 // T1b: each step returns a parameter
	nodeTimes   = 1.3 // the same with the runner on the node
)

// podsAtOnce is how many an Indexed Job has, and a worker beside it: to a small node each more is a
// burden, whose mounts every new container reads.
const podsAtOnce = 30

// helloLeaf is a step that stages and collects nothing, and outputLeaf returns what it says.
var (
	helloLeaf  = leaf(`[echo, "hello {{inputs.parameters.i}}"]`)
	outputLeaf = `
  - name: step
    inputs: {parameters: [{name: i, value: ""}]}
    outputs: {parameters: [{name: said, valueFrom: {path: /tmp/said}}]}
    container: {image: busybox, command: [sh, -c, "echo hello {{inputs.parameters.i}} > /tmp/said"]}
`
)

// besideJobs is a row that measures a workflow of n pods on Kubernetes against bare Jobs that do the
// same, by turns, both from the first request to the last pod's end.
type besideJobs struct {
	text      func(n int) string
	times     float64 // of what the best bare Jobs take
	nodeTimes float64 // the same with the runner installed on the nodes; 0: not measured
	repeats   int
	bare      []bareJobs
}

func (r besideJobs) measure(ctx context.Context, b bench) (m measurement, err error) {
	err = withCluster(ctx, func(c *cluster) error {
		sh, err := onCluster(c.kubeconfig, podsAtOnce)
		if err != nil {
			return err
		}
		return withFleet(ctx, b, sh, func(f *fleet) error {
			ours := &contender{name: "ours", run: f.pods(b, r.text)}
			if r.nodeTimes == 0 {
				m, err = c.beside(ctx, b, r, ours)
				return err
			}
			return c.withNodeRunner(ctx, b, func(f *fleet) error {
				m, err = c.beside(ctx, b, r, ours, &contender{name: "ours, the runner on the node", run: f.pods(b, r.text)})
				return err
			})
		})
	})
	return m, err
}

// contender is one that takes turns: its times, and what the whole machine used in them.
type contender struct {
	name      string
	run       func(ctx context.Context, c *cluster, n int) (time.Duration, error)
	took, cpu []time.Duration
}

// turn runs it once, and clears up.
func (x *contender) turn(ctx context.Context, c *cluster, n int) error {
	if err := settle(ctx); err != nil {
		return err
	}
	var took time.Duration
	cpu, err := usedCPU(func() (err error) {
		took, err = x.run(ctx, c, n)
		return err
	})
	if err == nil {
		err = c.clear(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", x.name, err)
	}
	x.took, x.cpu = append(x.took, took), append(x.cpu, cpu)
	return nil
}

// median leaves the first turn out, which warms up.
func (x *contender) median() float64 { return inSeconds(x.took[1:]).P50 }

func (c *cluster) beside(ctx context.Context, b bench, r besideJobs, ours ...*contender) (m measurement, err error) {
	var bare []*contender
	for _, jobs := range r.bare {
		bare = append(bare, &contender{name: jobs.name, run: jobs.run})
	}
	all := slices.Concat(ours, bare)
	for i := range r.repeats + 1 {
		for k := range all {
			x := all[(i+k)%len(all)] // each is first by turns
			if err := x.turn(ctx, c, b.n); err != nil {
				return m, err
			}
			fmt.Fprintf(b.log, "   %s %v, CPU %v\n", x.name, x.took[i].Round(time.Millisecond), x.cpu[i])
		}
	}
	slices.SortStableFunc(bare, func(x, y *contender) int { return cmp.Compare(x.median(), y.median()) })
	for _, x := range bare {
		m.peers = append(m.peers, peer{Name: x.name, Value: x.median(), Unit: "s", Samples: inSeconds(x.took[1:])})
	}
	m.samples, m.value, m.target = inSeconds(ours[0].took[1:]), ours[0].median(), r.times*bare[0].median()
	for _, x := range all {
		m.note("CPU s of the machine: "+x.name, inSeconds(x.cpu[1:]).P50)
	}
	for _, x := range ours {
		var ratios []float64
		for i, took := range x.took[1:] {
			ratios = append(ratios, float64(took)/float64(bare[0].took[i+1]))
		}
		slices.Sort(ratios)
		m.note(x.name+": times the bare Jobs of the same round, median", ratios[(len(ratios)-1)/2])
	}
	for _, x := range ours[1:] {
		m.note("s: "+x.name, x.median())
		m.require(x.median() <= r.nodeTimes*bare[0].median(), "%s took %.1f s, which is more than %.1f times the bare Jobs' %.1f s", x.name, x.median(), r.nodeTimes, bare[0].median())
	}
	return m, nil
}

// pods runs workflows of n pods, and takes the time to the last pod's end.
func (f *fleet) pods(b bench, text func(n int) string) func(ctx context.Context, c *cluster, n int) (time.Duration, error) {
	return func(ctx context.Context, c *cluster, n int) (time.Duration, error) {
		f.runs++
		wf, err := named(text(n), fmt.Sprintf("beside-%d-%d", b.seed, f.runs))
		if err != nil {
			return 0, err
		}
		pods, _, err := c.toBothEnds(ctx, f, wf, n)
		return pods, err
	}
}

// toBothEnds submits a run of n pods and takes the time to its last pod's end, and to its own.
func (c *cluster) toBothEnds(ctx context.Context, f *fleet, wf *spec.Workflow, n int) (pods, run time.Duration, err error) {
	start := time.Now()
	pods, err = c.toPodsEnd(ctx, n, func() error {
		_, err := f.client.Submit(ctx, namespace, wf, false)
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("running %s: %w", wf.Name, err)
	}
	err = f.answered(ctx, wf.Name, n, 20*time.Millisecond)
	return pods, time.Since(start), err
}

// bareJobs runs the steps of a row without Argosy.
type bareJobs struct {
	name string
	run  func(ctx context.Context, c *cluster, n int) (time.Duration, error)
}

var (
	oneAfterTheOther = bareJobs{"bare Jobs, one after the other", func(ctx context.Context, c *cluster, n int) (time.Duration, error) {
		start := time.Now()
		for i := range n {
			if _, err := c.toPodsEnd(ctx, 1, func() error { return c.create(ctx, bareJob(fmt.Sprintf("bare-%d", i), 1, 1)) }); err != nil {
				return 0, err
			}
		}
		return time.Since(start), nil
	}}
	allAtOnce = bareJobs{"bare Jobs, all at once", func(ctx context.Context, c *cluster, n int) (time.Duration, error) {
		return c.toPodsEnd(ctx, n, func() error {
			ctx, cancel := context.WithCancelCause(ctx)
			defer cancel(nil)
			var all sync.WaitGroup
			for i := range n {
				all.Go(func() {
					if err := c.create(ctx, bareJob(fmt.Sprintf("bare-%d", i), 1, 1)); err != nil {
						cancel(err)
					}
				})
			}
			all.Wait()
			return context.Cause(ctx)
		})
	}}
	indexed = bareJobs{"an Indexed Job", func(ctx context.Context, c *cluster, n int) (time.Duration, error) {
		return c.toPodsEnd(ctx, n, func() error { return c.create(ctx, bareJob("bare", n, min(n, podsAtOnce))) })
	}}
)

// What rows are compared with: of several the better counts.
var (
	sequential = []bareJobs{oneAfterTheOther}
	parallel   = []bareJobs{allAtOnce, indexed}
)

func (c *cluster) create(ctx context.Context, j *batchv1.Job) error {
	if _, err := c.client.BatchV1().Jobs(namespace).Create(ctx, j, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("making a bare Job: %w", err)
	}
	return nil
}

// bareJob is the Job that someone would write by hand for the step of helloLeaf.
func bareJob(name string, completions, parallelism int) *batchv1.Job {
	mode := batchv1.NonIndexedCompletion
	if completions > 1 {
		mode = batchv1.IndexedCompletion
	}
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: batchv1.JobSpec{
			Completions: new(int32(completions)), Parallelism: new(int32(parallelism)), CompletionMode: &mode, BackoffLimit: new(int32(0)),
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyNever,
				Containers: []corev1.Container{{
					Name: "main", Image: "busybox", ImagePullPolicy: corev1.PullIfNotPresent, Command: []string{"echo", "hello"},
				}},
			}},
		},
	}
}

// helloText is a run of one such step.
var helloText = header + `
  - name: main
    container: {image: busybox, command: [echo, hello]}
`
