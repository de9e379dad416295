package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
)

// What became of a case.
const (
	passed  = "passed"
	failed  = "failed"
	skipped = "skipped"
)

// outcome is one case and what came of it.
type outcome struct {
	Path     string `json:"path"`
	Family   string `json:"family"`
	Expected string `json:"expected"`
	Got      string `json:"got"`
	Status   string `json:"status"`
	Message  string `json:"message"`
}

// report is all of them.
type report struct {
	Total   int       `json:"total"`
	Passed  int       `json:"passed"`
	Failed  int       `json:"failed"`
	Skipped int       `json:"skipped"`
	Cases   []outcome `json:"cases"`
}

// tally counts cases by what became of them.
type tally map[string]int

func (r *report) count() {
	all := tally{}
	for _, c := range r.Cases {
		all[c.Status]++
	}
	r.Total, r.Passed, r.Failed, r.Skipped = len(r.Cases), all[passed], all[failed], all[skipped]
}

func (r *report) write(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the results: %w", err)
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

// print tells passes by family, then every failure, then why cases were skipped.
func (r *report) print(out io.Writer) {
	families, runs := map[string]tally{}, tally{}
	reasons, missing := map[string][]string{}, map[string]int{}
	for _, c := range r.Cases {
		if families[c.Family] == nil {
			families[c.Family] = tally{}
		}
		families[c.Family][c.Status]++
		if c.Family != lintFamily {
			runs[c.Status]++
		}
		switch c.Status {
		case skipped:
			reasons[c.Message] = append(reasons[c.Message], c.Path)
		case failed:
			for _, feature := range unsupported(c.Message) {
				missing[feature]++
			}
		}
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "family\tpassed\tfailed\tskipped")
	row := func(name string, t tally) {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\n", name, t[passed], t[failed], t[skipped])
	}
	for _, name := range slices.Sorted(maps.Keys(families)) {
		row(name, families[name])
	}
	row("all runs", runs)
	table.Flush() //nolint:errcheck // who prints to nowhere reads nothing

	for _, c := range r.Cases {
		if c.Status == failed {
			fmt.Fprintf(out, "\nFAILED %s (%s)\n  expected %s, got %s: %s\n", c.Path, c.Family, c.Expected, c.Got, strings.ReplaceAll(c.Message, "\n", "\n    "))
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		fmt.Fprintf(out, "\nskipped %d: %s\n", len(reasons[reason]), reason)
		for _, path := range reasons[reason] {
			fmt.Fprintln(out, "  "+path)
		}
	}
	if len(missing) > 0 {
		fmt.Fprintln(out, "\nnot supported yet, by files that use it:")
		for _, f := range slices.SortedFunc(maps.Keys(missing), func(a, b string) int {
			return cmp.Or(missing[b]-missing[a], strings.Compare(a, b))
		}) {
			fmt.Fprintf(out, "  %3d %s\n", missing[f], f)
		}
	}
	fmt.Fprintf(out, "\n%d cases: %d passed, %d failed, %d skipped\n", r.Total, r.Passed, r.Failed, r.Skipped)
}

var notSupported = regexp.MustCompile(`not supported yet: ([\w.]+)`)

// unsupported lists the features that a refusal names, each once.
func unsupported(message string) []string {
	var out []string
	for _, m := range notSupported.FindAllStringSubmatch(message, -1) {
		if !slices.Contains(out, m[1]) {
			out = append(out, m[1])
		}
	}
	return out
}
