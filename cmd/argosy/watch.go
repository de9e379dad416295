package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"argosy/server/client"
	"argosy/workflow/spec"
)

// watch is `argosy watch`.
func (a *app) watch() *cobra.Command {
	return &cobra.Command{
		Use:   "watch NAME",
		Short: "Show a run until it has ended",
		Long: `Show a run until it has ended: a live tree on a terminal, a line for each change
otherwise. The exit code is the run's outcome.`,
		Example:           examples("argosy watch @latest"),
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			name, err := a.resolve(cmd.Context(), c, a.ns(), args[0])
			if err != nil {
				return err
			}
			wf, err := a.follow(cmd.Context(), c, a.ns(), name, "")
			if err != nil {
				return err
			}
			return outcome(wf)
		},
	}
}

// resolve makes sure that a run exists and returns its name, which is another one if
// @latest was asked for: by the time of a later call that may be a younger run.
func (a *app) resolve(ctx context.Context, c *client.Client, ns, name string) (string, error) {
	wf, err := c.Get(ctx, ns, name, "metadata.name")
	if err != nil {
		return "", err
	}
	return wf.Name, nil
}

// wait is `argosy wait`.
func (a *app) wait() *cobra.Command {
	var ignoreNotFound bool
	cmd := &cobra.Command{
		Use:               "wait NAME...",
		Short:             "Wait until runs have ended",
		Long:              "Wait until runs have ended. The exit code is 1 if one of them did not succeed.",
		Example:           examples("argosy wait map-reduce-x7k2p", "argosy wait @latest"),
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			var runs []target
			for _, name := range args {
				name, err := a.resolve(cmd.Context(), c, a.ns(), name)
				if ignoreNotFound && client.NotFound(err) {
					continue
				}
				if err != nil {
					return err
				}
				runs = append(runs, target{a.ns(), name})
			}
			return a.waitFor(cmd.Context(), c, runs, ignoreNotFound)
		},
	}
	cmd.Flags().BoolVar(&ignoreNotFound, "ignore-not-found", false, "a run that does not exist is no error")
	return cmd
}

// waitFor waits until all runs have ended and prints how; it fails if one of them did.
func (a *app) waitFor(ctx context.Context, c *client.Client, runs []target, ignoreNotFound bool) error {
	ends := make([]*spec.Workflow, len(runs))
	group, ctx := errgroup.WithContext(ctx)
	for i, run := range runs {
		group.Go(func() error {
			wf, err := a.track(ctx, c, run.namespace, run.name, func(*spec.Workflow) error { return nil })
			if ignoreNotFound && client.NotFound(err) {
				return nil
			}
			ends[i] = wf
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var failed []error
	for _, wf := range ends {
		if wf == nil {
			continue
		}
		fmt.Fprintf(a.out, "%s %s at %s\n", wf.Name, wf.Status.Phase, wf.Status.FinishedAt.Local().Format("2006-01-02 15:04:05 -0700"))
		failed = append(failed, outcome(wf))
	}
	return errors.Join(failed...)
}
