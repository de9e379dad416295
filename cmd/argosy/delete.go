package main

import (
	"github.com/spf13/cobra"

	"argosy/server/client"
)

// remove is `argosy delete`.
func (a *app) remove() *cobra.Command {
	var f chooseFlags
	var all, dryRun, ignoreNotFound, force bool
	cmd := &cobra.Command{
		Use:   "delete NAME...",
		Short: "Delete runs",
		Long: `Delete runs and all that is known of them, also of runs that have not ended: their steps
end when their workers find out.`,
		Example: examples(
			"argosy delete map-reduce-x7k2p",
			"argosy delete --all",
			"argosy delete --completed --older 7d",
			"argosy delete -l team=ships --dry-run",
		),
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.each(cmd.Context(), &f, all, args, dryRun, "deleted", func(c *client.Client, t target) error {
				err := c.Delete(cmd.Context(), t.namespace, t.name, force)
				if ignoreNotFound && client.NotFound(err) {
					return nil
				}
				return err
			})
		},
	}
	f.register(cmd.Flags())
	cmd.Flags().BoolVar(&all, "all", false, "all runs of the namespace")
	cmd.Flags().BoolVarP(&f.everywhere, "all-namespaces", "A", false, "choose from all namespaces")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only print what would be done")
	cmd.Flags().BoolVar(&force, "force", false, "wait neither for artifacts that are to be deleted with the run (artifactGC) nor until it is archived")
	cmd.Flags().BoolVar(&ignoreNotFound, "ignore-not-found", false, "a run that does not exist is no error")
	return cmd
}
