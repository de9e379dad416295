package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"argosy/server/client"
)

// syncFlags name a limit.
type syncFlags struct {
	kind      string
	configMap string
	limit     int
}

// sync is the command for the limits of semaphores.
func (a *app) sync() *cobra.Command {
	cmd := &cobra.Command{
		Use: "sync", Short: "Set and show the limits of semaphores", Args: cobra.NoArgs,
		Long: `Set and show the limits of semaphores.

A limit is in a config map (--type configmap --cm-name NAME), for semaphores with a
configMapKeyRef, or in the database (--type database), for semaphores with database.key.
A new limit counts at once; a lower one takes nothing from those who hold the semaphore.`,
		Example: examples("argosy sync create builds --type database --limit 3", "argosy sync update builds --type configmap --cm-name limits --limit 5"),
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	cmd.AddCommand(
		a.syncVerb("create", "Store a limit", true, func(ctx context.Context, c *client.Client, l client.SyncLimit) error {
			return a.showLimit("created", l.Type)(c.CreateSyncLimit(ctx, l))
		}),
		a.syncVerb("update", "Change a limit", true, func(ctx context.Context, c *client.Client, l client.SyncLimit) error {
			return a.showLimit("updated", l.Type)(c.UpdateSyncLimit(ctx, l))
		}),
		a.syncVerb("get", "Show a limit", false, func(ctx context.Context, c *client.Client, l client.SyncLimit) error {
			return a.showLimit("", l.Type)(c.SyncLimit(ctx, l))
		}),
		a.syncVerb("delete", "Remove a limit", false, func(ctx context.Context, c *client.Client, l client.SyncLimit) error {
			if err := c.DeleteSyncLimit(ctx, l); err != nil {
				return err
			}
			fmt.Fprintf(a.out, "Sync limit %s of namespace %s deleted\n", l.Key, l.Namespace)
			return nil
		}),
	)
	return cmd
}

func (a *app) syncVerb(verb, short string, limited bool, do func(context.Context, *client.Client, client.SyncLimit) error) *cobra.Command {
	var f syncFlags
	more := ""
	if limited {
		more = " --limit 3"
	}
	cmd := &cobra.Command{
		Use: verb + " KEY", Short: short, Args: cobra.ExactArgs(1),
		Example: examples("argosy sync "+verb+" builds --type database"+more, "argosy sync "+verb+" builds --type configmap --cm-name limits"+more),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkChoice("type", f.kind, "configmap", "database"); err != nil {
				return err
			}
			l := client.SyncLimit{Namespace: a.ns(), Key: args[0], Limit: f.limit, ConfigMap: f.configMap}
			switch {
			case f.kind == "database":
				l.Type = 1
			case f.configMap == "":
				return usagef("--cm-name: say which config map has the limit")
			}
			if limited && f.limit <= 0 {
				return usagef("--limit: must be greater than zero")
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			return do(cmd.Context(), c, l)
		},
	}
	cmd.Flags().StringVar(&f.kind, "type", "configmap", "where the limit is: configmap or database")
	cmd.Flags().StringVar(&f.configMap, "cm-name", "", "config map that has the limit")
	if limited {
		cmd.Flags().IntVar(&f.limit, "limit", 0, "how many may hold the semaphore at once")
	}
	return cmd
}

// showLimit prints a limit, and what was done to it.
func (a *app) showLimit(done string, kind int) func(*client.SyncLimit, error) error {
	return func(l *client.SyncLimit, err error) error {
		if err != nil {
			return err
		}
		if done != "" {
			done = " " + done
		}
		where := "config map " + l.ConfigMap
		if kind == 1 {
			where = "database"
		}
		fmt.Fprintf(a.out, "Sync limit%s\nKey: %s\nType: %s\nNamespace: %s\nLimit: %d\n", done, l.Key, where, l.Namespace, l.Limit)
		return nil
	}
}
