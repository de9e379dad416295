package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"argosy/queue"
	"argosy/server"
	"argosy/worker/kube"
	"argosy/worker/kube/resource"
	"argosy/workflow/spec"
)

// keeper lets resource templates reach workflows and templates, as if a user did.
type keeper struct {
	*server.Service
	owned *queue.Owned
}

var _ resource.Keeper = keeper{}

// Create is part of resource.Keeper.
func (k keeper) Create(ctx context.Context, namespace, kind, id string, object []byte, dryRun bool) ([]byte, error) {
	if kind == spec.KindWorkflow {
		if err := k.own(ctx, namespace, id, object, dryRun); err != nil {
			return nil, err
		}
		return encoded(k.Submit(ctx, namespace, object, server.SubmitOptions{ID: id, DryRun: dryRun}))
	}
	of, err := keptKind(kind)
	if err != nil {
		return nil, err
	}
	return encoded(k.CreateObject(ctx, of, namespace, object, dryRun))
}

// own notes a workflow that is to go when the one that makes it does.
func (k keeper) own(ctx context.Context, namespace, id string, object []byte, dryRun bool) error {
	var wf metav1.PartialObjectMetadata
	if err := json.Unmarshal(object, &wf); err != nil {
		return fmt.Errorf("reading the owner of a workflow: %w", err)
	}
	for _, o := range wf.OwnerReferences {
		if o.Kind == spec.KindWorkflow && o.APIVersion == spec.APIVersion && !dryRun {
			return k.owned.Add(ctx, queue.OwnedRun{ID: id, Owner: string(o.UID), Namespace: namespace, Name: wf.Name}, time.Now())
		}
	}
	return nil
}

// sweep deletes the workflows whose owner has gone.
func (k keeper) sweep(ctx context.Context, stands kube.Stands) error {
	return k.owned.Sweep(ctx, time.Now(), func(ctx context.Context, r queue.OwnedRun) (done bool, err error) {
		owner, err := stands(ctx, r.Owner, nil)
		if err != nil || !owner.Gone {
			return false, err
		}
		is, err := stands(ctx, r.ID, nil)
		if err == nil && !is.Gone { // its name is its own for as long
			err = k.Delete(ctx, r.Namespace, spec.KindWorkflow, r.Name)
		}
		return err == nil, err
	})
}

// Get is part of resource.Keeper.
func (k keeper) Get(ctx context.Context, namespace, kind, name string) ([]byte, error) {
	if kind == spec.KindWorkflow {
		return encoded(k.Service.Get(ctx, namespace, name, ""))
	}
	of, err := keptKind(kind)
	if err != nil {
		return nil, err
	}
	return encoded(k.GetObject(ctx, of, namespace, name))
}

// Update is part of resource.Keeper.
func (k keeper) Update(ctx context.Context, namespace, kind, name string, object []byte) ([]byte, error) {
	of, err := keptKind(kind)
	if err != nil {
		return nil, err
	}
	return encoded(k.UpdateObject(ctx, of, namespace, name, object))
}

// Delete is part of resource.Keeper.
func (k keeper) Delete(ctx context.Context, namespace, kind, name string) error {
	if kind == spec.KindWorkflow {
		return statusError(k.Service.Delete(ctx, namespace, name, false))
	}
	of, err := keptKind(kind)
	if err != nil {
		return err
	}
	return statusError(k.DeleteObject(ctx, of, namespace, name))
}

func keptKind(kind string) (server.ObjectKind, error) {
	of, ok := server.Kind(kind)
	if !ok {
		return of, fmt.Errorf("the server keeps no %s", kind)
	}
	return of, nil
}

// encoded is an answer as JSON.
func encoded[T any](answer T, err error) ([]byte, error) {
	if err != nil {
		return nil, statusError(err)
	}
	data, err := json.Marshal(answer)
	if err != nil {
		return nil, fmt.Errorf("encoding an object: %w", err)
	}
	return data, nil
}

// statusError gives the server's answers the form that an API server's have.
func statusError(err error) error {
	var e *server.Error
	if !errors.As(err, &e) {
		return err
	}
	reason, ok := map[server.Code]metav1.StatusReason{
		server.CodeInvalid: metav1.StatusReasonInvalid, server.CodePrecondition: metav1.StatusReasonInvalid,
		server.CodeNotFound: metav1.StatusReasonNotFound, server.CodeExists: metav1.StatusReasonAlreadyExists,
		server.CodeForbidden: metav1.StatusReasonForbidden, server.CodeExhausted: metav1.StatusReasonTooManyRequests,
		server.CodeUnavailable: metav1.StatusReasonServiceUnavailable,
	}[e.Code]
	if !ok {
		return err
	}
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: int32(e.Code.HTTP()), Reason: reason, Message: e.Message, //nolint:gosec // an HTTP status
	}}
}

// ownService is a server's service for a worker that is on its own.
func (r *role) ownService(defaults defaultsFlag) (service, error) {
	// Its metrics are a server's, and there is none here.
	quiet := *r
	quiet.registry = prometheus.NewRegistry()
	return (&serverFlags{defaultsFlag: defaults}).service(&quiet)
}
