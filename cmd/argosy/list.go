package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"argosy/cmd/argosy/internal/tree"
	"argosy/workflow/spec"
)

// list is `argosy list`.
func (a *app) list() *cobra.Command {
	var f chooseFlags
	var output string
	var noHeaders bool
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List runs, newest first",
		Example: examples(
			"argosy list",
			"argosy list -A --running",
			"argosy list --status Failed,Error --since 1d -o name",
			"argosy list -l team=ships -o wide",
		),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkChoice("output", output, "", "name", "json", "yaml", "wide"); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			o, err := f.options(a.now())
			if err != nil {
				return err
			}
			o.Limit = f.chunk
			if limit > 0 {
				o.Limit = min(o.Limit, limit)
			}
			if output == "" || output == "wide" || output == "name" {
				o.Fields = "metadata,items.metadata,items.status.phase,items.status.message,items.status.progress," +
					"items.status.startedAt,items.status.finishedAt,items.spec.priority,items.spec.arguments"
			}
			ns := a.ns()
			if f.everywhere {
				ns = ""
			}
			found, err := listAll(cmd.Context(), c, ns, o, limit)
			if err != nil {
				return err
			}
			switch output {
			case "json", "yaml":
				if found == nil {
					found = []spec.Workflow{}
				}
				return printObject(a.out, output, found)
			case "name":
				for i := range found {
					fmt.Fprintln(a.out, found[i].Name)
				}
				return nil
			}
			if len(found) == 0 {
				fmt.Fprintln(a.err, "no workflows found")
				return nil
			}
			return table(a.out, listRows(found, f.everywhere, output == "wide", !noHeaders, a.now()))
		},
	}
	f.register(cmd.Flags())
	cmd.Flags().BoolVarP(&f.everywhere, "all-namespaces", "A", false, "of all namespaces")
	cmd.Flags().IntVar(&f.chunk, "chunk-size", chunkSize, "runs to read at once")
	cmd.Flags().IntVar(&limit, "limit", 0, "most runs to list; 0 is all")
	cmd.Flags().StringVarP(&output, "output", "o", "", "name, json, yaml or wide")
	cmd.Flags().BoolVar(&noHeaders, "no-headers", false, "no heading")
	return cmd
}

func listRows(found []spec.Workflow, everywhere, wide, heading bool, now time.Time) []string {
	row := func(namespace string, cells []string, more ...string) string {
		if everywhere {
			cells = append([]string{namespace}, cells...)
		}
		if wide {
			cells = append(cells, more...)
		}
		return strings.Join(cells, "\t")
	}
	var rows []string
	if heading {
		rows = append(rows, row("NAMESPACE", []string{"NAME", "STATUS", "AGE", "DURATION", "PRIORITY", "MESSAGE"}, "PROGRESS", "PARAMETERS"))
	}
	for i := range found {
		wf := &found[i]
		s := &wf.Status
		phase, priority := string(s.Phase), int32(0)
		if phase == "" {
			phase = "Pending"
		}
		if wf.Spec.Priority != nil {
			priority = *wf.Spec.Priority
		}
		var params []string
		for _, p := range wf.Spec.Arguments.Parameters {
			params = append(params, p.Name+"="+p.GetValue())
		}
		rows = append(rows, row(wf.Namespace, []string{
			wf.Name, phase,
			tree.Duration(wf.CreationTimestamp.Time, time.Time{}, now),
			tree.Duration(s.StartedAt.Time, s.FinishedAt.Time, now),
			fmt.Sprint(priority), cell(s.Message),
		}, string(s.Progress), cell(strings.Join(params, ","))))
	}
	return rows
}

// cell keeps a text within a line of a table, and short.
func cell(text string) string {
	return tree.Cut(tree.OneLine(text), 60, false)
}
