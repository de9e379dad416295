package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"

	"argosy/workflow/spec"
)

// convert is `argosy convert`.
func (a *app) convert() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "convert FILE|DIR...",
		Short: "Rewrite files of Argo Workflows 3 for 4",
		Long: `Print workflow files, also all YAML and JSON files of folders, with the fields that Argo
Workflows 4 has no more replaced by those that it has: a schedule becomes one of schedules, a
mutex one of mutexes and a semaphore one of semaphores. All else stays as it is, comments too.
- is the standard input.`,
		Example: examples(
			"argosy convert old.yaml > new.yaml",
			"cat old.yaml | argosy convert -",
		),
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkChoice("output", output, "yaml", "json"); err != nil {
				return err
			}
			files, err := lintFiles(args)
			if err != nil {
				return err
			}
			for _, file := range files {
				if err := a.convertFile(file, output); err != nil {
					return usagef("converting %s: %w", file, err)
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "yaml", "yaml or json")
	return cmd
}

// convertFile prints the documents of a file.
func (a *app) convertFile(name, output string) error {
	in := a.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	docs := yaml.NewDecoder(io.LimitReader(in, maxInput))
	for {
		var doc yaml.Node
		err := docs.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
			continue // nothing, or no object
		}
		convertObject(doc.Content[0])
		if err := a.printConverted(&doc, output); err != nil {
			return err
		}
	}
}

func (a *app) printConverted(doc *yaml.Node, output string) error {
	var text bytes.Buffer
	enc := yaml.NewEncoder(&text)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(doc), enc.Close()); err != nil {
		return fmt.Errorf("encoding: %w", err)
	}
	if output == "json" {
		data, err := sigsyaml.YAMLToJSON(text.Bytes())
		if err != nil {
			return fmt.Errorf("encoding: %w", err)
		}
		_, err = fmt.Fprintln(a.out, string(data))
		return err
	}
	_, err := fmt.Fprintf(a.out, "---\n%s", text.String())
	return err
}

// convertObject replaces the fields of one object.
func convertObject(object *yaml.Node) {
	kind, body := field(object, "kind"), field(object, "spec")
	if kind == nil {
		return
	}
	switch kind.Value {
	case spec.KindCronWorkflow:
		toList(body, "schedule", "schedules", true)
		body = field(body, "workflowSpec")
	case spec.KindWorkflow, spec.KindWorkflowTemplate, spec.KindClusterWorkflowTemplate:
	default:
		return
	}
	convertLocks(body)
	convertTemplate(field(body, "templateDefaults"))
	for _, t := range elements(field(body, "templates")) {
		convertTemplate(t)
	}
}

// convertTemplate replaces the fields of a template, and of those that are inline in it.
func convertTemplate(t *yaml.Node) {
	convertLocks(t)
	for _, group := range elements(field(t, "steps")) {
		if group.Kind == yaml.MappingNode { // a step that is not in a group
			convertTemplate(field(group, "inline"))
		}
		for _, step := range elements(group) {
			convertTemplate(field(step, "inline"))
		}
	}
	for _, task := range elements(field(field(t, "dag"), "tasks")) {
		convertTemplate(field(task, "inline"))
	}
}

func convertLocks(of *yaml.Node) {
	s := field(of, "synchronization")
	toList(s, "mutex", "mutexes", false)
	toList(s, "semaphore", "semaphores", false)
}

// toList makes the value of one field the last of another's, or, if it is to win, its only one.
func toList(object *yaml.Node, one, many string, wins bool) {
	i := fieldIndex(object, one)
	if i < 0 {
		return
	}
	key, value := object.Content[i], object.Content[i+1]
	list := field(object, many)
	if list == nil || list.Kind != yaml.SequenceNode {
		key.Value = many
		object.Content[i+1] = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: []*yaml.Node{value}}
		return
	}
	if wins {
		list.Content = nil
	}
	list.Content = append(list.Content, value)
	object.Content = append(object.Content[:i], object.Content[i+2:]...)
}

// field is the value of a mapping's field, nil if it has none.
func field(object *yaml.Node, name string) *yaml.Node {
	i := fieldIndex(object, name)
	if i < 0 {
		return nil
	}
	value := object.Content[i+1]
	if value.Kind == yaml.AliasNode {
		return value.Alias
	}
	return value
}

func fieldIndex(object *yaml.Node, name string) int {
	if object == nil || object.Kind != yaml.MappingNode {
		return -1
	}
	for i := 0; i+1 < len(object.Content); i += 2 {
		if object.Content[i].Value == name {
			return i
		}
	}
	return -1
}

// elements are those of a list; of anything else there are none.
func elements(list *yaml.Node) []*yaml.Node {
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil
	}
	return list.Content
}
