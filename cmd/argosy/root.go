package main

import (
	"strings"

	"github.com/spf13/cobra"
)

const rootHelp = `Argosy runs Argo Workflows.

Commands talk to a server (default localhost:2746, see --argosy-server); "run" and "lint"
need none. Processes send OpenTelemetry traces if OTEL_EXPORTER_OTLP_ENDPOINT says where to.

Exit codes:
  0    all is well
  1    the run ended as Failed or Error
  2    bad input: flags, a file, a name that does not exist, a refusal by the server
  3    the server cannot be reached, or failed
  130  interrupted`

// newRoot makes the command tree. Every command is a method of app in a file of its own.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:           "argosy",
		Short:         "Run Argo Workflows",
		Long:          rootHelp,
		SilenceErrors: true, // app.execute prints them
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	a.conn.register(root.PersistentFlags())
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usagef("%w (see %s --help)", err, c.CommandPath())
	})
	root.AddCommand(
		a.submit(), a.list(), a.get(), a.watch(), a.wait(), a.logs(), a.cp(),
		a.stop(), a.terminate(), a.suspend(), a.resume(), a.node(), a.retry(), a.resubmit(), a.remove(), a.lint(), a.convert(), a.version(),
		a.template(), a.clusterTemplate(), a.cron(), a.sync(), a.archive(),
		a.run(), a.up(), a.coordinator(), a.worker(), a.server(), a.autoscaler(),
	)
	return root
}

// examples indents a command's examples as cobra shows them.
func examples(lines ...string) string { return "  " + strings.Join(lines, "\n  ") }
