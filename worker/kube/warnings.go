package kube

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// eventPatience is how long somebody waits until the events that there are are known.
const eventPatience = 5 * time.Second

// warnings are the events that tell of trouble with Jobs and pods. The API server has no index of
// events: to tell those of one pod it reads all of the namespace. So they are listed once, when
// somebody asks for the first time, and watched from then on.
//
//	idle --about--> listing --done--> watching (until the executor's end)
//	                   ^--failed, which all who wait are told
type warnings struct {
	informer cache.SharedIndexInformer
	run      func() // set by begin

	mu     sync.Mutex
	err    error         // why the last try to list failed
	failed chan struct{} // closed when it did
}

const byObject = "object"

func newWarnings(client kubernetes.Interface, namespace string) (*warnings, error) {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector("type", corev1.EventTypeWarning).String()
		}),
		informers.WithTransform(trimEvent),
	)
	w := &warnings{informer: factory.Core().V1().Events().Informer(), failed: make(chan struct{})}
	err := w.informer.AddIndexers(cache.Indexers{byObject: func(o any) ([]string, error) {
		e, ok := o.(*corev1.Event)
		if !ok {
			return nil, nil
		}
		return []string{string(e.InvolvedObject.UID)}, nil
	}})
	if err == nil {
		err = w.informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) { w.fail(err) })
	}
	if err != nil {
		return nil, fmt.Errorf("setting up the watch of events: %w", err)
	}
	return w, nil
}

// trimEvent keeps what is read here.
func trimEvent(o any) (any, error) {
	e, ok := o.(*corev1.Event)
	if !ok {
		return o, nil
	}
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: e.Name, Namespace: e.Namespace, UID: e.UID, ResourceVersion: e.ResourceVersion},
		InvolvedObject: corev1.ObjectReference{UID: e.InvolvedObject.UID},
		Reason:         e.Reason, Message: e.Message, Count: e.Count, LastTimestamp: e.LastTimestamp, EventTime: e.EventTime,
	}, nil
}

// begin says how long events may be watched. Nothing is asked for yet.
func (w *warnings) begin(ctx context.Context) {
	w.run = sync.OnceFunc(func() { go w.informer.RunWithContext(ctx) })
}

func (w *warnings) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		close(w.failed)
	}
	w.err = err
}

// failure returns why the last list failed, or a channel that is closed when one does.
func (w *warnings) failure() (<-chan struct{}, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed, w.err
}

// about returns the warnings about a Job or pod, the last one last.
func (w *warnings) about(ctx context.Context, uid types.UID) ([]*corev1.Event, error) {
	w.run()
	if !w.informer.HasSynced() {
		failed, _ := w.failure()
		patience := time.NewTimer(eventPatience)
		defer patience.Stop()
		select {
		case <-w.informer.HasSyncedChecker().Done():
		case <-failed:
		case <-patience.C:
		case <-ctx.Done():
		}
		if _, err := w.failure(); !w.informer.HasSynced() {
			return nil, fmt.Errorf("listing events: %w", cmp.Or(context.Cause(ctx), err, context.DeadlineExceeded))
		}
	}
	found, err := w.informer.GetIndexer().ByIndex(byObject, string(uid))
	if err != nil {
		return nil, fmt.Errorf("looking events up: %w", err) // there is no such index: not after newWarnings
	}
	var events []*corev1.Event
	for _, o := range found {
		if e, ok := o.(*corev1.Event); ok {
			events = append(events, e)
		}
	}
	slices.SortFunc(events, func(a, b *corev1.Event) int { return cmp.Compare(eventTime(a), eventTime(b)) })
	return events, nil
}

func eventTime(e *corev1.Event) int64 {
	return max(e.LastTimestamp.UnixMicro(), e.EventTime.UnixMicro())
}
