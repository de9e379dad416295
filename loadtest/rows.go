package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// scenarios lists all rows: those of the targets first, then the rungs of the ladder.
func scenarios() []scenario {
	rows := []scenario{
		{
			row: "L1", about: "hello-world on Kubernetes without a runner, to the pod's end", n: 1,
			unit: "s", lessIsBetter: true, cluster: true, measure: besideJobs{text: func(int) string { return helloText }, times: jobTimes, repeats: 10, bare: sequential}.measure,
		},
		{
			row: "L2", about: "a chain of n steps on Kubernetes without a runner, to the last pod's end", n: 5,
			unit: "s", lessIsBetter: true, cluster: true, measure: besideJobs{text: func(n int) string { return chainText(n, helloLeaf) }, times: jobTimes, repeats: 5, bare: sequential}.measure,
		},
		{
			row: "L3", about: "n steps of 10 ms one after the other, process executor", n: 40,
			unit: "s", target: 0.6, lessIsBetter: true, measure: sequence,
		},
		{
			row: "L4", about: "from step to step in chains of n, noop executor", n: 200,
			unit: "ms", target: 2, lessIsBetter: true, measure: hops,
		},
		{
			row: "T1", about: "a loop of n steps on Kubernetes without a runner, to the last pod's end", n: 100,
			unit: "s", lessIsBetter: true, cluster: true, measure: besideJobs{text: func(n int) string { return loopText(n, helloLeaf) }, times: loopTimes, repeats: 5, bare: parallel}.measure,
		},
		{
			row: "T1b", about: "the loop of T1, each step with an output parameter, and with the runner installed on the node", n: 100,
			unit: "s", lessIsBetter: true, cluster: true, measure: besideJobs{
				text: func(n int) string { return loopText(n, outputLeaf) }, times: outputTimes, nodeTimes: nodeTimes, repeats: 3, bare: []bareJobs{indexed},
			}.measure,
		},
		{
			row: "T2", about: "a loop of n steps in warm pods on Kubernetes, the pods' starts included", n: 100,
			unit: "s", target: argoLoop / warmTimes, lessIsBetter: true, cluster: true, measure: warmLoop,
		},
		{
			row: "jobs", about: "a run of n Jobs on simulated nodes and the real one: its time, nothing stalls, nothing is left", n: 1000,
			unit: "s", lessIsBetter: true, cluster: true, measure: manyJobs, // 1.3 of bare Jobs
		},
		{
			row: "large-artifact", about: "an artifact of n MB through pods with 64 MiB of memory, three times kept or fetched", n: 2000,
			unit: "s", target: 300, lessIsBetter: true, cluster: true, measure: largeArtifact,
		},
		{
			row: "T3", about: "one loop of n items, noop executor", n: 1_000_000,
			unit: "/s", target: 100_000, measure: itemsPerSecond,
		},
		{
			row: "T4", about: "n tasks of 10 ms of CPU over 10 workers, process executor", n: 400,
			unit: "s", lessIsBetter: true, measure: busyTasks, // 1.35 of what the cores need
		},
		{
			row: "T5", about: "a loop of n items that run true, process executor", n: 2000,
			unit: "/s", measure: trueSteps, // 1/1.25 of bare isolated processes, 1/2 of xargs
		},
		{
			row: "T6", about: "n one-step runs over HTTP, noop executor: first submit to last done", n: 10_000,
			unit: "/s", target: 3000, measure: runsPerSecond,
		},
		{
			row: "S1", about: "one run with a loop of n items, noop executor", n: 1_000_000,
			unit: "s", target: 60, lessIsBetter: true, measure: oneLargeRun,
		},
		{
			row: "S2", about: "n queued one-step runs, worked off by two coordinators instead of one", n: 5000,
			unit: "x", target: 1.2, measure: secondCoordinator,
		},
		{
			row: "S3", about: "n queued one-step runs: Redis's memory", n: 1_000_000,
			unit: "GB", target: 1, lessIsBetter: true, measure: queuedRuns,
		},
		{
			row: "fair", about: "one-step runs beside a wide run of n steps of 10 ms, process executor: their delay, p95", n: 20_000,
			unit: "ms", lessIsBetter: true, measure: fairness, // a task of the wide run: a chunk of 200 ms
		},
		{
			row: "R1", about: "a worker killed with -9: until its step begins anew, the worst of n", n: 5,
			unit: "s", target: 10, lessIsBetter: true, measure: lostWorker,
		},
		{
			row: "R2", about: "n runs of 10,000 items while any process is killed with -9 at random", n: 3,
			unit: " rounds", measure: chaos, // all of them end right
		},
		{
			row: "redis-stalled", about: "Redis stopped for 30 s in the middle of a run of n items: until it goes on", n: 4000,
			unit: "s", target: 5, lessIsBetter: true, ladder: true, measure: outage(30*time.Second, stall),
		},
		{
			row: "store-gone", about: "MinIO gone for 60 s in the middle of a run of n items: until the steps that wait for it end", n: 1000,
			unit: "s", target: 10, lessIsBetter: true, ladder: true, measure: outage(time.Minute, takeAway),
		},
		{
			row: "hello", about: "one-step runs one after the other, noop executor: submit to done", n: 300,
			unit: "ms", target: 10, lessIsBetter: true, ladder: true, measure: helloOn("noop"),
		},
		{
			row: "hello-process", about: "one-step runs one after the other, process executor: submit to done", n: 200,
			unit: "ms", target: 20, lessIsBetter: true, ladder: true, measure: helloOn("process"),
		},
		{
			row: "queued-hellos", about: "n queued one-step runs, from the coordinator's start", n: 5000,
			unit: "s", lessIsBetter: true, ladder: true, measure: queuedHellos,
		},
		{
			row: "runs-at-once", about: "n one-step runs submitted together", n: 1000,
			unit: "s", lessIsBetter: true, ladder: true, measure: manyAtOnce,
		},
		{
			row: "map-reduce", about: "examples/map-reduce.yaml with n parts, process executor", n: 50,
			unit: "s", lessIsBetter: true, ladder: true, measure: mapReduce,
		},
		{
			row: "node-bytes", about: "Redis's memory for each finished item of a loop of n", n: 10_000,
			unit: "B", target: 100, lessIsBetter: true, ladder: true, measure: nodeBytes,
		},
	}
	for _, r := range rungs() {
		rows = append(rows, r.scenario())
	}
	return rows
}

// ladderRow names all rungs together.
const ladderRow = "ladder"

func choose(row string) ([]scenario, error) {
	all := scenarios()
	if row == "" {
		return slices.DeleteFunc(all, func(s scenario) bool { return s.cluster }), nil
	}
	known := []string{ladderRow}
	var chosen []scenario
	for _, s := range all {
		if s.row == row || row == ladderRow && s.ladder {
			chosen = append(chosen, s)
		}
		known = append(known, s.row)
	}
	if chosen == nil {
		slices.Sort(known)
		return nil, fmt.Errorf("there is no row %q; there are %s", row, strings.Join(known, ", "))
	}
	return chosen, nil
}
