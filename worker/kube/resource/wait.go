package resource

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
)

// watchTime is how long a watch goes on before the object is looked at again in any case.
const watchTime = 5 * time.Minute

// wait follows the object until the conditions decide, and returns it as it was then.
func (a *action) wait(ctx context.Context, on *target, object *unstructured.Unstructured, until *conditions) (*unstructured.Unstructured, error) {
	name, uid := object.GetName(), object.GetUID()
	for {
		if done, err := a.decided(object, until); done || err != nil {
			return object, err
		}
		if err := a.changed(ctx, on, &object, until); err != nil {
			return nil, err
		}
		var now *unstructured.Unstructured
		err := a.retry(ctx, func() (err error) {
			now, err = on.Get(ctx, name, metav1.GetOptions{})
			return err
		})
		switch {
		case apierrors.IsNotFound(err):
			return nil, deleted(err)
		case err != nil:
			return nil, err
		case now.GetUID() != uid:
			return nil, deleted(apierrors.NewNotFound(on.resource, name))
		}
		object = now
	}
}

func deleted(err error) error {
	return refusef("The resource has been deleted while its status was still being checked. Will not be retried: %w", err)
}

func (a *action) decided(object *unstructured.Unstructured, until *conditions) (bool, error) {
	data, err := object.MarshalJSON()
	if err != nil {
		return false, fmt.Errorf("encoding the object: %w", err)
	}
	done, err := until.hold(data)
	if done {
		a.log(object, "condition met")
	}
	return done, err
}

// changed returns when the object is worth another look: a watch has shown it decided or gone,
// has ended, or, where there is none to be had, a while has passed.
func (a *action) changed(ctx context.Context, on *target, object **unstructured.Unstructured, until *conditions) error {
	watching, err := on.Watch(ctx, metav1.ListOptions{
		FieldSelector:   fields.OneTermEqualSelector(metav1.ObjectNameField, (*object).GetName()).String(),
		ResourceVersion: (*object).GetResourceVersion(),
		TimeoutSeconds:  new(int64(watchTime / time.Second)),
	})
	if err != nil {
		return pause(ctx, a.poll)
	}
	defer watching.Stop()
	began := time.Now()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case event, ok := <-watching.ResultChan():
			now, _ := event.Object.(*unstructured.Unstructured)
			switch {
			case !ok || event.Type == watch.Error:
				if time.Since(began) < a.poll { // a watch that will not last is no better than none
					return pause(ctx, a.poll)
				}
				return nil
			case event.Type == watch.Deleted || now == nil:
				return nil
			}
			data, err := now.MarshalJSON()
			if err != nil {
				return fmt.Errorf("encoding the object: %w", err)
			}
			if done, err := until.hold(data); done || err != nil {
				return nil // the next look decides
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
