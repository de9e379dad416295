package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"argosy/server/client"
	"argosy/workflow/spec"
)

// objectVerbs are the commands for a kind of stored objects.
type objectVerbs struct {
	*app
	kind    string
	what    string // in sentences
	use     string
	aliases []string
	cluster bool // it has no namespace

	describe func(out io.Writer, object json.RawMessage) error // what get shows; nil shows YAML
	header   string                                            // of columns that a list has beside NAME and AGE
	row      func(object json.RawMessage) (string, error)
}

func (a *app) template() *cobra.Command {
	v := objectVerbs{app: a, kind: spec.KindWorkflowTemplate, what: "workflow template", use: "template", aliases: []string{"wftmpl"}}
	return v.command()
}

func (a *app) clusterTemplate() *cobra.Command {
	v := objectVerbs{app: a, kind: spec.KindClusterWorkflowTemplate, what: "cluster workflow template", use: "cluster-template", aliases: []string{"cwft", "cwftmpl"}, cluster: true}
	return v.command()
}

func (v *objectVerbs) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: v.use, Aliases: v.aliases, Short: "Store and show " + v.what + "s", Args: cobra.NoArgs,
		Example: examples("argosy "+v.use+" create x.yaml", "argosy "+v.use+" list", "argosy "+v.use+" get x"),
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	lint := v.lint()
	lint.Short, lint.Example = "Check files with "+v.what+"s, without a server", examples("argosy "+v.use+" lint x.yaml")
	cmd.AddCommand(v.create(), v.update(), v.get(), v.list(), v.delete(), lint)
	return cmd
}

// create and update store the objects of files.
func (v *objectVerbs) create() *cobra.Command {
	return v.storing("create", "created", func(ctx context.Context, c *client.Client, ns, _ string, object json.RawMessage) error {
		return c.Create(ctx, v.kind, ns, object)
	})
}

func (v *objectVerbs) update() *cobra.Command {
	return v.storing("update", "updated", func(ctx context.Context, c *client.Client, ns, name string, object json.RawMessage) error {
		return c.Update(ctx, v.kind, ns, name, object)
	})
}

func (v *objectVerbs) storing(verb, done string, store func(ctx context.Context, c *client.Client, ns, name string, object json.RawMessage) error) *cobra.Command {
	return &cobra.Command{
		Use:     verb + " FILE...",
		Short:   fmt.Sprintf("%s%s %ss", string(verb[0]-'a'+'A'), verb[1:], v.what),
		Args:    cobra.MinimumNArgs(1),
		Example: examples(fmt.Sprintf("argosy %s %s x.yaml", v.use, verb)),
		RunE: func(cmd *cobra.Command, files []string) error {
			var all []spec.Document
			for _, file := range files {
				docs, err := v.parseFile(file)
				if err != nil {
					return err
				}
				all = append(all, docs...)
			}
			for i := range all {
				if all[i].Kind != v.kind {
					return usagef("%w", all[i].Errorf("kind", "expected a %s, this is a %s", v.kind, all[i].Kind))
				}
			}
			c, err := v.client()
			if err != nil {
				return err
			}
			for i := range all {
				m, err := metaOf(all[i].JSON)
				if err != nil {
					return err
				}
				ns := v.conn.namespace
				if ns == "" {
					ns = m.Namespace
				}
				if ns == "" {
					ns = v.ns()
				}
				if err := store(cmd.Context(), c, ns, m.Name, all[i].JSON); err != nil {
					return fmt.Errorf("%s: %w", all[i].File, err)
				}
				fmt.Fprintf(v.out, "%s %s\n", m.Name, done)
			}
			return nil
		},
	}
}

func (v *objectVerbs) get() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "get NAME...", Short: "Show " + v.what + "s", Args: cobra.MinimumNArgs(1),
		Example: examples("argosy "+v.use+" get x", "argosy "+v.use+" get -o json x"),
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := checkChoice("output", output, "", "name", "json", "yaml"); err != nil {
				return err
			}
			c, err := v.client()
			if err != nil {
				return err
			}
			for _, name := range names {
				object, err := c.Object(cmd.Context(), v.kind, v.ns(), name)
				if err != nil {
					return err
				}
				if output == "name" {
					fmt.Fprintln(v.out, name)
					continue
				}
				format := output
				if format == "" && v.describe != nil {
					if err := v.describe(v.out, object); err != nil {
						return err
					}
					continue
				}
				if format == "" {
					format = "yaml"
				}
				if err := printObject(v.out, format, object); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "name, json or yaml")
	return cmd
}

func (v *objectVerbs) list() *cobra.Command {
	var output, labels string
	var everywhere bool
	cmd := &cobra.Command{
		Use: "list", Short: "List " + v.what + "s", Args: cobra.NoArgs,
		Example: examples("argosy "+v.use+" list", "argosy "+v.use+" list -o name"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkChoice("output", output, "", "name", "json", "yaml", "wide"); err != nil {
				return err
			}
			c, err := v.client()
			if err != nil {
				return err
			}
			ns := v.ns()
			if everywhere {
				ns = ""
			}
			found, err := c.Objects(cmd.Context(), v.kind, ns, client.ListOptions{LabelSelector: labels})
			if err != nil {
				return err
			}
			if output == "json" || output == "yaml" {
				return printObject(v.out, output, found)
			}
			rows := []string{"NAME\tAGE"}
			if v.header != "" {
				rows[0] += "\t" + v.header
			}
			if everywhere {
				rows[0] = "NAMESPACE\t" + rows[0]
			}
			for _, object := range found {
				m, err := metaOf(object)
				if err != nil {
					return err
				}
				if output == "name" {
					fmt.Fprintln(v.out, m.Name)
					continue
				}
				row := m.Name + "\t" + v.now().Sub(m.CreationTimestamp.Time).Truncate(time.Second).String()
				if v.row != nil {
					more, err := v.row(object)
					if err != nil {
						return err
					}
					row += "\t" + more
				}
				if everywhere {
					row = m.Namespace + "\t" + row
				}
				rows = append(rows, row)
			}
			if output == "name" {
				return nil
			}
			return table(v.out, rows)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "name, json, yaml or wide")
	cmd.Flags().StringVarP(&labels, "selector", "l", "", "label selector")
	if !v.cluster {
		cmd.Flags().BoolVarP(&everywhere, "all-namespaces", "A", false, "of all namespaces")
	}
	return cmd
}

func (v *objectVerbs) delete() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "delete NAME...", Short: "Delete " + v.what + "s", Example: examples("argosy "+v.use+" delete x", "argosy "+v.use+" delete --all"),
		RunE: func(cmd *cobra.Command, names []string) error {
			if all == (len(names) > 0) {
				return usagef("give names, or --all")
			}
			c, err := v.client()
			if err != nil {
				return err
			}
			if all {
				found, err := c.Objects(cmd.Context(), v.kind, v.ns(), client.ListOptions{})
				if err != nil {
					return err
				}
				for _, object := range found {
					m, err := metaOf(object)
					if err != nil {
						return err
					}
					names = append(names, m.Name)
				}
			}
			for _, name := range names {
				if err := c.Remove(cmd.Context(), v.kind, v.ns(), name); err != nil {
					return err
				}
				fmt.Fprintf(v.out, "%s deleted\n", name)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all of them")
	return cmd
}

// metaOf reads an object's metadata.
func metaOf(object json.RawMessage) (*metav1.ObjectMeta, error) {
	var o struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
	}
	if err := json.Unmarshal(object, &o); err != nil {
		return nil, fmt.Errorf("reading an object: %w", err)
	}
	return &o.Metadata, nil
}
