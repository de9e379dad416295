package main

import (
	"context"
	"fmt"
	"io"
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
	// ladder rows are measured together as the row ladder, too.
	ladder bool
	// cluster rows need a cluster, and are measured only by name.
	cluster bool
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
	// missed are conditions of the row beside its value that do not hold.
	missed []string
}

// require adds a condition beside the value.
func (m *measurement) require(holds bool, format string, args ...any) {
	if !holds {
		m.missed = append(m.missed, fmt.Sprintf(format, args...))
	}
}

// note adds a number to the result file.
func (m *measurement) note(name string, value float64) {
	if m.notes == nil {
		m.notes = map[string]float64{}
	}
	m.notes[name] = round(value)
}

// peer is something that does the same or a part of it, measured in the same run.
type peer struct {
	Name    string    `json:"name"`
	Value   float64   `json:"value"`
	Unit    string    `json:"unit"`
	Samples quantiles `json:"samples"`
}
