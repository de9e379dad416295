package main

import (
	"context"
	"fmt"
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

// besideJobs measures a workflow of n pods on Kubernetes against bare Jobs that do the same, by
// turns, both from the first request to the last pod's end.
func besideJobs(text func(n int) string, times float64, repeats int, bare ...bareJobs) func(context.Context, bench) (measurement, error) {
	return func(ctx context.Context, b bench) (m measurement, err error) {
		err = withCluster(ctx, func(c *cluster) error {
			sh, err := onCluster(c.kubeconfig)
			if err != nil {
				return err
			}
			return withFleet(ctx, b, sh, func(f *fleet) error {
				m, err = c.beside(ctx, b, f, text(b.n), repeats, bare)
				m.target = times * m.peers[0].Value
				return err
			})
		})
		return m, err
	}
}

func (c *cluster) beside(ctx context.Context, b bench, f *fleet, text string, repeats int, bare []bareJobs) (m measurement, err error) {
	m.peers = make([]peer, len(bare))
	var ours, runs []time.Duration
	theirs := make([][]time.Duration, len(bare))
	for i := range repeats + 1 { // the first of each warms up
		var last []time.Duration
		for k, jobs := range bare {
			took, err := jobs.run(ctx, c, b.n)
			if err != nil {
				return m, fmt.Errorf("%s: %w", jobs.name, err)
			}
			theirs[k] = append(theirs[k], took)
			last = append(last, took.Round(time.Millisecond))
			if err := c.clear(ctx); err != nil {
				return m, err
			}
		}
		wf, err := named(text, fmt.Sprintf("beside-%d-%d", b.seed, i))
		if err != nil {
			return m, err
		}
		pods, run, err := c.toBothEnds(ctx, f, wf, b.n)
		if err != nil {
			return m, err
		}
		ours, runs = append(ours, pods), append(runs, run)
		fmt.Fprintf(b.log, "   pods %v, run %v; bare %v\n", pods.Round(time.Millisecond), run.Round(time.Millisecond), last)
		if err := c.clear(ctx); err != nil {
			return m, err
		}
	}
	m.samples = inSeconds(ours[1:])
	m.value = m.samples.P50
	m.note("s to the run's end", inSeconds(runs[1:]).P50)
	for k, jobs := range bare {
		q := inSeconds(theirs[k][1:])
		m.peers[k] = peer{Name: jobs.name, Value: q.P50, Unit: "s", Samples: q}
		if q.P50 < m.peers[0].Value { // the better comes first
			m.peers[0], m.peers[k] = m.peers[k], m.peers[0]
		}
	}
	m.note("times the bare Jobs", m.value/m.peers[0].Value)
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
