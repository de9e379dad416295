package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"argosy/server/client"
	"argosy/workflow/spec"
)

// copyFlags choose artifacts of a run, and where they go.
type copyFlags struct{ node, template, artifact, path string }

// cp is `argosy cp`.
func (a *app) cp() *cobra.Command {
	var f copyFlags
	cmd := &cobra.Command{
		Use:   "cp NAME DIRECTORY",
		Short: "Copy the output artifacts of a run",
		Long: `Copy the output artifacts of a run, as they are stored, to a local directory. A directory that was
stored without an archive comes as one.`,
		Example: examples(
			"argosy cp map-reduce-x7k2p out",
			"argosy cp @latest out --template-name map --path {nodeId}",
			"argosy cp @latest out --artifact-name main-logs --path {templateName}/{nodeId}"),
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			return a.copyArtifacts(cmd.Context(), c, args[0], args[1], f)
		},
	}
	s := cmd.Flags()
	s.StringVar(&f.node, "node-id", "", "only of the node with this id")
	s.StringVar(&f.template, "template-name", "", "only of nodes of this template")
	s.StringVar(&f.artifact, "artifact-name", "", "only artifacts of this name")
	s.StringVar(&f.path, "path", "{namespace}/{workflowName}/{nodeId}/outputs/{artifactName}",
		"where in the directory each goes, of {namespace}, {workflowName}, {nodeId}, {templateName} and {artifactName}")
	return cmd
}

// copyArtifacts copies the artifacts of all nodes that are wanted, page by page.
func (a *app) copyArtifacts(ctx context.Context, c *client.Client, name, dir string, f copyFlags) error {
	wf, err := c.Get(ctx, a.ns(), name, "metadata.name,metadata.namespace")
	if err != nil {
		return err
	}
	for o := (client.NodeOptions{Limit: nodePage, Under: f.node}); ; {
		page, err := c.Nodes(ctx, wf.Namespace, wf.Name, o)
		if err != nil {
			return err
		}
		for i := range page.Items {
			n := &page.Items[i]
			if f.node != "" && n.ID != f.node || f.template != "" && templateOf(n) != f.template || n.Outputs == nil {
				continue
			}
			for k := range n.Outputs.Artifacts {
				if art := &n.Outputs.Artifacts[k]; f.artifact == "" || art.Name == f.artifact {
					if err := a.copyArtifact(ctx, c, wf, n, art, dir, f.path); err != nil {
						return err
					}
				}
			}
		}
		if o.Continue = page.Continue; o.Continue == "" {
			return nil
		}
	}
}

func templateOf(n *spec.NodeStatus) string {
	if n.TemplateRef != nil {
		return n.TemplateRef.Template
	}
	return n.TemplateName
}

func (a *app) copyArtifact(ctx context.Context, c *client.Client, wf *spec.Workflow, n *spec.NodeStatus, art *spec.Artifact, dir, pattern string) (err error) {
	to := strings.NewReplacer("{namespace}", wf.Namespace, "{workflowName}", wf.Name, "{nodeId}", n.ID,
		"{templateName}", templateOf(n), "{artifactName}", art.Name).Replace(pattern)
	in, packed, err := c.Artifact(ctx, wf.Namespace, wf.Name, n.ID, art.Name)
	if err != nil {
		return fmt.Errorf("copying artifact %s of node %s: %w", art.Name, n.ID, err)
	}
	defer in.Close()
	file := art.Name
	if key, keyed := art.Key(); keyed && path.Base(key) != "/" && path.Base(key) != "." {
		file = path.Base(key)
	}
	if packed && !strings.HasSuffix(file, ".tgz") {
		file += ".tgz"
	}
	to = filepath.Join(filepath.FromSlash(to), file)
	if !filepath.IsLocal(to) {
		return usagef("--path: %s is not in the directory", to)
	}
	to = filepath.Join(dir, to)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fmt.Errorf("copying artifact %s: %w", art.Name, err)
	}
	out, err := os.Create(to)
	if err != nil {
		return fmt.Errorf("copying artifact %s: %w", art.Name, err)
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("copying artifact %s: %w", art.Name, err)
	}
	_, err = fmt.Fprintf(a.out, "Created %q\n", to)
	return err
}
