package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"argosy/workflow/cron"
	"argosy/workflow/spec"
)

// Objects is where the objects are that workflows refer to. Kinds without namespace have ""
// for it. It reports ErrNotFound, ErrExists and ErrConflict.
type Objects interface {
	// Put stores an object that must have the version: 0 must not exist yet, -1 must exist.
	Put(ctx context.Context, kind, namespace, name string, object []byte, version int64) (int64, error)
	Get(ctx context.Context, kind, namespace, name string) (*Stored, error)
	// List returns a namespace's objects of a kind, or, if it is empty, all.
	List(ctx context.Context, kind, namespace string) ([]*Stored, error)
	Delete(ctx context.Context, kind, namespace, name string) error
}

// Stored is an object with its version.
type Stored struct {
	Namespace, Name string
	Version         int64
	JSON            []byte
}

// ObjectKind is a kind of objects that the server keeps.
type ObjectKind struct {
	Kind     string
	Plural   string // in paths
	Field    string // of a request that holds one
	resource string
	cluster  bool // it has no namespace
	core     bool // of Kubernetes's own group
}

// Object is one of them as clients see it.
type Object map[string]any

func objectKinds() []ObjectKind {
	return []ObjectKind{
		{Kind: spec.KindWorkflowTemplate, Plural: "workflow-templates", Field: "template", resource: "workflowtemplates.argoproj.io"},
		{Kind: spec.KindClusterWorkflowTemplate, Plural: "cluster-workflow-templates", Field: "template", resource: "clusterworkflowtemplates.argoproj.io", cluster: true},
		{Kind: spec.KindCronWorkflow, Plural: "cron-workflows", Field: "cronWorkflow", resource: "cronworkflows.argoproj.io"},
		{Kind: spec.KindWorkflowEventBinding, Plural: "workflow-event-bindings", Field: "workflowEventBinding", resource: "workfloweventbindings.argoproj.io"},
		{Kind: spec.KindConfigMap, Plural: "configmaps", Field: "configMap", resource: "configmaps", core: true},
		{Kind: spec.KindSecret, Plural: "secrets", Field: "secret", resource: "secrets", core: true},
	}
}

// Stores says that the server keeps objects of a kind.
func Stores(kind string) bool {
	return slices.ContainsFunc(objectKinds(), func(k ObjectKind) bool { return k.Kind == kind })
}

// Kind finds a kind of objects that the server keeps by its name.
func Kind(name string) (ObjectKind, bool) { return kindOf(name), Stores(name) }

// KeepObject stores an object in the place of one of its name, if there is one.
func (s *Service) KeepObject(ctx context.Context, kind, namespace string, doc []byte) error {
	k := kindOf(kind)
	_, err := s.CreateObject(ctx, k, namespace, doc, false)
	var e *Error
	if errors.As(err, &e) && e.Code == CodeExists {
		var o Object
		if o, err = decodeObject(doc); err == nil {
			_, err = s.UpdateObject(ctx, k, namespace, o.name(), doc)
		}
	}
	return err
}

func kindOf(name string) ObjectKind {
	for _, k := range objectKinds() {
		if k.Kind == name {
			return k
		}
	}
	return ObjectKind{Kind: name, resource: strings.ToLower(name) + "s"}
}

// LintObject checks an object as Create would, and returns it.
func (s *Service) LintObject(ctx context.Context, k ObjectKind, namespace string, doc []byte) (Object, error) {
	return s.readObject(ctx, k, namespace, doc)
}

// CreateObject stores a new object, and returns it as it is stored.
func (s *Service) CreateObject(ctx context.Context, k ObjectKind, namespace string, doc []byte, dryRun bool) (Object, error) {
	o, err := s.readObject(ctx, k, namespace, doc)
	if err != nil {
		return nil, err
	}
	m := o.metadata()
	m["uid"], m["creationTimestamp"] = uuid.NewString(), s.now().UTC().Format(time.RFC3339)
	if !k.core {
		o.label(creates(ctx, o.labels()))
	}
	if dryRun {
		return o, nil
	}
	return s.putObject(ctx, k, o, 0)
}

// UpdateObject replaces an object. One whose resourceVersion is set must not have been
// changed meanwhile.
func (s *Service) UpdateObject(ctx context.Context, k ObjectKind, namespace, name string, doc []byte) (Object, error) {
	o, err := s.readObject(ctx, k, namespace, doc)
	if err != nil {
		return nil, err
	}
	m := o.metadata()
	if m["name"] != name && name != "" {
		return nil, errorf(CodeInvalid, "the name of the provided object does not match the name sent on the request")
	}
	old, err := s.GetObject(ctx, k, namespace, o.name())
	if err != nil {
		return nil, err
	}
	version := int64(-1)
	if text, ok := m["resourceVersion"].(string); ok && text != "" {
		if version, err = strconv.ParseInt(text, 10, 64); err != nil {
			return nil, errorf(CodeInvalid, "metadata.resourceVersion: %q is not a version", text)
		}
	}
	m["uid"], m["creationTimestamp"] = old.metadata()["uid"], old.metadata()["creationTimestamp"]
	if by := does(ctx, actionUpdate); by != nil && !k.core {
		labels := o.labels()
		maps.Copy(labels, by)
		o.label(labels)
	}
	return s.putObject(ctx, k, o, version)
}

// GetObject returns an object. Secrets keep their values to themselves.
func (s *Service) GetObject(ctx context.Context, k ObjectKind, namespace, name string) (Object, error) {
	stored, err := s.objects.Get(ctx, k.Kind, k.space(namespace), name)
	if err != nil {
		return nil, k.trouble(err, name)
	}
	return s.show(ctx, k, stored)
}

// ListObjects returns the objects of a namespace, or of all if it is empty.
func (s *Service) ListObjects(ctx context.Context, k ObjectKind, namespace string, o ListOptions) (Object, error) {
	sel, err := o.selection()
	if err != nil {
		return nil, err
	}
	all, err := s.objects.List(ctx, k.Kind, k.space(namespace))
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", k.resource, err)
	}
	items := []Object{}
	states := map[string]map[string]*cron.State{}
	for _, stored := range all {
		object, err := k.decode(stored)
		if err != nil {
			return nil, err
		}
		if err := s.addStatus(ctx, k, stored, object, states); err != nil {
			return nil, err
		}
		if sel.matchesObject(stored, object.labels()) {
			items = append(items, object)
		}
	}
	meta := map[string]any{}
	first := 0
	if o.Continue != "" {
		if first, err = strconv.Atoi(o.Continue); err != nil || first < 0 {
			return nil, errorf(CodeInvalid, "listOptions.continue: not a token of an earlier page")
		}
	}
	items = items[min(first, len(items)):]
	if o.Limit > 0 && len(items) > o.Limit {
		items = items[:o.Limit]
		meta["continue"] = strconv.Itoa(first + o.Limit)
	}
	return Object{"apiVersion": k.apiVersion(), "kind": k.Kind + "List", "metadata": meta, "items": items}, nil
}

// DeleteObject removes an object. Runs that were made with it keep what they had of it.
func (s *Service) DeleteObject(ctx context.Context, k ObjectKind, namespace, name string) error {
	if err := s.objects.Delete(ctx, k.Kind, k.space(namespace), name); err != nil {
		return k.trouble(err, name)
	}
	s.log.Info("deleted", "hop", "submit", "kind", k.Kind, "namespace", namespace, "name", name)
	return nil
}

func (s *Service) putObject(ctx context.Context, k ObjectKind, o Object, version int64) (Object, error) {
	m := o.metadata()
	delete(m, "resourceVersion")
	delete(m, "managedFields")
	data, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("encoding the object: %w", err)
	}
	namespace, _ := m["namespace"].(string)
	stored := &Stored{Namespace: namespace, Name: o.name(), JSON: data}
	if stored.Version, err = s.objects.Put(ctx, k.Kind, namespace, stored.Name, data, version); err != nil {
		return nil, k.trouble(err, stored.Name)
	}
	s.log.Info("stored", "hop", "submit", "kind", k.Kind, "namespace", namespace, "name", stored.Name)
	return s.show(ctx, k, stored)
}

// readObject parses and checks an object, and puts it into its namespace.
func (s *Service) readObject(ctx context.Context, k ObjectKind, namespace string, doc []byte) (Object, error) {
	docs, err := spec.Parse("", named(withKind(doc, k.apiVersion(), k.Kind)))
	if err != nil {
		return nil, invalid(err)
	}
	if len(docs) != 1 || docs[0].Kind != k.Kind {
		return nil, errorf(CodeInvalid, "expected one %s, found %d objects, the first a %s", k.Kind, len(docs), docs[0].Kind)
	}
	o, err := decodeObject(docs[0].JSON)
	if err != nil {
		return nil, errorf(CodeInvalid, "%v", err)
	}
	delete(o, "status") // it is not the client's to say
	m := o.metadata()
	delete(m, "namespace")
	if !k.cluster {
		if own, ok := objectNamespace(docs[0].JSON); ok && own != namespace {
			return nil, errorf(CodeInvalid, "the namespace of the provided object does not match the namespace sent on the request")
		}
		if problems := validation.IsDNS1123Label(namespace); len(problems) > 0 {
			return nil, errorf(CodeInvalid, "metadata.namespace: %q: %s", namespace, strings.Join(problems, "; "))
		}
		m["namespace"] = namespace
	}
	if err := o.checkName(); err != nil {
		return nil, err
	}
	find := s.finder(ctx, namespace)
	if _, err := Check(&docs[0], spec.Options{Lint: true, Templates: find.spec}); err != nil {
		return nil, invalid(err)
	}
	return o, find.err
}

// named gives an object that has only a generateName its name.
func named(doc []byte) []byte {
	o, err := decodeObject(doc)
	if err != nil {
		return doc // Parse says what is wrong
	}
	base, _ := o.metadata()["generateName"].(string)
	if base == "" || o.name() != "" {
		return doc
	}
	o.metadata()["name"] = generateName(base)
	if named, err := json.Marshal(o); err == nil {
		return named
	}
	return doc
}

// checkName applies Kubernetes' rules for what Validate leaves open.
func (o Object) checkName() error {
	name := o.name()
	if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
		return errorf(CodeInvalid, "metadata.name: %q: %s", name, strings.Join(problems, "; "))
	}
	return nil
}

func objectNamespace(doc []byte) (string, bool) {
	var o struct {
		Metadata struct {
			Namespace string `json:"namespace"`
		} `json:"metadata"`
	}
	err := json.Unmarshal(doc, &o)
	return o.Metadata.Namespace, err == nil && o.Metadata.Namespace != ""
}

func decodeObject(data []byte) (Object, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var o Object
	if err := dec.Decode(&o); err != nil {
		return nil, fmt.Errorf("decoding the object: %w", err)
	}
	return o, nil
}

// metadata is the object's metadata, to be changed.
func (o Object) metadata() map[string]any {
	m, ok := o["metadata"].(map[string]any)
	if !ok {
		m = map[string]any{}
		o["metadata"] = m
	}
	return m
}

func (o Object) name() string {
	name, _ := o.metadata()["name"].(string)
	return name
}

func (o Object) labels() labels.Set {
	set := labels.Set{}
	all, _ := o.metadata()["labels"].(map[string]any)
	for k, v := range all {
		set[k], _ = v.(string)
	}
	return set
}

// label sets the object's labels.
func (o Object) label(set map[string]string) {
	all := map[string]any{}
	for k, v := range set {
		all[k] = v
	}
	if delete(o.metadata(), "labels"); len(all) > 0 {
		o.metadata()["labels"] = all
	}
}

// decode is a stored object as clients see it.
func (k ObjectKind) decode(stored *Stored) (Object, error) {
	o, err := decodeObject(stored.JSON)
	if err != nil {
		return nil, fmt.Errorf("reading %s %q: %w", k.resource, stored.Name, err)
	}
	o.metadata()["resourceVersion"] = strconv.FormatInt(stored.Version, 10)
	if k.Kind == spec.KindSecret {
		for _, field := range []string{"data", "stringData"} {
			if values, ok := o[field].(map[string]any); ok {
				o[field] = slices.Sorted(maps.Keys(values)) // their names alone
			}
		}
	}
	return o, nil
}

func (k ObjectKind) space(namespace string) string {
	if k.cluster {
		return ""
	}
	return namespace
}

func (k ObjectKind) apiVersion() string {
	if k.core {
		return "v1"
	}
	return spec.APIVersion
}

// trouble gives a store's errors the messages that Kubernetes has for them.
func (k ObjectKind) trouble(err error, name string) error {
	switch {
	case errors.Is(err, ErrNotFound):
		return errorf(CodeNotFound, "%s %q not found", k.resource, name)
	case errors.Is(err, ErrExists):
		return errorf(CodeExists, "%s %q already exists", k.resource, name)
	case errors.Is(err, ErrConflict):
		return errorf(CodeExists, "Operation cannot be fulfilled on %s %q: the object has been modified; please apply your changes to the latest version and try again", k.resource, name)
	}
	return fmt.Errorf("%s %q: %w", k.resource, name, err)
}
