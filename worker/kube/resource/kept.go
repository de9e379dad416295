package resource

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"argosy/workflow/spec"
)

// Keeper keeps the objects of argoproj.io, as JSON. Errors of its own are *apierrors.StatusError.
type Keeper interface {
	// Create keeps a new object. One with an id is created once, however often it is asked for.
	Create(ctx context.Context, namespace, kind, id string, object []byte, dryRun bool) ([]byte, error)
	Get(ctx context.Context, namespace, kind, name string) ([]byte, error)
	Update(ctx context.Context, namespace, kind, name string, object []byte) ([]byte, error)
	Delete(ctx context.Context, namespace, kind, name string) error
}

const group = "argoproj.io"

// keptKinds are what Argosy keeps, by their plurals.
func keptKinds() map[string]string {
	return map[string]string{
		"workflows": spec.KindWorkflow, "workflowtemplates": spec.KindWorkflowTemplate, "cronworkflows": spec.KindCronWorkflow,
	}
}

// kept recognises the type of an object that Argosy keeps, as a command line names it.
func kept(gr schema.GroupResource) schema.GroupKind {
	if gr.Group != "" && gr.Group != group {
		return schema.GroupKind{}
	}
	short := map[string]string{"wf": "workflows", "wftmpl": "workflowtemplates", "cwf": "cronworkflows", "cronwf": "cronworkflows"}
	for plural, kind := range keptKinds() {
		if gr.Resource == plural || gr.Resource == strings.TrimSuffix(plural, "s") || short[gr.Resource] == plural {
			return schema.GroupKind{Group: group, Kind: kind}
		}
	}
	return schema.GroupKind{}
}

// keptTarget is for what Argosy keeps itself. Workflows reach those of their own namespace.
func (a *action) keptTarget(kind schema.GroupKind, namespace string) (*target, error) {
	for plural, k := range keptKinds() {
		if k != kind.Kind {
			continue
		}
		resource := schema.GroupResource{Group: group, Resource: plural}
		if own := a.step.Run.Namespace; namespace != own || a.flags.allNamespaces {
			return nil, refusal{apierrors.NewForbidden(resource, "", fmt.Errorf("workflows of namespace %q have no access to those of others", own))}
		}
		objects := &keptObjects{Keeper: a.keeper, kind: kind.Kind, resource: resource, namespace: namespace, maker: maker(a.step)}
		return &target{
			ResourceInterface: objects, in: func(string) dynamic.ResourceInterface { return objects },
			gvk: kind.WithVersion("v1alpha1"), resource: resource, namespace: namespace, kept: true,
		}, nil
	}
	kinds := make([]string, 0, len(keptKinds()))
	for _, k := range keptKinds() {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	return nil, refusef("resource templates reach these kinds of %s: %s, and not %q", group, strings.Join(kinds, ", "), kind.Kind)
}

// keptObjects has Argosy's own objects of a kind behave like a cluster's.
type keptObjects struct {
	Keeper
	kind, namespace, maker string
	resource               schema.GroupResource
}

var _ dynamic.ResourceInterface = (*keptObjects)(nil)

func (k *keptObjects) decode(data []byte, err error) (*unstructured.Unstructured, error) {
	if err != nil {
		return nil, err
	}
	object := &unstructured.Unstructured{}
	if err := json.Unmarshal(data, &object.Object); err != nil {
		return nil, fmt.Errorf("decoding a %s: %w", k.kind, err)
	}
	object.SetAPIVersion(spec.APIVersion)
	object.SetKind(k.kind)
	return object, nil
}

func (k *keptObjects) refuse(verb string) error {
	return apierrors.NewMethodNotSupported(k.resource, verb)
}

// Create implements dynamic.ResourceInterface.
func (k *keptObjects) Create(ctx context.Context, object *unstructured.Unstructured, o metav1.CreateOptions, _ ...string) (*unstructured.Unstructured, error) {
	data, err := object.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("encoding a %s: %w", k.kind, err)
	}
	id := uuid.NewSHA1(uuid.NameSpaceOID, []byte(k.maker)).String()
	return k.decode(k.Keeper.Create(ctx, k.namespace, k.kind, id, data, len(o.DryRun) > 0))
}

// Get implements dynamic.ResourceInterface.
func (k *keptObjects) Get(ctx context.Context, name string, _ metav1.GetOptions, _ ...string) (*unstructured.Unstructured, error) {
	return k.decode(k.Keeper.Get(ctx, k.namespace, k.kind, name))
}

// Update implements dynamic.ResourceInterface.
func (k *keptObjects) Update(ctx context.Context, object *unstructured.Unstructured, _ metav1.UpdateOptions, _ ...string) (*unstructured.Unstructured, error) {
	if k.kind == spec.KindWorkflow {
		return nil, k.refuse("update")
	}
	data, err := object.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("encoding a %s: %w", k.kind, err)
	}
	return k.decode(k.Keeper.Update(ctx, k.namespace, k.kind, object.GetName(), data))
}

// Apply implements dynamic.ResourceInterface: what is there is replaced.
func (k *keptObjects) Apply(ctx context.Context, _ string, object *unstructured.Unstructured, o metav1.ApplyOptions, _ ...string) (*unstructured.Unstructured, error) {
	made, err := k.Create(ctx, object, metav1.CreateOptions{DryRun: o.DryRun})
	if apierrors.IsAlreadyExists(err) {
		return k.Update(ctx, object, metav1.UpdateOptions{})
	}
	return made, err
}

// Delete implements dynamic.ResourceInterface.
func (k *keptObjects) Delete(ctx context.Context, name string, o metav1.DeleteOptions, _ ...string) error {
	if len(o.DryRun) > 0 {
		return nil
	}
	return k.Keeper.Delete(ctx, k.namespace, k.kind, name)
}

// The rest has no counterpart.

// UpdateStatus implements dynamic.ResourceInterface.
func (k *keptObjects) UpdateStatus(context.Context, *unstructured.Unstructured, metav1.UpdateOptions) (*unstructured.Unstructured, error) {
	return nil, k.refuse("update status")
}

// DeleteCollection implements dynamic.ResourceInterface.
func (k *keptObjects) DeleteCollection(context.Context, metav1.DeleteOptions, metav1.ListOptions) error {
	return k.refuse("delete collection")
}

// List implements dynamic.ResourceInterface.
func (k *keptObjects) List(context.Context, metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	return nil, k.refuse("list")
}

// Watch implements dynamic.ResourceInterface.
func (k *keptObjects) Watch(context.Context, metav1.ListOptions) (watch.Interface, error) {
	return nil, k.refuse("watch")
}

// Patch implements dynamic.ResourceInterface.
func (k *keptObjects) Patch(context.Context, string, types.PatchType, []byte, metav1.PatchOptions, ...string) (*unstructured.Unstructured, error) {
	return nil, k.refuse("patch")
}

// ApplyStatus implements dynamic.ResourceInterface.
func (k *keptObjects) ApplyStatus(context.Context, string, *unstructured.Unstructured, metav1.ApplyOptions) (*unstructured.Unstructured, error) {
	return nil, k.refuse("apply status")
}
