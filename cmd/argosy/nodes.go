package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"argosy/cmd/argosy/internal/tree"
	"argosy/server/client"
	"argosy/workflow/spec"
)

// nodeFlags choose nodes of a run, to list them instead of drawing the tree.
type nodeFlags struct {
	client.NodeOptions
	all bool
}

func (f *nodeFlags) register(s *pflag.FlagSet) {
	s.StringSliceVar(&f.Phases, "status", nil, "list the nodes in these phases: Pending, Running, Succeeded, Skipped, Failed, Error, Omitted")
	s.StringVar(&f.Under, "under", "", "list a node, by name, id or pod name, and what is below it")
	s.IntVar(&f.Limit, "limit", 0, "list at most so many nodes (default 100)")
	s.StringVar(&f.Continue, "continue", "", "go on where an earlier list ended")
	s.BoolVar(&f.all, "all", false, "list all nodes, page by page")
}

// any says that nodes are to be listed.
func (f *nodeFlags) any() bool {
	return f.all || len(f.Phases) > 0 || f.Under != "" || f.Limit != 0 || f.Continue != ""
}

// nodePage is how many nodes are asked for at once.
const nodePage = 1000

// listNodes prints nodes of a run as their pages come in. JSON and YAML are a list for each.
func (a *app) listNodes(ctx context.Context, c *client.Client, name, output string, f nodeFlags) error {
	left := f.Limit
	switch {
	case f.all && f.Limit != 0:
		return usagef("--all and --limit exclude each other")
	case f.Limit < 0:
		return usagef("--limit: %d is not a number of nodes", f.Limit)
	case !f.all && left == 0:
		left = 100
	}
	o := f.NodeOptions
	found, heading := false, true
	for {
		if o.Limit = nodePage; !f.all {
			o.Limit = min(left, nodePage)
		}
		page, err := c.Nodes(ctx, a.ns(), name, o)
		if err != nil {
			return err
		}
		left -= len(page.Items)
		o.Continue = page.Continue
		last := o.Continue == "" || !f.all && left == 0
		if len(page.Items) > 0 || last && !found {
			if err := a.printNodes(name, output, page, heading); err != nil {
				return err
			}
			heading = false
		}
		if found = found || len(page.Items) > 0; last {
			break
		}
	}
	if !found {
		fmt.Fprintln(a.err, "no nodes found")
	}
	if o.Continue != "" {
		fmt.Fprintf(a.err, "there are more: go on with --continue %s, or list all with --all\n", o.Continue)
	}
	return nil
}

func (a *app) printNodes(run, output string, page *client.NodeList, heading bool) error {
	switch output {
	case "json", "yaml":
		if output == "yaml" && !heading {
			fmt.Fprintln(a.out, "---")
		}
		return printObject(a.out, output, page)
	case "name":
		for i := range page.Items {
			fmt.Fprintln(a.out, page.Items[i].Name)
		}
		return nil
	}
	var rows []string
	if heading && len(page.Items) > 0 {
		rows = append(rows, a.nodeRow(output, "NODE", "STATUS", "DURATION", "TYPE", "TEMPLATE", "PODNAME", "NODENAME", "MESSAGE"))
	}
	for i := range page.Items {
		n := &page.Items[i]
		took := ""
		if n.Phase != spec.NodePending && n.Type != spec.NodeTypeSkipped {
			took = tree.Duration(n.StartedAt.Time, n.FinishedAt.Time, a.now())
		}
		rows = append(rows, a.nodeRow(output, tree.OneLine(n.Name), string(n.Phase), took, string(n.Type), n.TemplateName,
			tree.PodName(run, n), n.HostNodeName, tree.OneLine(n.Message)))
	}
	return table(a.out, rows)
}

// nodeRow leaves out what only wide output shows.
func (a *app) nodeRow(output, name, phase, took, kind, template, pod, host, message string) string {
	if output == "wide" {
		return strings.Join([]string{name, phase, took, kind, template, pod, host, message}, "\t")
	}
	return strings.Join([]string{name, phase, took, pod, message}, "\t")
}
