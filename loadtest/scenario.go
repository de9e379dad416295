package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

// scenario is one row of results.
type scenario struct {
	row   string
	about string
	n     int // how many runs or items, unless told otherwise
	unit  string
	// target is what value should reach: at most, if less is better, else at least. Zero:
	// the measurement brings it along.
	target       float64
	lessIsBetter bool
	// long rows are only measured when they are named.
	long    bool
	measure func(context.Context, bench) (measurement, error)
}

// bench is what a scenario gets to work with.
type bench struct {
	binary string
	n      int
	seed   uint64
	log    io.Writer
}

// measurement is what a scenario found.
type measurement struct {
	value   float64
	target  float64 // overrides the scenario's, when it depends on a peer
	samples quantiles
	peers   []peer // the first is the one to compare with
	notes   map[string]float64
}

// peer is something that does the same or a part of it, measured in the same run.
type peer struct {
	Name    string    `json:"name"`
	Value   float64   `json:"value"`
	Unit    string    `json:"unit"`
	Samples quantiles `json:"samples"`
}

// scenarios lists all rows, the quick ones first.
func scenarios() []scenario {
	return []scenario{
		{
			row: "hello", about: "one-step runs one after the other, noop executor: submit to done", n: 300,
			unit: "ms", target: 10, lessIsBetter: true, measure: helloOn("noop"),
		},
		{
			row: "hello-process", about: "one-step runs one after the other, process executor: submit to done", n: 200,
			unit: "ms", target: 20, lessIsBetter: true, measure: helloOn("process"),
		},
		{
			row: "loop", about: "one run with a loop of n items, noop executor", n: 1000,
			unit: "/s", target: 100_000, measure: loopNoop,
		},
		{
			row: "loop-process", about: "one run with a loop of n items that run true, process executor", n: 500,
			unit: "/s", measure: loopProcess, // at least half of what xargs does
		},
		{
			row: "R2", about: "n runs of 10,000 items while any process is killed with -9 at random", n: 3,
			unit: " rounds", long: true, measure: chaos, // all of them end right
		},
	}
}

func choose(row string) ([]scenario, error) {
	all := scenarios()
	if row == "" {
		return slices.DeleteFunc(all, func(s scenario) bool { return s.long }), nil
	}
	var known []string
	for _, s := range all {
		if s.row == row {
			return []scenario{s}, nil
		}
		known = append(known, s.row)
	}
	return nil, fmt.Errorf("there is no row %q; there are %s", row, strings.Join(known, ", "))
}
