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

// indexedParallelism is how many pods an Indexed Job has at once: the kubelet starts no more.
const indexedParallelism = 30

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
	text       func(n int) string
	times      float64 // of what the best bare Jobs take
	repeats    int
	nodeRunner bool // the runner of steps is installed on the nodes
	bare       []bareJobs
}

func (r besideJobs) measure(ctx context.Context, b bench) (m measurement, err error) {
	err = withCluster(ctx, func(c *cluster) error {
		sh, err := onCluster(c.kubeconfig)
		if err != nil {
			return err
		}
		on := func() error {
			return withFleet(ctx, b, sh, func(f *fleet) error {
				m, err = c.beside(ctx, b, f, r.text(b.n), r.repeats, r.bare)
				return err
			})
		}
		if r.nodeRunner {
			sh.worker = append(sh.worker, "--node-runner", nodeRunnerDir)
			err = c.withNodeRunner(ctx, on)
		} else {
			err = on()
		}
		return err
	})
	if err == nil {
		m.target = r.times * m.peers[0].Value
	}
	return m, err
}

// contender is one that takes turns: its times, and what the whole machine used in them.
type contender struct {
	bareJobs
	took, cpu []time.Duration
}

func (c *cluster) beside(ctx context.Context, b bench, f *fleet, text string, repeats int, bare []bareJobs) (m measurement, err error) {
	var runs []time.Duration
	ours := &contender{bareJobs: bareJobs{"ours", func(ctx context.Context, c *cluster, n int) (time.Duration, error) {
		wf, err := named(text, fmt.Sprintf("beside-%d-%d", b.seed, len(runs)))
		if err != nil {
			return 0, err
		}
		pods, run, err := c.toBothEnds(ctx, f, wf, n)
		runs = append(runs, run)
		return pods, err
	}}}
	all := []*contender{ours}
	for _, jobs := range bare {
		all = append(all, &contender{bareJobs: jobs})
	}
	for i := range repeats + 1 { // the first of each warms up
		fmt.Fprint(b.log, "  ")
		for k := range all {
			x := all[(i+k)%len(all)] // each comes after each other
			var took time.Duration
			cpu, err := usedCPU(func() (err error) {
				took, err = x.run(ctx, c, b.n)
				return err
			})
			if err == nil {
				err = c.clear(ctx)
			}
			if err != nil {
				return m, fmt.Errorf("%s: %w", x.name, err)
			}
			if i > 0 {
				x.took, x.cpu = append(x.took, took), append(x.cpu, cpu)
			}
			fmt.Fprintf(b.log, " %s %v (CPU %v);", x.name, took.Round(time.Millisecond), cpu)
		}
		fmt.Fprintln(b.log)
	}
	m.samples = inSeconds(ours.took)
	m.value = m.samples.P50
	m.note("s to the run's end", inSeconds(runs[1:]).P50)
	for _, x := range all {
		m.note("CPU s of the machine: "+x.name, inSeconds(x.cpu).P50)
	}
	slices.SortStableFunc(all[1:], func(x, y *contender) int { return cmp.Compare(inSeconds(x.took).P50, inSeconds(y.took).P50) })
	for _, x := range all[1:] { // the best comes first
		q := inSeconds(x.took)
		m.peers = append(m.peers, peer{Name: x.name, Value: q.P50, Unit: "s", Samples: q})
	}
	var ratios []float64
	for i, took := range ours.took {
		ratios = append(ratios, float64(took)/float64(all[1].took[i]))
	}
	slices.Sort(ratios)
	m.note("times the bare Jobs of the same round, median", ratios[(len(ratios)-1)/2])
	return m, nil
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
		return c.toPodsEnd(ctx, n, func() error { return c.create(ctx, bareJob("bare", n, min(n, indexedParallelism))) })
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
