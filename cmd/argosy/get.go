package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"argosy/cmd/argosy/internal/tree"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// get is `argosy get`.
func (a *app) get() *cobra.Command {
	var output string
	var noColor bool
	var wide int
	var nodes nodeFlags
	cmd := &cobra.Command{
		Use:   "get NAME...",
		Short: "Show runs and their nodes",
		Long: `Show runs and their nodes: the tree, with wide loops as one line. Of a run with more than
1,000 nodes the tree has some. A list has any of them: --status, --under, --limit and --all
list nodes instead, read in pages, so that a run may have any number of them.`,
		Example: examples(
			"argosy get map-reduce-x7k2p",
			"argosy get @latest",
			"argosy get @latest -o json",
			"argosy get @latest --status Failed,Error --limit 20",
			"argosy get map-reduce-x7k2p --under 'map-reduce-x7k2p[1].map(3:part-3)' -o wide",
			"argosy get @latest --all -o name",
		),
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkChoice("output", output, "", "json", "yaml", "wide", "name"); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			for _, name := range args {
				if nodes.any() {
					if err := a.listNodes(cmd.Context(), c, name, output, nodes); err != nil {
						return err
					}
					continue
				}
				wf, err := c.Get(cmd.Context(), a.ns(), name, "")
				if err != nil {
					return err
				}
				switch output {
				case "json", "yaml":
					err = printObject(a.out, output, wf)
				case "name":
					_, err = fmt.Fprintln(a.out, wf.Name)
				default:
					o := tree.Options{Now: a.now(), Columns: true, Hosts: output == "wide", Wide: wide, ASCII: a.ascii(), Colour: a.colour(a.out) && !noColor}
					printRun(a.out, wf, o)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "json, yaml, wide or name")
	cmd.Flags().BoolVar(&noColor, "no-color", false, "no colours")
	nodes.register(cmd.Flags())
	cmd.Flags().IntVar(&wide, "collapse", 100, "show loops of this many items and more as one line")
	return cmd
}

// Annotations that say what a run is.
const (
	annotationTitle       = "workflows.argoproj.io/title"
	annotationDescription = "workflows.argoproj.io/description"
)

// printRun shows a run as `argo get` does.
func printRun(w io.Writer, wf *spec.Workflow, o tree.Options) {
	s := &wf.Status
	phase := s.Phase
	if phase == "" {
		phase = spec.WorkflowPending
	}
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-20s %s\n", name+":", value)
		}
	}
	field("Name", wf.Name)
	field("Title", tree.OneLine(wf.Annotations[annotationTitle]))
	field("Description", tree.OneLine(wf.Annotations[annotationDescription]))
	field("Namespace", wf.Namespace)
	account := wf.Spec.ServiceAccountName
	if account == "" {
		account = "unset"
	}
	field("ServiceAccount", account)
	field("Status", tree.Paint(spec.NodePhase(phase), string(phase), o.Colour))
	field("Message", tree.OneLine(s.Message))
	field("Created", stamp(wf.CreationTimestamp.Time, o.Now))
	field("Started", stamp(s.StartedAt.Time, o.Now))
	field("Finished", stamp(s.FinishedAt.Time, o.Now))
	field("Duration", tree.Duration(s.StartedAt.Time, s.FinishedAt.Time, o.Now))
	if s.EstimatedDuration > 0 {
		field("EstimatedDuration", tree.Duration(o.Now, o.Now.Add(time.Duration(s.EstimatedDuration)*time.Second), o.Now))
	}
	field("Progress", string(s.Progress))
	field("ResourcesDuration", s.ResourcesDuration.String())
	parameters := func(title string, list []spec.Parameter) {
		if len(list) > 0 {
			fmt.Fprintln(w, title+":")
		}
		for i := range list {
			field("  "+list[i].Name, tree.OneLine(list[i].GetValue()))
		}
	}
	parameters("Parameters", wf.Spec.Arguments.Parameters)
	if s.Outputs != nil {
		parameters("Output Parameters", s.Outputs.Parameters)
	}
	if lines := tree.Render(wf, o); len(lines) > 0 {
		fmt.Fprintln(w)
		for _, l := range lines {
			fmt.Fprintln(w, l)
		}
	}
	if slices.ContainsFunc(s.Conditions, func(c spec.Condition) bool { return c.Type == workflow.NodesCut }) {
		fmt.Fprintf(w, "\nNot all nodes are shown. argosy get %s --status Failed,Error lists what failed, --all everything.\n", wf.Name)
	}
}

func stamp(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s (%s ago)", t.Local().Format("Mon Jan 02 15:04:05 -0700"), tree.Duration(t, time.Time{}, now))
}
