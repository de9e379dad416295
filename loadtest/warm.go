package main

import (
	"context"
	"net"
	"os"
	"strconv"
	"time"
)

// argoLoop is what Argo takes for a loop of 100 steps that say hello on the development cluster,
// with its best settings; and warmTimes how many times faster the same in warm pods has to be.
const (
	argoLoop  = 67.1
	warmTimes = 20
)

// warmRepeats is how often the loop is measured. Pods belong to one run, so each starts its own.
const warmRepeats = 7

// warmLoop measures a loop of n steps in warm pods, from the submit to its end, pods' starts
// included, against the same loop as Jobs.
func warmLoop(ctx context.Context, b bench) (m measurement, err error) {
	err = withCluster(ctx, func(c *cluster) error {
		sh, err := onCluster(c.kubeconfig, manySlots)
		if err != nil {
			return err
		}
		return withFleet(ctx, b, sh, func(f *fleet) error {
			warm := loopText(b.n, helloLeaf+"    metadata: {annotations: {argosy.dev/warm: \"true\"}}\n")
			samples, err := f.repeat(ctx, b, again{warm: 1, times: warmRepeats, steps: b.n, look: 50 * time.Millisecond}, warm)
			if err != nil {
				return err
			}
			m.samples = inSeconds(samples)
			m.value = m.samples.P50
			m.note("times faster than Argo", argoLoop/m.value)
			jobs, err := f.repeat(ctx, b, again{times: 1, steps: b.n, look: 50 * time.Millisecond}, loopText(b.n, helloLeaf))
			if err != nil {
				return err
			}
			m.peers = []peer{{Name: "as Jobs", Value: round(jobs[0].Seconds()), Unit: "s", Samples: inSeconds(jobs)}}
			return nil
		})
	})
	return m, err
}

// onCluster is a fleet whose worker runs as many Jobs at once.
func onCluster(kubeconfig string, slots int) (shape, error) {
	port, err := freePort()
	if err != nil {
		return shape{}, err
	}
	sh := shape{executor: "kubernetes", coordinators: 1, workers: 1, slots: slots, worker: []string{
		"--kubeconfig", kubeconfig, "--namespace", namespace, "--install", namespace, "--gateway-addr", ":" + strconv.Itoa(port),
	}}
	if image := os.Getenv("ARGOSY_RUNNER_IMAGE"); image != "" {
		sh.worker = append(sh.worker, "--runner-image", image)
	}
	if host := os.Getenv("ARGOSY_DEVCLUSTER_HOST"); host != "" {
		sh.worker = append(sh.worker, "--worker-url", "https://"+net.JoinHostPort(host, strconv.Itoa(port)))
	}
	return sh, nil
}
