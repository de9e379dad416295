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
	var selector, message string
	cmd := a.ending("stop", "stopped", "Stop runs: what runs is ended, exit handlers still run",
		func(ctx context.Context, c *client.Client, t target) error {
			return c.Stop(ctx, t.namespace, t.name, selector, message)
		})
	cmd.Flags().StringVar(&message, "message", "", "why, as the run's status tells")
	cmd.Flags().StringVar(&selector, "node-field-selector", "", "fail only nodes that wait and have these fields, such as displayName=approve")
	return cmd
}

// terminate is `argosy terminate`.
func (a *app) terminate() *cobra.Command {
	return a.ending("terminate", "terminated", "Terminate runs: all that runs is ended, exit handlers too",
		func(ctx context.Context, c *client.Client, t target) error {
			return c.Terminate(ctx, t.namespace, t.name)
		})
}

// suspend is `argosy suspend`.
func (a *app) suspend() *cobra.Command {
	return a.ending("suspend", "suspended", "Suspend runs: what runs goes on, nothing new starts",
		func(ctx context.Context, c *client.Client, t target) error {
			return c.Suspend(ctx, t.namespace, t.name)
		})
}

// resume is `argosy resume`.
func (a *app) resume() *cobra.Command {
	var selector string
	cmd := a.ending("resume", "resumed", "Resume runs that were suspended, or that wait at a suspend template",
		func(ctx context.Context, c *client.Client, t target) error {
			return c.Resume(ctx, t.namespace, t.name, selector)
		})
	cmd.Flags().StringVar(&selector, "node-field-selector", "", "resume only nodes that have these fields, such as displayName=approve")
	return cmd
}

// node is `argosy node`.
func (a *app) node() *cobra.Command {
	var selector string
	var set client.NodeSet
	var parameters []string
	cmd := &cobra.Command{
		Use:   "node set NAME",
		Short: "Set the outputs, message or phase of nodes that wait",
		Example: examples(
			`argosy node set suspend-outputs --output-parameter message="Hello, world!" --node-field-selector displayName=approve`,
			`argosy node set suspend-outputs --message "Looked at" --node-field-selector displayName=approve`,
		),
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] != "set" {
				return usagef("node: %q is not one of: set", args[0])
			}
			var err error
			if set.Parameters, err = pairs("output-parameter", parameters); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			if err := c.SetNodes(cmd.Context(), a.ns(), args[1], selector, set); err != nil {
				return fmt.Errorf("%s: %w", args[1], err)
			}
			fmt.Fprintln(a.out, "workflow values set")
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&selector, "node-field-selector", "", "the nodes, by fields such as displayName=approve")
	f.StringArrayVarP(&parameters, "output-parameter", "p", nil, "output parameter, name=value; repeat for more")
	f.StringVarP(&set.Message, "message", "m", "", "message of the nodes")
	f.StringVar(&set.Phase, "phase", "", "phase that the nodes end with: Succeeded, Failed or Error")
	return cmd
}

// ending is a command that ends runs that are named or chosen, or has them wait or go on.
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
		if done != "" {
			fmt.Fprintf(a.out, "workflow %s %s%s\n", t.name, done, note)
		}
	}
	return errors.Join(failed...)
}
