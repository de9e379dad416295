package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"argosy/server/client"
	"argosy/workflow/spec"
)

// chooseFlags select runs by what they are rather than by name.
type chooseFlags struct {
	labels, fields string
	status         []string
	running        bool
	completed      bool
	prefix         string
	since, older   string
	everywhere     bool
	chunk          int
}

func (f *chooseFlags) register(s *pflag.FlagSet) {
	s.StringVarP(&f.labels, "selector", "l", "", "label selector")
	s.StringVar(&f.fields, "field-selector", "", "field selector, such as metadata.name=x")
	s.StringSliceVar(&f.status, "status", nil, "phases: Pending, Running, Succeeded, Failed, Error")
	s.BoolVar(&f.running, "running", false, "only runs that have not ended")
	s.BoolVar(&f.completed, "completed", false, "only runs that have ended")
	s.StringVar(&f.prefix, "prefix", "", "only names that start so")
	s.StringVar(&f.since, "since", "", "only runs created within that time, such as 2h or 3d")
	s.StringVar(&f.older, "older", "", "only runs that ended longer ago, such as 2h or 3d")
}

// any says that the flags choose something by themselves.
func (f *chooseFlags) any() bool {
	return f.labels != "" || f.fields != "" || len(f.status) > 0 || f.running || f.completed || f.prefix != "" || f.since != "" || f.older != ""
}

func (f *chooseFlags) options(now time.Time) (client.ListOptions, error) {
	o := client.ListOptions{FieldSelector: f.fields}
	selectors := []string{}
	if f.labels != "" {
		selectors = append(selectors, f.labels)
	}
	for _, s := range f.status {
		if err := checkChoice("status", s, "Pending", "Running", "Succeeded", "Failed", "Error"); err != nil {
			return o, err
		}
	}
	if len(f.status) > 0 {
		selectors = append(selectors, "workflows.argoproj.io/phase in ("+strings.Join(f.status, ",")+")")
	}
	switch {
	case f.running && f.completed:
		return o, usagef("--running and --completed exclude each other")
	case f.running:
		selectors = append(selectors, "workflows.argoproj.io/completed!=true")
	case f.completed:
		selectors = append(selectors, "workflows.argoproj.io/completed=true")
	}
	o.LabelSelector = strings.Join(selectors, ",")
	if f.prefix != "" {
		if strings.Contains(f.fields, "metadata.name") {
			return o, usagef("--prefix and a field selector on metadata.name exclude each other")
		}
		o.NameFilter = "Prefix"
		o.FieldSelector = strings.Trim(f.fields+",metadata.name="+f.prefix, ",")
	}
	if f.since != "" {
		d, err := parseAge("since", f.since)
		if err != nil {
			return o, err
		}
		o.CreatedAfter = now.Add(-d)
	}
	if f.older != "" {
		d, err := parseAge("older", f.older)
		if err != nil {
			return o, err
		}
		o.FinishedBefore = now.Add(-d)
	}
	return o, nil
}

// listAll reads every page.
func listAll(ctx context.Context, c *client.Client, ns string, o client.ListOptions, max int) ([]spec.Workflow, error) {
	var all []spec.Workflow
	for {
		page, err := c.List(ctx, ns, o)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if max > 0 && len(all) >= max {
			return all[:max], nil
		}
		if o.Continue = page.Continue; o.Continue == "" {
			return all, nil
		}
	}
}

// target is a run that a command is to act on.
type target struct{ namespace, name string }

// targets are the runs that the arguments name, or else those that the flags choose.
func (a *app) targets(ctx context.Context, c *client.Client, f *chooseFlags, all bool, args []string) ([]target, error) {
	if len(args) > 0 {
		if all || f.any() {
			return nil, usagef("give names or a selection, not both")
		}
		out := make([]target, len(args))
		for i, name := range args {
			out[i] = target{a.ns(), name}
		}
		return out, nil
	}
	if !all && !f.any() {
		return nil, usagef("give at least one name, or choose runs by flags")
	}
	o, err := f.options(a.now())
	if err != nil {
		return nil, err
	}
	// What is in the archive only is for other commands.
	o.LabelSelector = strings.Trim(o.LabelSelector+",workflows.argoproj.io/workflow-archiving-status!=Persisted", ",")
	o.Fields = "metadata.continue,items.metadata.name,items.metadata.namespace"
	o.Limit = chunkSize
	ns := a.ns()
	if f.everywhere {
		ns = ""
	}
	found, err := listAll(ctx, c, ns, o, 0)
	if err != nil {
		return nil, err
	}
	out := make([]target, len(found))
	for i := range found {
		out[i] = target{found[i].Namespace, found[i].Name}
	}
	return out, nil
}

// chunkSize is how many runs are read at once.
const chunkSize = 500

// completeNames offers the names of runs to the shell.
func (a *app) completeNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	c, err := a.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	page, err := c.List(cmd.Context(), a.ns(), client.ListOptions{Limit: chunkSize, Fields: "items.metadata.name"})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for i := range page.Items {
		if name := page.Items[i].Name; !slices.Contains(args, name) {
			names = append(names, name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
