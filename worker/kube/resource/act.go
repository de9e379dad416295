package resource

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"argosy/worker"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// madeBy is the annotation of a created object that says which step made it.
const madeBy = "argosy.dev/made-by"

// maker names the step for the objects that it creates: the same whatever the delivery, and
// another one when the run has been taken up again.
func maker(s *worker.Step) string {
	return s.Run.ID + "/" + string(s.Key) + "/" + strconv.Itoa(s.Delivery/workflow.LifeDeliveries)
}

// create makes the object, unless an earlier delivery of the step did.
func (a *action) create(ctx context.Context, on *target, object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	by := maker(a.step)
	annotate(object, by)
	if err := a.own(ctx, on, object); err != nil {
		return nil, err
	}
	generate := object.GetGenerateName()
	if object.GetName() != "" {
		generate = ""
	} else if generate == "" {
		return nil, refusef("error: resource name may not be empty")
	}
	for try := 0; ; try++ {
		if generate != "" {
			object.SetName(generatedName(generate, by, try))
		}
		made, err := a.createOnce(ctx, on, object, by)
		if apierrors.IsAlreadyExists(err) && generate != "" && try < 8 {
			continue
		}
		return made, err
	}
}

func (a *action) createOnce(ctx context.Context, on *target, object *unstructured.Unstructured, by string) (*unstructured.Unstructured, error) {
	var made *unstructured.Unstructured
	err := a.retry(ctx, func() (err error) {
		made, err = on.Create(ctx, object, metav1.CreateOptions{
			DryRun: a.flags.dry(), FieldManager: a.flags.manager, FieldValidation: a.flags.validation(),
		})
		return err
	})
	if err == nil {
		a.log(made, "created")
		return made, nil
	}
	if !apierrors.IsAlreadyExists(err) {
		return nil, err
	}
	exists := err
	err = a.retry(ctx, func() (err error) {
		made, err = on.Get(ctx, object.GetName(), metav1.GetOptions{})
		return err
	})
	if err != nil || made.GetAnnotations()[madeBy] != by {
		return nil, exists
	}
	a.log(made, "created before")
	return made, nil
}

func annotate(object *unstructured.Unstructured, by string) {
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[madeBy] = by
	object.SetAnnotations(annotations)
}

var nameEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// nameSuffix is longer than what Kubernetes itself generates, since it is not tried at random.
const nameSuffix = 8

func generatedName(prefix, by string, try int) string {
	sum := sha256.Sum256([]byte(by + "#" + strconv.Itoa(try)))
	if most := validation.DNS1123LabelMaxLength - nameSuffix; len(prefix) > most {
		prefix = prefix[:most]
	}
	return prefix + nameEncoding.EncodeToString(sum[:])[:nameSuffix]
}

// own makes the run the owner of the object, if that is asked for.
func (a *action) own(ctx context.Context, on *target, object *unstructured.Unstructured) error {
	if !a.t.SetOwnerReference || on.namespace != a.step.Run.Namespace {
		return nil
	}
	if on.kept {
		if object.GetKind() == spec.KindWorkflow { // whose keeper has them go
			object.SetOwnerReferences(append(object.GetOwnerReferences(), metav1.OwnerReference{
				APIVersion: spec.APIVersion, Kind: spec.KindWorkflow, Name: a.step.Run.Name, UID: types.UID(a.step.Run.ID),
			}))
		}
		return nil
	}
	var owner metav1.OwnerReference
	err := a.retry(ctx, func() (err error) {
		owner, err = a.cluster.anchor(ctx, a.step.Run)
		return err
	})
	if err != nil {
		return fmt.Errorf("making the owner of the run's objects: %w", err)
	}
	object.SetOwnerReferences(append(object.GetOwnerReferences(), owner))
	return nil
}

// apply merges the object into the one that is there, by the API server.
func (a *action) apply(ctx context.Context, on *target, object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if object.GetName() == "" {
		return nil, refusef("error: cannot use generate name with apply")
	}
	if err := a.own(ctx, on, object); err != nil {
		return nil, err
	}
	var made *unstructured.Unstructured
	err := a.retry(ctx, func() (err error) {
		// As kubectl's own apply, it wins over others, unless the flags ask for the server's way.
		made, err = on.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{
			DryRun: a.flags.dry(), FieldManager: a.flags.manager, Force: !a.flags.serverSide || a.flags.forceConflicts,
		}, a.sub()...)
		return err
	})
	if err == nil {
		a.log(made, "applied")
	}
	return made, err
}

func (a *action) sub() []string {
	if a.flags.subresource == "" {
		return nil
	}
	return []string{a.flags.subresource}
}

func (a *action) replace(ctx context.Context, on *target, object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if object.GetName() == "" {
		return nil, refusef("error: resource name may not be empty")
	}
	if a.flags.force {
		if err := a.delete(ctx, on, []string{object.GetName()}); err != nil {
			return nil, err
		}
		return a.create(ctx, on, object)
	}
	if err := a.own(ctx, on, object); err != nil {
		return nil, err
	}
	version := object.GetResourceVersion()
	var made *unstructured.Unstructured
	err := a.retry(ctx, func() error {
		if version == "" {
			old, err := on.Get(ctx, object.GetName(), metav1.GetOptions{})
			if err != nil {
				return err
			}
			object.SetResourceVersion(old.GetResourceVersion())
		}
		var err error
		made, err = on.Update(ctx, object, metav1.UpdateOptions{
			DryRun: a.flags.dry(), FieldManager: a.flags.manager, FieldValidation: a.flags.validation(),
		}, a.sub()...)
		if apierrors.IsConflict(err) && version == "" { // somebody changed it meanwhile
			err = apierrors.NewServerTimeout(on.resource, "update", 0)
		}
		return err
	})
	if err == nil {
		a.log(made, "replaced")
	}
	return made, err
}

// patch changes the object that the manifest or the flags name, by the manifest.
func (a *action) patch(ctx context.Context) (*target, *unstructured.Unstructured, error) {
	kind, ok := map[string]types.PatchType{
		"": types.StrategicMergePatchType, "strategic": types.StrategicMergePatchType,
		"merge": types.MergePatchType, "json": types.JSONPatchType,
	}[a.t.MergeStrategy]
	if !ok {
		return nil, nil, refusef("error: --type must be one of [json merge strategic], not %q", a.t.MergeStrategy)
	}
	body := a.manifest
	if body == nil {
		return nil, nil, refusef("error: must specify --patch or --patch-file containing the contents of the patch")
	}
	var head struct {
		Kind string `json:"kind"`
	}
	// A JSON patch names nothing, and neither does a manifest that is only a part of an object.
	if kind == types.JSONPatchType || (json.Unmarshal(body, &head) == nil && head.Kind == "" && len(a.t.Flags) > 0) {
		a.manifest = nil
	}
	on, names, err := a.named(ctx)
	if err != nil {
		return nil, nil, err
	}
	if len(names) != 1 {
		return nil, nil, refusef("error: a patch is for one object, and %d are named", len(names))
	}
	var made *unstructured.Unstructured
	err = a.retry(ctx, func() (err error) {
		made, err = on.Patch(ctx, names[0], kind, body, metav1.PatchOptions{
			DryRun: a.flags.dry(), FieldManager: a.flags.manager, FieldValidation: a.flags.validation(),
		}, a.sub()...)
		return err
	})
	if err == nil {
		a.log(made, "patched")
	}
	return on, made, err
}

// delete removes objects and, as kubectl does, waits until they are gone.
func (a *action) delete(ctx context.Context, on *target, names []string) error {
	options, err := a.flags.deletion()
	if err != nil {
		return err
	}
	var doomed []unstructured.Unstructured
	for _, name := range names {
		object := unstructured.Unstructured{}
		object.SetName(name)
		object.SetNamespace(on.namespace)
		object.SetGroupVersionKind(on.gvk)
		doomed = append(doomed, object)
	}
	if len(names) == 0 {
		if doomed, err = a.list(ctx, on); err != nil {
			return err
		}
	}
	for i := range doomed {
		err := a.retry(ctx, func() error { return on.in(doomed[i].GetNamespace()).Delete(ctx, doomed[i].GetName(), options) })
		switch {
		case apierrors.IsNotFound(err) && a.flags.ignoreNotFound:
		case err != nil:
			return err
		default:
			a.log(&doomed[i], "deleted")
		}
	}
	if !a.flags.wait || options.DryRun != nil {
		return nil
	}
	if a.flags.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, a.flags.timeout, errWaited)
		defer cancel()
	}
	for i := range doomed {
		if err := a.gone(ctx, on, &doomed[i]); err != nil {
			return err
		}
	}
	return nil
}

var errWaited = errors.New("error: timed out waiting for the condition")

// gone waits until the object is not there any more, or is another one of the name.
func (a *action) gone(ctx context.Context, on *target, object *unstructured.Unstructured) error {
	uid := object.GetUID()
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, a.poll) {
		var now *unstructured.Unstructured
		err := a.retry(ctx, func() (err error) {
			now, err = on.in(object.GetNamespace()).Get(ctx, object.GetName(), metav1.GetOptions{})
			return err
		})
		switch {
		case apierrors.IsNotFound(err), apierrors.IsForbidden(err): // who may not look cannot wait
			return nil
		case err != nil && errors.Is(context.Cause(ctx), errWaited):
			return refusal{errWaited}
		case err != nil:
			return err
		case uid == "":
			if uid = now.GetUID(); now.GetDeletionTimestamp() == nil {
				return nil // made anew since
			}
		case now.GetUID() != uid:
			return nil
		}
		select {
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), errWaited) {
				return refusal{errWaited}
			}
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}
