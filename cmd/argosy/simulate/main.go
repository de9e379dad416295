// Command simulate executes seeds of the simulator and tells what rules they broke.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/term"

	"argosy/cmd/argosy/internal/simulate"
)

var errBroken = errors.New("rules were broken")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		if !errors.Is(err, errBroken) {
			fmt.Fprintln(os.Stderr, "simulate:", err)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out *os.File) error {
	flags := flag.NewFlagSet("simulate", flag.ContinueOnError)
	seeds := flags.Int("seeds", 1000, "seeds to execute")
	from := flags.Uint64("from", 1, "the first seed")
	keep := flags.Int("keep", 3, "broken seeds to stop after")
	parallel := flags.Int("parallel", runtime.NumCPU(), "seeds to execute at once")
	trace := flags.Bool("trace", false, "print the traces of seeds that break nothing, too")
	if err := flags.Parse(args); err != nil {
		return err
	}
	debug.SetGCPercent(400) // there is much garbage and little else
	started := time.Now()
	sum, err := simulate.Many(ctx, *from, *seeds, *parallel, *keep, progress(out, *seeds, started))
	if err != nil {
		return err
	}
	for _, o := range sum.Broken {
		if err := replay(out, o.Seed); err != nil {
			return err
		}
	}
	if *trace && len(sum.Broken) == 0 {
		for i := range *seeds {
			if err := replay(out, *from+uint64(i)); err != nil {
				return err
			}
		}
	}
	for _, o := range sum.Broken {
		fmt.Fprintf(out, "seed %d broke a rule: %v\n  again: make simulate SEEDS=1 FROM=%d\n", o.Seed, o.Broken, o.Seed)
	}
	fmt.Fprintf(out, "simulate seeds=%d faults=%d steps=%d violations=%d seconds=%.1f\n",
		sum.Seeds, sum.Faults, sum.Steps, len(sum.Broken), time.Since(started).Seconds())
	if len(sum.Broken) > 0 {
		return errBroken
	}
	return nil
}

// replay executes a seed again, with its trace.
func replay(out io.Writer, seed uint64) error {
	fmt.Fprintf(out, "seed %d: seconds, process, what it does\n", seed)
	r, err := simulate.NewRunner()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = r.Run(seed, out)
	return err
}

// progress draws a line on a terminal, and nothing elsewhere.
func progress(out *os.File, seeds int, started time.Time) func(simulate.Sum) {
	if !term.IsTerminal(int(out.Fd())) {
		return nil
	}
	drawn := started
	return func(s simulate.Sum) {
		if now := time.Now(); now.Sub(drawn) > 200*time.Millisecond || s.Seeds == seeds {
			drawn = now
			rate := float64(s.Seeds) / now.Sub(started).Seconds()
			fmt.Fprintf(out, "\r\x1b[K%d of %d seeds, %d faults, %d broken, %.0f a second", s.Seeds, seeds, s.Faults, len(s.Broken), rate)
			if s.Seeds == seeds {
				fmt.Fprint(out, "\r\x1b[K")
			}
		}
	}
}
