package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"argosy/cmd/argosy/internal/tree"
	"argosy/server/client"
	"argosy/workflow/spec"
)

// archive is `argosy archive`.
func (a *app) archive() *cobra.Command {
	cmd := &cobra.Command{
		Use: "archive", Short: "Show and manage archived runs", Args: cobra.NoArgs,
		Example: examples("argosy archive list", "argosy archive get map-reduce-x7k2p", "argosy archive delete 6522aff1-1e01-11ee-b443-42010aa00147"),
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	cmd.AddCommand(a.archiveList(), a.archiveGet(), a.archiveDelete(), a.archiveRetry(), a.archiveResubmit(), a.archiveLabelKeys(), a.archiveLabelValues())
	return cmd
}

func (a *app) archiveList() *cobra.Command {
	var output string
	o := client.ListOptions{}
	cmd := &cobra.Command{
		Use: "list", Short: "List archived runs, newest first", Args: cobra.NoArgs,
		Example: examples("argosy archive list", "argosy archive list -l team=ships --chunk-size 100", "argosy archive list -o name"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkChoice("output", output, "name", "json", "yaml", "wide"); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := allArchived(cmd.Context(), c, a.ns(), o)
			if err != nil {
				return err
			}
			switch output {
			case "json", "yaml":
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
			return table(a.out, archivedRows(listRows(found, false, true, true, a.now()), found))
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "wide", "name, json, yaml or wide")
	cmd.Flags().StringVarP(&o.LabelSelector, "selector", "l", "", "label selector")
	cmd.Flags().StringVar(&o.FieldSelector, "field-selector", "", "field selector, such as metadata.name=x")
	cmd.Flags().IntVar(&o.Limit, "chunk-size", chunkSize, "runs to read at once")
	return cmd
}

// archivedRows adds to rows of a list what tells runs of one name apart.
func archivedRows(rows []string, found []spec.Workflow) []string {
	rows[0] += "\tUID"
	for i := range found {
		rows[i+1] += "\t" + string(found[i].UID)
	}
	return rows
}

// allArchived reads every page.
func allArchived(ctx context.Context, c *client.Client, ns string, o client.ListOptions) ([]spec.Workflow, error) {
	all := []spec.Workflow{}
	for {
		page, err := c.ListArchived(ctx, ns, o)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if o.Continue = page.Continue; o.Continue == "" {
			return all, nil
		}
	}
}

// identity says how archived runs are named.
type identity struct{ uid, name bool }

func (f *identity) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.uid, "uid", false, "the arguments are uids")
	cmd.Flags().BoolVar(&f.name, "name", false, "the arguments are names")
	cmd.MarkFlagsMutuallyExclusive("uid", "name")
}

var uidPattern = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// archivedUID is the uid of an archived run that is named by it, or by its name.
func (a *app) archivedUID(ctx context.Context, c *client.Client, text string, f identity) (string, error) {
	if f.uid || !f.name && uidPattern.MatchString(text) {
		return text, nil
	}
	found, err := allArchived(ctx, c, a.ns(), client.ListOptions{FieldSelector: "metadata.name=" + text, NameFilter: "Exact"})
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", usagef("archived workflow '%s' not found", text)
	case len(found) == 1:
		return string(found[0].UID), nil
	}
	var b strings.Builder
	for i := range found {
		wf := &found[i]
		fmt.Fprintf(&b, "  %s (Created: %s, Finished: %s)\n", wf.UID, stamp(wf.CreationTimestamp.Time, a.now()), stamp(wf.Status.FinishedAt.Time, a.now()))
	}
	return "", usagef("Multiple archived workflows found with name '%s':\n%sPlease specify the UID.", text, b.String())
}

func (a *app) archiveGet() *cobra.Command {
	var output string
	var id identity
	cmd := &cobra.Command{
		Use: "get NAME|UID", Short: "Show an archived run", Args: cobra.ExactArgs(1),
		Example: examples("argosy archive get map-reduce-x7k2p", "argosy archive get -o yaml 6522aff1-1e01-11ee-b443-42010aa00147"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkChoice("output", output, "json", "yaml", "wide", "name"); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			uid, err := a.archivedUID(cmd.Context(), c, args[0], id)
			if err != nil {
				return err
			}
			wf, err := c.GetArchived(cmd.Context(), uid)
			if err != nil {
				return err
			}
			switch output {
			case "json", "yaml":
				return printObject(a.out, output, wf)
			case "name":
				_, err = fmt.Fprintln(a.out, wf.Name)
				return err
			}
			printRun(a.out, wf, tree.Options{Now: a.now(), Columns: true, Wide: 100, ASCII: a.ascii(), Colour: a.colour(a.out)})
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "wide", "json, yaml, wide or name")
	id.register(cmd)
	return cmd
}

func (a *app) archiveDelete() *cobra.Command {
	var id identity
	cmd := &cobra.Command{
		Use: "delete NAME|UID...", Short: "Delete runs from the archive", Args: cobra.MinimumNArgs(1),
		Example: examples("argosy archive delete map-reduce-x7k2p"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			for _, text := range args {
				uid, err := a.archivedUID(cmd.Context(), c, text, id)
				if err != nil {
					return err
				}
				if err := c.DeleteArchived(cmd.Context(), uid); err != nil {
					return fmt.Errorf("%s: %w", text, err)
				}
				fmt.Fprintf(a.out, "Archived workflow '%s' deleted\n", uid)
			}
			return nil
		},
	}
	id.register(cmd)
	return cmd
}

func (a *app) archiveLabelKeys() *cobra.Command {
	return &cobra.Command{
		Use: "list-label-keys", Short: "List the labels of archived runs", Args: cobra.NoArgs,
		Example: examples("argosy archive list-label-keys"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.printLabels(func(c *client.Client) ([]string, error) { return c.ArchivedLabelKeys(cmd.Context()) })
		},
	}
}

func (a *app) archiveLabelValues() *cobra.Command {
	var selector string
	cmd := &cobra.Command{
		Use: "list-label-values", Short: "List the values of a label of archived runs", Args: cobra.NoArgs,
		Example: examples("argosy archive list-label-values -l team"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if selector == "" {
				return usagef(`required flag(s) "selector" not set`)
			}
			return a.printLabels(func(c *client.Client) ([]string, error) { return c.ArchivedLabelValues(cmd.Context(), selector) })
		},
	}
	cmd.Flags().StringVarP(&selector, "selector", "l", "", "the label")
	return cmd
}

func (a *app) printLabels(list func(*client.Client) ([]string, error)) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	items, err := list(c)
	if err != nil {
		return err
	}
	for _, item := range items {
		fmt.Fprintln(a.out, item)
	}
	return nil
}
