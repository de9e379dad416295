package spec

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
)

// Document is one object of a file.
type Document struct {
	File       string
	APIVersion string
	Kind       string

	// Object is *Workflow, *WorkflowTemplate, *ClusterWorkflowTemplate, *CronWorkflow,
	// *WorkflowEventBinding or *corev1.ConfigMap, and *Object for every other kind.
	Object any

	// JSON is the object with all anchors unfolded and fields spelled as Argo spells them.
	JSON json.RawMessage

	root *yaml.Node
}

// Position returns the line and column, from 1, of a field such as
// spec.templates[2].steps[0][1].when; of one that is not in the file, that of its nearest
// parent.
func (d *Document) Position(path string) (line, column int) {
	if d.root == nil {
		return 1, 1
	}
	return locate(d.root, parsePath(path))
}

// Errorf returns an error at a field of the document.
func (d *Document) Errorf(path, format string, args ...any) *Error {
	line, column := d.Position(path)
	return &Error{File: d.File, Line: line, Column: column, Path: path, Message: fmt.Sprintf(format, args...)}
}

// argoKinds are the kinds that this package knows, with their types.
func argoKinds() map[string]reflect.Type {
	return map[string]reflect.Type{
		KindWorkflow:                reflect.TypeFor[Workflow](),
		KindWorkflowTemplate:        reflect.TypeFor[WorkflowTemplate](),
		KindClusterWorkflowTemplate: reflect.TypeFor[ClusterWorkflowTemplate](),
		KindCronWorkflow:            reflect.TypeFor[CronWorkflow](),
		KindWorkflowEventBinding:    reflect.TypeFor[WorkflowEventBinding](),
	}
}

// Parse reads the objects of a YAML or JSON file. Every error is in an ErrorList; the
// documents that have none are returned beside it.
func Parse(file string, data []byte) ([]Document, error) {
	trees, failed := nodes(file, data)
	if failed != nil {
		return nil, ErrorList{failed}
	}
	if len(trees) == 0 {
		return nil, ErrorList{{File: file, Line: 1, Column: 1, Message: "no objects in file"}}
	}
	var docs []Document
	var errs ErrorList
	for _, root := range trees {
		doc, bad := document(file, root)
		if errs = append(errs, bad...); len(bad) == 0 {
			docs = append(docs, doc)
		}
	}
	return docs, errs.err()
}

func document(file string, root *yaml.Node) (Document, ErrorList) {
	doc := Document{File: file, root: root}
	if root.Kind != yaml.MappingNode {
		return doc, ErrorList{{File: file, Line: root.Line, Column: root.Column,
			Message: "expected an object with apiVersion and kind, found " + describe(root)}}
	}
	doc.APIVersion, doc.Kind = text(root, "apiVersion"), text(root, "kind")
	if _, known := argoKinds()[doc.Kind]; known && doc.APIVersion == "" {
		doc.APIVersion = APIVersion // as Argo has it
		setText(root, "apiVersion", APIVersion)
	}
	typ, errs := doc.kindType()
	if len(errs) > 0 && typ == nil {
		return doc, errs
	}
	var more ErrorList
	doc.Object, doc.JSON, more = decode(file, root, typ)
	return doc, append(errs, more...)
}

// text returns a scalar field of a mapping, empty if it has none.
func text(n *yaml.Node, key string) string {
	if _, v := lookup(n, key, 0); v != nil && v.Kind == yaml.ScalarNode && !isNull(v) {
		return v.Value
	}
	return ""
}

// setText gives a mapping a scalar field that it lacks.
func setText(n *yaml.Node, key, value string) {
	if _, v := lookup(n, key, 0); v != nil {
		v.Kind, v.Tag, v.Value = yaml.ScalarNode, "!!str", value
		return
	}
	field := func(text string) *yaml.Node {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Line: n.Line, Column: n.Column}
	}
	n.Content = append(n.Content, field(key), field(value))
}

// kindType returns the type to read the document into.
func (d *Document) kindType() (reflect.Type, ErrorList) {
	kinds := argoKinds()
	names := make([]string, 0, len(kinds))
	for k := range kinds {
		names = append(names, k)
	}
	typ, known := kinds[d.Kind]
	switch {
	case d.Kind == "":
		e := d.Errorf("", `the object has no "kind"`)
		e.Hint = "for a workflow: kind: Workflow"
		return nil, ErrorList{e}
	case d.APIVersion == "":
		e := d.Errorf("", `the object has no "apiVersion"`)
		e.Hint = "for a workflow: apiVersion: " + APIVersion
		return typ, ErrorList{e}
	case known && d.APIVersion == APIVersion:
		return typ, nil
	case known:
		e := d.Errorf("apiVersion", "unknown apiVersion %q of kind %s", d.APIVersion, d.Kind)
		e.Hint = fmt.Sprintf("expected %q", APIVersion)
		return nil, ErrorList{e}
	case d.Kind == KindConfigMap && d.APIVersion == "v1":
		return reflect.TypeFor[corev1.ConfigMap](), nil
	}
	hint := didYouMean(d.Kind, names)
	if hint != "" && (strings.HasPrefix(d.APIVersion, "argoproj.io/") || didYouMean(d.APIVersion, []string{APIVersion}) != "") {
		e := d.Errorf("kind", "unknown kind %q", d.Kind)
		e.Hint = hint
		return nil, ErrorList{e}
	}
	return reflect.TypeFor[Object](), nil
}

// DecodeWorkflow reads a workflow that was stored as JSON. It keeps no positions and lets
// unknown fields pass: the store may have been written by a later version.
func DecodeWorkflow(data []byte) (*Workflow, error) {
	var wf Workflow
	if err := json.Unmarshal(data, &wf); err != nil {
		return nil, fmt.Errorf("decoding workflow: %w", err)
	}
	return &wf, nil
}
