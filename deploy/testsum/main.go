// Command testsum says in one place what several test runs did: it reads the events that
// `go test -json` wrote and prints each failure, each skip with its reason, and a line of
// totals. It exits 1 if anything failed.
//
//	testsum [-failed STEP]... NAME=FILE...
//
// A STEP is something besides tests that failed, such as vet. A FILE that is missing or
// holds no test is a failure too: tests that did not run did not pass.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	ok, err := run(os.Args[1:], os.Stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "testsum:", err)
		os.Exit(2)
	case !ok:
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) (ok bool, err error) {
	flags := flag.NewFlagSet("testsum", flag.ContinueOnError)
	var steps []string
	flags.Func("failed", "name of a step besides tests that failed", func(s string) error {
		steps = append(steps, s)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return false, err
	}
	var parts []part
	for _, arg := range flags.Args() {
		name, path, found := strings.Cut(arg, "=")
		if !found {
			return false, fmt.Errorf("%q is not NAME=FILE", arg)
		}
		p, err := readPart(name, path)
		if err != nil {
			return false, err
		}
		parts = append(parts, p)
	}
	return report(out, steps, parts), nil
}

func readPart(name, path string) (part, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return part{name: name}, nil
	}
	if err != nil {
		return part{}, fmt.Errorf("opening the events of %s: %w", name, err)
	}
	defer f.Close()
	p, err := read(name, f)
	if err != nil {
		return part{}, fmt.Errorf("reading the events of %s: %w", name, err)
	}
	return p, nil
}

// report prints the summary and says whether all is well.
func report(out io.Writer, steps []string, parts []part) bool {
	var passed, failed, skipped int
	fmt.Fprintln(out, "\n=== what ran")
	for _, p := range parts {
		passed += p.passed
		failed += len(p.failed)
		skipped += len(p.skipped)
		note := ""
		if p.empty() {
			failed++
			note = "  NOT RUN"
		}
		fmt.Fprintf(out, "%-24s %5d passed %4d failed %4d skipped%s\n", p.name, p.passed, len(p.failed), len(p.skipped), note)
	}
	failed += len(steps)
	for _, s := range steps {
		fmt.Fprintf(out, "%-24s FAILED\n", s)
	}
	if skipped > 0 {
		fmt.Fprintln(out, "\n=== skipped, and why")
		for _, p := range parts {
			for _, t := range p.skipped {
				fmt.Fprintf(out, "%s: %s: %s\n", p.name, t.id, t.said)
			}
		}
	}
	if failed > 0 {
		fmt.Fprintln(out, "\n=== failed")
		for _, s := range steps {
			fmt.Fprintln(out, s)
		}
		for _, p := range parts {
			if p.empty() {
				fmt.Fprintf(out, "%s: no test ran\n", p.name)
			}
			for _, t := range p.failed {
				fmt.Fprintf(out, "%s: %s\n", p.name, t.id)
			}
		}
	}
	fmt.Fprintf(out, "\n%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	return failed == 0
}
