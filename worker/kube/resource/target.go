package resource

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"argosy/worker"
	"argosy/workflow/spec"
)

// action is a template being carried out.
type action struct {
	*Executor
	step     *worker.Step
	t        *spec.ResourceTemplate
	flags    *flags
	manifest []byte // JSON; nil: there is none
}

// target is what an action is done to: objects of a kind, in one namespace.
type target struct {
	dynamic.ResourceInterface
	in        func(namespace string) dynamic.ResourceInterface // for what is listed in all namespaces
	gvk       schema.GroupVersionKind
	resource  schema.GroupResource
	namespace string // empty for kinds without namespaces, and for all of them
	kept      bool   // by Argosy itself
}

// maxManifest bounds a manifest. An API server takes no more than 3 MiB.
const maxManifest = 3 << 20

// read gets the manifest and the flags.
func (a *action) read(ctx context.Context) (err error) {
	text := []byte(a.t.Manifest)
	if from := a.t.ManifestFrom; from != nil && from.Artifact != nil {
		if text, err = a.artifact(ctx, from.Artifact.Name); err != nil {
			return err
		}
	}
	if a.flags, err = parseFlags(a.t.Action, a.t.Flags); err != nil {
		return err
	}
	if len(bytes.TrimSpace(text)) == 0 {
		if len(a.t.Flags) == 0 {
			return refusef("Must provide at least one of flags or manifest.")
		}
		return nil
	}
	documents := 0
	for part := range bytes.SplitSeq(append([]byte("\n"), text...), []byte("\n---")) {
		data, err := yaml.YAMLToJSON(part)
		switch {
		case err != nil:
			return refusef("error: error parsing the manifest: %w", err)
		case string(data) == "null":
			continue
		}
		a.manifest = data
		documents++
	}
	if documents > 1 {
		return refusef("Kind and name are both required but at least one of them is missing from the manifest: it has %d objects, and a resource template is for one", documents)
	}
	return nil
}

// artifact reads a manifest from an input.
func (a *action) artifact(ctx context.Context, name string) ([]byte, error) {
	in := a.step.Template.Inputs.GetArtifactByName(name)
	if in == nil || !in.HasLocation() {
		return nil, worker.Faultf(worker.ClassInput, "required artifact '%s' not supplied", name)
	}
	if in.Raw != nil {
		return []byte(in.Raw.Data), nil
	}
	data, err := readArtifact(ctx, a.store.For(a.step), in)
	switch {
	case errors.Is(err, worker.ErrNoArtifact):
		return nil, worker.Faultf(worker.ClassInput, "artifact %s failed to load: %w", in.Name, err)
	case errors.Is(err, io.ErrShortBuffer):
		return nil, worker.Faultf(worker.ClassInvalid, "artifact %s has more than the %d bytes that a manifest may have", in.Name, maxManifest)
	case err != nil:
		if fault, ok := errors.AsType[*worker.Fault](err); ok {
			return nil, fault
		}
		return nil, worker.Faultf(worker.ClassStore, "artifact %s failed to load: %w", in.Name, err)
	}
	return data, nil
}

// act does what the template says. The object is the one that it was done to; nil if there is
// none any more.
func (a *action) act(ctx context.Context) (*target, *unstructured.Unstructured, error) {
	switch a.t.Action {
	case "patch":
		return a.patch(ctx)
	case "get", "delete":
		on, names, err := a.named(ctx)
		if err != nil {
			return nil, nil, err
		}
		if a.t.Action == "delete" {
			return on, nil, a.delete(ctx, on, names)
		}
		object, err := a.get(ctx, on, names)
		return on, object, err
	case "create", "apply", "replace":
		object, err := a.object()
		if err != nil {
			return nil, nil, err
		}
		on, err := a.of(ctx, object)
		if err != nil {
			return nil, nil, err
		}
		switch a.t.Action {
		case "create":
			object, err = a.create(ctx, on, object)
		case "apply":
			object, err = a.apply(ctx, on, object)
		default:
			object, err = a.replace(ctx, on, object)
		}
		return on, object, err
	}
	return nil, nil, refusef("resource.action must be one of: get, create, apply, delete, replace, patch, and not %q", a.t.Action)
}

// object is the manifest as the object that it must be.
func (a *action) object() (*unstructured.Unstructured, error) {
	if a.manifest == nil {
		return nil, refusef("error: must specify a manifest for action %s", a.t.Action)
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(a.manifest); err != nil {
		return nil, refusef("error: unable to decode the manifest: %w", err)
	}
	if object.IsList() {
		return nil, refusef("Kind and name are both required but at least one of them is missing from the manifest")
	}
	return object, nil
}

// of is where the object belongs.
func (a *action) of(ctx context.Context, object *unstructured.Unstructured) (*target, error) {
	namespace := object.GetNamespace()
	if a.flags.namespace != "" && namespace != "" && namespace != a.flags.namespace {
		return nil, refusef("error: the namespace from the provided object %q does not match the namespace %q. You must pass '--namespace=%s' to perform this operation.", namespace, a.flags.namespace, namespace)
	}
	gvk := object.GroupVersionKind()
	return a.target(ctx, namespace, func(m meta.RESTMapper) (*meta.RESTMapping, error) {
		return m.RESTMapping(gvk.GroupKind(), gvk.Version)
	}, gvk.GroupKind())
}

// typed is where objects are of a type, as a command line names it: cm, pods, deployments.apps.
func (a *action) typed(ctx context.Context, name string) (*target, error) {
	gvr, gr := schema.ParseResourceArg(lower(name))
	return a.target(ctx, "", func(m meta.RESTMapper) (*meta.RESTMapping, error) {
		var gvk schema.GroupVersionKind
		err := errors.New("no version is named")
		if gvr != nil {
			gvk, err = m.KindFor(*gvr)
		}
		if err != nil {
			gvk, err = m.KindFor(gr.WithVersion(""))
		}
		if err != nil {
			return nil, err
		}
		return m.RESTMapping(gvk.GroupKind(), gvk.Version)
	}, kept(gr))
}

// target finds what serves a kind.
func (a *action) target(ctx context.Context, namespace string, find func(meta.RESTMapper) (*meta.RESTMapping, error), kind schema.GroupKind) (*target, error) {
	if namespace == "" {
		namespace = a.flags.namespace
	}
	if namespace == "" {
		namespace = a.step.Run.Namespace
	}
	if kind.Group == group {
		return a.keptTarget(kind, namespace)
	}
	if a.cluster == nil {
		return nil, worker.Faultf(worker.ClassInvalid, "template %q acts on a Kubernetes object, and this worker has no cluster: name one with --kubeconfig", a.step.Template.Name)
	}
	account := a.step.Template.ServiceAccountName
	if account == "" {
		account = a.step.Spec.ServiceAccountName
	}
	var mapping *meta.RESTMapping
	var client dynamic.Interface
	err := a.retry(ctx, func() (err error) {
		if client, err = a.cluster.as(ctx, a.step.Run.Namespace, account); err != nil {
			return err
		}
		mapping, err = find(a.cluster.mapper)
		if meta.IsNoMatchError(err) {
			err = refusef("error: %w", err)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	all := client.Resource(mapping.Resource)
	t := &target{
		ResourceInterface: all, gvk: mapping.GroupVersionKind, resource: mapping.Resource.GroupResource(),
		in: func(string) dynamic.ResourceInterface { return all },
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		t.in = func(namespace string) dynamic.ResourceInterface { return all.Namespace(namespace) }
		if a.manifest != nil || !a.flags.allNamespaces {
			t.namespace, t.ResourceInterface = namespace, all.Namespace(namespace)
		}
	}
	return t, nil
}

// named is what a manifest or a command line names. No names mean what the selectors select.
func (a *action) named(ctx context.Context) (*target, []string, error) {
	args := a.flags.args
	if a.manifest != nil {
		if len(args) > 0 {
			return nil, nil, refusef("error: when paths, URLs, or stdin is provided as resource input, you may not specify resource arguments as well")
		}
		object, err := a.object()
		if err != nil {
			return nil, nil, err
		}
		if object.GetName() == "" {
			return nil, nil, refusef("error: resource name may not be empty")
		}
		on, err := a.of(ctx, object)
		return on, []string{object.GetName()}, err
	}
	if len(args) == 0 {
		return nil, nil, refusef("error: You must provide one or more resources by argument or filename.")
	}
	kind, names := args[0], args[1:]
	if k, name, ok := strings.Cut(args[0], "/"); ok {
		kind, names = k, []string{name}
		for _, arg := range args[1:] {
			other, name, ok := strings.Cut(arg, "/")
			if !ok || other != k {
				return nil, nil, refusef("error: the arguments of a resource template must be of one type: %s", strings.Join(args, " "))
			}
			names = append(names, name)
		}
	}
	selects := a.flags.selector != "" || a.flags.fieldSelector != "" || a.flags.all
	switch {
	case len(names) > 0 && selects:
		return nil, nil, refusef("error: name cannot be provided when a selector is specified")
	case len(names) == 0 && !selects && a.t.Action != "get":
		return nil, nil, refusef("error: resource(s) were provided, but no name was specified")
	}
	on, err := a.typed(ctx, kind)
	return on, names, err
}

// list names what the selectors select.
func (a *action) list(ctx context.Context, on *target) (found []unstructured.Unstructured, err error) {
	err = a.retry(ctx, func() error {
		list, err := on.List(ctx, metav1.ListOptions{LabelSelector: a.flags.selector, FieldSelector: a.flags.fieldSelector})
		if err == nil {
			found = list.Items
		}
		return err
	})
	return found, err
}

func (a *action) get(ctx context.Context, on *target, names []string) (*unstructured.Unstructured, error) {
	if len(names) != 1 {
		found, err := a.list(ctx, on)
		if err != nil {
			return nil, err
		}
		if len(names) > 0 || len(found) != 1 || a.flags.all {
			return nil, refusef("Kind and name are both required but at least one of them is missing from the manifest")
		}
		names = []string{found[0].GetName()}
	}
	var object *unstructured.Unstructured
	err := a.retry(ctx, func() (err error) {
		object, err = on.Get(ctx, names[0], metav1.GetOptions{})
		return err
	})
	if apierrors.IsNotFound(err) && a.flags.ignoreNotFound {
		return nil, nil
	}
	if err == nil {
		a.log(object, "read")
	}
	return object, err
}

func lower(text string) string { return strings.ToLower(text) }
