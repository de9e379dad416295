package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"argosy/server/client"
	"argosy/workflow/spec"
)

// accompanyFlags say what to do with runs after they were started.
type accompanyFlags struct {
	submitFlags
}

func (f *accompanyFlags) register(cmd *cobra.Command) {
	s := cmd.Flags()
	s.BoolVarP(&f.wait, "wait", "w", false, "wait until the runs have ended")
	s.BoolVar(&f.watch, "watch", false, "show the run until it has ended")
	s.BoolVar(&f.log, "log", false, "print the run's logs until it has ended")
	s.StringVarP(&f.output, "output", "o", "", "name, json, yaml or wide")
}

// retry is `argosy retry`.
func (a *app) retry() *cobra.Command {
	var o client.RetryOptions
	var f accompanyFlags
	cmd := a.starting("retry", "retried", "Retry runs that have ended: what failed runs again, what succeeded stays", &f,
		func(ctx context.Context, c *client.Client, t target) (*spec.Workflow, error) {
			return c.Retry(ctx, t.namespace, t.name, o)
		})
	cmd.Flags().BoolVar(&o.RestartSuccessful, "restart-successful", false, "run again also the nodes that --node-field-selector matches, and what comes after them")
	cmd.Flags().StringVar(&o.NodeFieldSelector, "node-field-selector", "", "nodes to run again, by fields such as displayName=build")
	cmd.Flags().StringArrayVarP(&o.Parameters, "parameter", "p", nil, "argument, name=value, in place of the run's; repeat for more")
	return cmd
}

// resubmit is `argosy resubmit`.
func (a *app) resubmit() *cobra.Command {
	var memoized bool
	var parameters []string
	var f accompanyFlags
	cmd := a.starting("resubmit", "resubmitted", "Submit the workflows of runs once more", &f,
		func(ctx context.Context, c *client.Client, t target) (*spec.Workflow, error) {
			return c.Resubmit(ctx, t.namespace, t.name, memoized, parameters)
		})
	cmd.Flags().BoolVar(&memoized, "memoized", false, "skip what succeeded in the run, which failed, and take over its outputs")
	cmd.Flags().StringArrayVarP(&parameters, "parameter", "p", nil, "argument, name=value, in place of the run's; repeat for more")
	return cmd
}

// starting is a command that starts runs anew that are named or chosen.
func (a *app) starting(verb, done, short string, f *accompanyFlags, start func(context.Context, *client.Client, target) (*spec.Workflow, error)) *cobra.Command {
	var chosen chooseFlags
	cmd := &cobra.Command{
		Use:   verb + " NAME...",
		Short: short,
		Example: examples(
			"argosy "+verb+" map-reduce-x7k2p",
			"argosy "+verb+" @latest --watch",
			"argosy "+verb+" -l team=ships",
		),
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if err := checkChoice("output", f.output, "", "name", "json", "yaml", "wide"); err != nil {
				return err
			}
			if len(args) > 1 && (f.watch || f.log) {
				return usagef("--watch and --log need a single workflow, there are %d", len(args))
			}
			chosen.completed = chosen.completed || chosen.any() // others cannot be started anew
			var started []target
			err := a.each(ctx, &chosen, false, args, false, "", func(c *client.Client, t target) error {
				wf, err := start(ctx, c, t)
				if err != nil {
					return err
				}
				started = append(started, target{wf.Namespace, wf.Name})
				return a.printStarted(wf, f.output, t.name+" "+done)
			})
			if err != nil || len(started) == 0 {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			return a.accompany(ctx, c, &f.submitFlags, started)
		},
	}
	f.register(cmd)
	cmd.Flags().StringVarP(&chosen.labels, "selector", "l", "", "runs with these labels that have ended")
	cmd.Flags().StringVar(&chosen.fields, "field-selector", "", "runs with these fields that have ended")
	return cmd
}

// printStarted prints a run that was started anew; how says how.
func (a *app) printStarted(wf *spec.Workflow, output, how string) error {
	if output != "" && output != "wide" {
		return a.printSubmitted(wf, output, false)
	}
	if old, _, _ := strings.Cut(how, " "); old != wf.Name {
		how += " as " + wf.Name
	}
	_, err := fmt.Fprintf(a.out, "workflow %s\n", how)
	return err
}
