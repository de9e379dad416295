package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// part is what one run of `go test` did.
type part struct {
	name            string
	passed          int
	failed, skipped []outcome
}

type outcome struct {
	id   string // package, and test if it is about one
	said string // for a skip, why
}

func (p part) empty() bool { return p.passed+len(p.failed)+len(p.skipped) == 0 }

// event is one line of `go test -json`; see go doc test2json.
type event struct {
	Action, Package, ImportPath, Test, Output string
}

// read counts tests, and packages that failed without a failing test of theirs: those that
// do not build, that panic, or that run out of time.
func read(name string, r io.Reader) (part, error) {
	p := part{name: name}
	said := map[string]string{}
	blamed := map[string]bool{} // packages with a failed test
	lines := bufio.NewReader(r)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 && line[0] == '{' {
			var e event
			if err := json.Unmarshal(line, &e); err != nil {
				return part{}, fmt.Errorf("line %d: %w", number, err)
			}
			p.apply(e, said, blamed)
		}
		switch {
		case err == io.EOF:
			slices.SortFunc(p.failed, func(a, b outcome) int { return strings.Compare(a.id, b.id) })
			slices.SortFunc(p.skipped, func(a, b outcome) int { return strings.Compare(a.id, b.id) })
			return p, nil
		case err != nil:
			return part{}, fmt.Errorf("line %d: %w", number, err)
		}
	}
}

func (p *part) apply(e event, said map[string]string, blamed map[string]bool) {
	id := e.Package
	if e.Test != "" {
		id += " " + e.Test
	}
	switch {
	case e.Action == "output" && e.Test != "":
		if text := strings.TrimSpace(e.Output); text != "" && !marker(text) {
			said[id] = strings.TrimSpace(said[id] + " " + text)
		}
	case e.Action == "fail" && e.Test != "":
		blamed[e.Package] = true
		p.failed = append(p.failed, outcome{id: id})
	case e.Action == "fail" && !blamed[e.Package]:
		p.failed = append(p.failed, outcome{id: id + " (the package)"})
	case e.Test == "":
	case e.Action == "pass":
		p.passed++
	case e.Action == "skip":
		p.skipped = append(p.skipped, outcome{id: id, said: said[id]})
	}
	if e.Test != "" && (e.Action == "pass" || e.Action == "fail" || e.Action == "skip") {
		delete(said, id)
	}
}

// marker tells the lines of the testing package from those of the test.
func marker(text string) bool {
	return strings.HasPrefix(text, "=== ") || strings.HasPrefix(text, "--- ")
}
