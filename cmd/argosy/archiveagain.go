package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"argosy/server/client"
	"argosy/workflow/spec"
)

func (a *app) archiveRetry() *cobra.Command {
	var o client.RetryOptions
	cmd := a.archiveStarting("retry", "retried", "Retry archived runs: what failed runs again, what succeeded stays",
		func(ctx context.Context, c *client.Client, ns, uid string) (*spec.Workflow, error) {
			return c.RetryArchived(ctx, ns, uid, o)
		})
	cmd.Flags().BoolVar(&o.RestartSuccessful, "restart-successful", false, "run again also the nodes that --node-field-selector matches, and what comes after them")
	cmd.Flags().StringVar(&o.NodeFieldSelector, "node-field-selector", "", "nodes to run again, by fields such as displayName=build")
	cmd.Flags().StringArrayVarP(&o.Parameters, "parameter", "p", nil, "argument, name=value, in place of the run's; repeat for more")
	return cmd
}

func (a *app) archiveResubmit() *cobra.Command {
	var memoized bool
	var parameters []string
	cmd := a.archiveStarting("resubmit", "resubmitted", "Submit the workflows of archived runs once more",
		func(ctx context.Context, c *client.Client, ns, uid string) (*spec.Workflow, error) {
			return c.ResubmitArchived(ctx, ns, uid, memoized, parameters)
		})
	cmd.Flags().BoolVar(&memoized, "memoized", false, "skip what succeeded in the run, which failed, and take over its outputs")
	cmd.Flags().StringArrayVarP(&parameters, "parameter", "p", nil, "argument, name=value, in place of the run's; repeat for more")
	return cmd
}

// archiveStarting is a command that starts archived runs anew that are named or chosen.
func (a *app) archiveStarting(verb, done, short string, start func(ctx context.Context, c *client.Client, ns, uid string) (*spec.Workflow, error)) *cobra.Command {
	var f accompanyFlags
	var id identity
	var chosen client.ListOptions
	cmd := &cobra.Command{
		Use: verb + " NAME|UID...", Short: short,
		Example: examples("argosy archive "+verb+" map-reduce-x7k2p --watch", "argosy archive "+verb+" -l team=ships"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if err := checkChoice("output", f.output, "", "name", "json", "yaml", "wide"); err != nil {
				return err
			}
			if len(args) == 0 && chosen.LabelSelector == "" && chosen.FieldSelector == "" {
				return usagef("requires either selector or workflow")
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			all, err := a.archivedTargets(ctx, c, chosen, id, args)
			if err != nil {
				return err
			}
			if len(all) > 1 && (f.watch || f.log) {
				return usagef("--watch and --log need a single workflow, there are %d", len(all))
			}
			var started []target
			for _, uid := range all {
				wf, err := start(ctx, c, a.ns(), uid)
				if err != nil {
					return fmt.Errorf("%s: %w", uid, err)
				}
				started = append(started, target{wf.Namespace, wf.Name})
				if err := a.printStarted(wf, f.output, uid+" "+done); err != nil {
					return err
				}
			}
			if len(started) == 0 {
				return nil
			}
			return a.accompany(ctx, c, &f.submitFlags, started)
		},
	}
	f.register(cmd)
	id.register(cmd)
	cmd.Flags().StringVarP(&chosen.LabelSelector, "selector", "l", "", "archived runs with these labels")
	cmd.Flags().StringVar(&chosen.FieldSelector, "field-selector", "", "archived runs with these fields")
	return cmd
}

// archivedTargets are the uids of archived runs that are chosen or named, each once.
func (a *app) archivedTargets(ctx context.Context, c *client.Client, chosen client.ListOptions, id identity, args []string) ([]string, error) {
	var all []string
	seen := map[string]bool{}
	add := func(uid string) {
		if !seen[uid] {
			seen[uid] = true
			all = append(all, uid)
		}
	}
	if chosen.LabelSelector != "" || chosen.FieldSelector != "" {
		found, err := allArchived(ctx, c, a.ns(), chosen)
		if err != nil {
			return nil, err
		}
		for i := range found {
			add(string(found[i].UID))
		}
	}
	for _, text := range args {
		uid, err := a.archivedUID(ctx, c, text, id)
		if err != nil {
			return nil, err
		}
		add(uid)
	}
	return all, nil
}
