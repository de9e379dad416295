package main

import (
	"time"

	"github.com/spf13/cobra"

	"argosy/server/client"
)

// logs is `argosy logs`.
func (a *app) logs() *cobra.Command {
	o := client.LogOptions{Tail: -1}
	var since, sinceTime string
	var noColor bool
	cmd := &cobra.Command{
		Use:   "logs NAME [POD|NODE]",
		Short: "Print what the steps of a run wrote",
		Long: `Print what the steps of a run wrote, or what those at or below one of its nodes did: the lines
of all pods in the order of their time, each with its pod in front. Of more than 10,000 pods
so many come after the other, and they cannot be followed.

A node's name leads to it; for an id or the name of a pod, which are hashes, the server goes
through the run until it meets it.`,
		Example: examples(
			"argosy logs @latest --follow",
			"argosy logs map-reduce-x7k2p --grep error --since 10m",
			"argosy logs map-reduce-x7k2p map-reduce-x7k2p-count-1234567 --tail 20",
			"argosy logs map-reduce-x7k2p 'map-reduce-x7k2p[1].map(3:part-3)'",
		),
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			if len(args) == 2 {
				o.PodName = args[1]
			}
			if since != "" && sinceTime != "" {
				return usagef("--since and --since-time exclude each other")
			}
			if since != "" {
				if o.Since, err = parseAge("since", since); err != nil {
					return err
				}
			}
			if sinceTime != "" {
				if o.SinceTime, err = time.Parse(time.RFC3339, sinceTime); err != nil {
					return usagef("--since-time: %q is not a time such as 2026-01-31T12:00:00Z", sinceTime)
				}
			}
			return a.streamLogs(cmd.Context(), c, a.ns(), args[0], o, a.colour(a.out) && !noColor)
		},
	}
	s := cmd.Flags()
	s.BoolVarP(&o.Follow, "follow", "f", false, "go on until the run has ended")
	s.StringVarP(&o.Container, "container", "c", "main", "container of the pods")
	s.IntVar(&o.Tail, "tail", -1, "only the last lines of each pod; -1 is all")
	s.StringVar(&since, "since", "", "only lines of that time, such as 90s, 10m or 3d")
	s.StringVar(&sinceTime, "since-time", "", "only lines since a time, RFC 3339")
	s.StringVar(&o.Grep, "grep", "", "only lines that match a regular expression")
	s.BoolVar(&o.Timestamps, "timestamps", false, "each line's time in front")
	s.BoolVar(&noColor, "no-color", false, "no colours")
	return cmd
}
