package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"argosy/server/client"
)

// stop is `argosy stop`.
func (a *app) stop() *cobra.Command {
	var message string
	cmd := a.ending("stop", "stopped", "Stop runs: what runs is ended, exit handlers still run",
		func(ctx context.Context, c *client.Client, t target) error {
			return c.Stop(ctx, t.namespace, t.name, message)
		})
	cmd.Flags().StringVar(&message, "message", "", "why, as the run's status tells")
	return cmd
}

// terminate is `argosy terminate`.
func (a *app) terminate() *cobra.Command {
	return a.ending("terminate", "terminated", "Terminate runs: all that runs is ended, exit handlers too",
		func(ctx context.Context, c *client.Client, t target) error {
			return c.Terminate(ctx, t.namespace, t.name)
		})
}

// ending is a command that ends runs that are named or chosen.
func (a *app) ending(verb, done, short string, end func(context.Context, *client.Client, target) error) *cobra.Command {
	var f chooseFlags
	var dryRun bool
	cmd := &cobra.Command{
		Use:   verb + " NAME...",
		Short: short,
		Example: examples(
			"argosy "+verb+" map-reduce-x7k2p",
			"argosy "+verb+" @latest",
			"argosy "+verb+" -l team=ships --dry-run",
		),
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			// What has ended cannot be ended: a selection leaves it out.
			f.running = f.running || f.any()
			return a.each(cmd.Context(), &f, false, args, dryRun, done, func(c *client.Client, t target) error {
				return end(cmd.Context(), c, t)
			})
		},
	}
	cmd.Flags().StringVarP(&f.labels, "selector", "l", "", "runs with these labels that have not ended")
	cmd.Flags().StringVar(&f.fields, "field-selector", "", "runs with these fields that have not ended")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only print what would be done")
	return cmd
}

// each does something to every target, goes on when one fails, and returns all errors.
func (a *app) each(ctx context.Context, f *chooseFlags, all bool, args []string, dryRun bool, done string, do func(*client.Client, target) error) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	targets, err := a.targets(ctx, c, f, all, args)
	if err != nil {
		return err
	}
	if len(targets) == 0 {
		fmt.Fprintln(a.err, "no workflows found")
	}
	var failed []error
	for _, t := range targets {
		note := ""
		if dryRun {
			note = " (dry-run)"
		} else if err := do(c, t); err != nil {
			if ctx.Err() != nil || errors.Is(err, client.ErrUnreachable) {
				return err // it would fail for the rest as well
			}
			failed = append(failed, fmt.Errorf("%s: %w", t.name, err))
			continue
		}
		fmt.Fprintf(a.out, "workflow %s %s%s\n", t.name, done, note)
	}
	return errors.Join(failed...)
}
