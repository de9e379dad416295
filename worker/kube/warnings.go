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
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/pager"
)

const (
	// eventPatience is how long one list of events may take.
	eventPatience = 5 * time.Second
	// eventPage is how many of them the API server is asked for at a time.
	eventPage = 500
)

// warnings are the events that tell of trouble with Jobs and pods. The API server has no index of
// events: to tell those of one pod it reads all of the namespace. So those who ask in the same
// seconds share a list: of each namespace, one is under way at most.
//
//	known --asked for younger ones--> listing --they came, or did not--> known
//	                                     ^ who asks meanwhile waits, and looks again
type warnings struct {
	client kubernetes.Interface

	mu sync.Mutex
	in map[string]*knownWarnings
}

// knownWarnings are those of one namespace as they were last listed.
type knownWarnings struct {
	turn  chan struct{} // whoever has put a value into it may list, and touch what follows
	began time.Time     // when the list was asked for
	of    map[types.UID][]corev1.Event
	err   error
}

func newWarnings(client kubernetes.Interface) *warnings {
	return &warnings{client: client, in: map[string]*knownWarnings{}}
}

// about returns the warnings about an object that were there at a time or later, the last one last.
func (w *warnings) about(ctx context.Context, namespace string, uid types.UID, asOf time.Time) ([]corev1.Event, error) {
	w.mu.Lock()
	k := w.in[namespace]
	if k == nil {
		k = &knownWarnings{turn: make(chan struct{}, 1)}
		w.in[namespace] = k
	}
	w.mu.Unlock()
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for a list of events: %w", context.Cause(ctx))
	}
	if k.began.Before(asOf) {
		began := time.Now()
		of, err := w.list(ctx, namespace)
		if ctx.Err() != nil {
			return nil, err // says nothing to others
		}
		k.began, k.of, k.err = began, of, err
	}
	return k.of[uid], k.err
}

func (w *warnings) list(ctx context.Context, namespace string) (map[types.UID][]corev1.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, eventPatience)
	defer cancel()
	of := map[types.UID][]corev1.Event{}
	pages := pager.New(pager.SimplePageFunc(func(o metav1.ListOptions) (runtime.Object, error) {
		return w.client.CoreV1().Events(namespace).List(ctx, o)
	}))
	pages.PageSize = eventPage
	err := pages.EachListItem(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("type", corev1.EventTypeWarning).String(),
	}, func(o runtime.Object) error {
		if e, ok := o.(*corev1.Event); ok {
			uid := e.InvolvedObject.UID
			of[uid] = append(of[uid], corev1.Event{Reason: e.Reason, Message: e.Message, Count: e.Count, LastTimestamp: e.LastTimestamp, EventTime: e.EventTime})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing events: %w", err)
	}
	for _, events := range of {
		slices.SortStableFunc(events, func(a, b corev1.Event) int { return cmp.Compare(eventTime(&a), eventTime(&b)) })
	}
	return of, nil
}

func eventTime(e *corev1.Event) int64 {
	return max(e.LastTimestamp.UnixMicro(), e.EventTime.UnixMicro())
}
