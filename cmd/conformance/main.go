// Command conformance runs a directory of workflows on a fleet of its own and compares how
// each ends with what the directory says, and the same for what validation makes of them.
//
// The directory holds expected.csv (path, family, kinds, features, images, needs, expected,
// ...), lint.csv (path, expected, note) and support.txt (files to load first); each of them
// may be missing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// settings are what the command line says.
type settings struct {
	corpus, executor, argosy, result, namespace, meets, minio string
	parallel                                                  int
	timeout                                                   time.Duration
	only                                                      *regexp.Regexp
}

var errFailed = errors.New("there are failures")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stdout); {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errFailed):
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(2)
	}
}

func parse(args []string) (*settings, error) {
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	var s settings
	var only string
	flags.StringVar(&s.corpus, "corpus", "", "directory with expected.csv, lint.csv and support.txt")
	flags.StringVar(&s.executor, "executor", "process", "process or kubernetes")
	flags.StringVar(&s.argosy, "argosy", "bin/argosy", "the binary to try")
	flags.StringVar(&s.result, "result", "", "file to write the results to, as JSON")
	flags.StringVar(&s.namespace, "namespace", "argo", "namespace of the runs")
	flags.StringVar(&s.meets, "meets", "", "further needs that the surroundings meet, with commas between")
	flags.IntVar(&s.parallel, "parallel", 24, "workflows to run at once")
	flags.DurationVar(&s.timeout, "timeout", 5*time.Minute, "time that one workflow may take")
	flags.StringVar(&s.minio, "minio", "", "binary of a MinIO to start, which is minio:9000 to the workflows; those with secrets need it")
	flags.StringVar(&only, "only", "", "regular expression of the paths or families to try")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if s.corpus == "" {
		return nil, errors.New("no directory: use -corpus DIR")
	}
	if s.executor != "process" && s.executor != "kubernetes" {
		return nil, fmt.Errorf("executor %q is neither process nor kubernetes", s.executor)
	}
	var err error
	if s.only, err = regexp.Compile(only); err != nil {
		return nil, fmt.Errorf("reading -only: %w", err)
	}
	return &s, nil
}

func run(ctx context.Context, args []string, out io.Writer) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	c, err := readCorpus(s.corpus)
	if err != nil {
		return err
	}
	results := &report{Cases: lintAll(ctx, s, c)}
	if runs := c.chosen(s.only); len(runs) > 0 {
		ended, err := runAll(ctx, s, c, runs, out)
		if err != nil {
			return err
		}
		results.Cases = append(results.Cases, ended...)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("running the corpus: %w", err)
	}
	results.count()
	results.print(out)
	if s.result != "" {
		if err := results.write(s.result); err != nil {
			return err
		}
	}
	if results.Total == 0 {
		return fmt.Errorf("%s has neither an expected.csv nor a lint.csv with rows", s.corpus)
	}
	if results.Failed > 0 {
		return errFailed
	}
	return nil
}

// runAll runs the cases on a fleet of their own.
func runAll(ctx context.Context, s *settings, c *corpus, cases []testCase, out io.Writer) (ended []outcome, err error) {
	env, err := newSurroundings(s, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, env.remove()) }()
	f, err := startFleet(ctx, s, env)
	if err != nil {
		return nil, err
	}
	for _, problem := range f.load(ctx, env.objects) {
		fmt.Fprintln(out, "not loaded:", problem)
	}
	if s.executor == "kubernetes" {
		if err := f.furnish(ctx, env.objects); err != nil {
			return nil, errors.Join(err, f.stop())
		}
	}
	r := &runner{settings: s, env: env, fleet: f}
	ended = each(s.parallel, cases, func(t *testCase) outcome { return r.run(ctx, t) })
	return ended, f.stop()
}

// words splits a list of names with commas or semicolons between.
func words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ';' || r == ' ' })
}
