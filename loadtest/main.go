// Command loadtest measures Argosy as its users meet it: it starts a Redis and the roles as
// processes of their own, submits workflows over HTTP, and takes the time. Each scenario also
// measures a peer, in the same minute on the same machine, since seconds alone only describe
// the machine. It writes a result file for each and ends with a line for each:
//
//	ROW value=<number><unit> target=<number><unit> ratio=<measured/peer> ok|short
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if child := children[first(os.Args[1:])]; child != nil {
		if err := child(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "loadtest:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "loadtest:", err)
		os.Exit(1)
	}
}

// children are programs that scenarios start this one as.
var children = map[string]func(args []string) error{bareArg: runBare, asynqArg: runAsynq}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("loadtest", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.Usage = func() {
		fmt.Fprintln(progress, "usage: loadtest [flags]\n\nrows:")
		for _, s := range scenarios() {
			fmt.Fprintf(progress, "  %-14s %s (n = %d)\n", s.row, s.about, s.n)
		}
		fmt.Fprintln(progress, "\nflags:")
		flags.PrintDefaults()
	}
	row := flags.String("row", "", "the one row to measure, or ladder for all its rungs (default: all rows)")
	n := flags.Int("n", 0, "how many runs or items (default: the row's own)")
	seed := flags.Uint64("seed", 1, "seed of all that is random")
	binary := flags.String("argosy", "bin/argosy", "binary to measure")
	results := flags.String("results", "loadtest/results", "folder for result files")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := choose(*row)
	if err != nil {
		return err
	}
	machine, err := describeMachine(ctx)
	if err != nil {
		return fmt.Errorf("describing the machine: %w", err)
	}
	var lines []string
	for _, s := range chosen {
		size := s.n
		if *n > 0 {
			size = *n
		}
		fmt.Fprintf(progress, "== %s: %s (n = %d)\n", s.row, s.about, size)
		before, err := loadAverage()
		if err != nil {
			return err
		}
		m, err := s.measure(ctx, bench{binary: *binary, n: size, seed: *seed, log: progress})
		if err != nil {
			return fmt.Errorf("measuring %s: %w", s.row, err)
		}
		r := newResult(s, m, machine, *seed, size)
		r.LoadBefore = before
		if r.LoadAfter, err = loadAverage(); err != nil {
			return err
		}
		path, err := r.write(*results)
		if err != nil {
			return fmt.Errorf("writing the result of %s: %w", s.row, err)
		}
		fmt.Fprintln(progress, "wrote", path)
		lines = append(lines, r.line())
	}
	for _, l := range lines {
		fmt.Fprintln(out, l)
	}
	return nil
}
