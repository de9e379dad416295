package kube

import (
	"context"
	"fmt"
	"sync"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// hub is the worker's view of its Jobs and their pods: one watch of each, whatever the
// number of steps. Who waits for a Job is told that something changed, and looks what.
type hub struct {
	factory informers.SharedInformerFactory
	jobs    cache.SharedIndexInformer
	pods    cache.SharedIndexInformer

	mu    sync.Mutex
	waits map[types.NamespacedName]map[chan struct{}]struct{}
}

const byJob = "job"

func newHub(client kubernetes.Interface, namespace, install string) (*hub, error) {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0,
		informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = labelManaged + "=" + install }),
		informers.WithTransform(trim),
	)
	h := &hub{
		factory: factory,
		jobs:    factory.Batch().V1().Jobs().Informer(),
		pods:    factory.Core().V1().Pods().Informer(),
		waits:   map[types.NamespacedName]map[chan struct{}]struct{}{},
	}
	if err := h.pods.AddIndexers(cache.Indexers{byJob: func(obj any) ([]string, error) {
		return []string{jobOf(obj).String()}, nil
	}}); err != nil {
		return nil, fmt.Errorf("indexing pods: %w", err)
	}
	for _, informer := range []cache.SharedIndexInformer{h.jobs, h.pods} {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    h.notify,
			UpdateFunc: func(_, now any) { h.notify(now) },
			DeleteFunc: h.notify,
		}); err != nil {
			return nil, fmt.Errorf("handling events: %w", err)
		}
	}
	return h, nil
}

// trim drops what nobody here reads.
func trim(obj any) (any, error) {
	if m, err := meta.Accessor(obj); err == nil {
		m.SetManagedFields(nil)
	}
	return obj, nil
}

func (h *hub) start(ctx context.Context) error {
	h.factory.Start(ctx.Done())
	for kind, ok := range h.factory.WaitForCacheSync(ctx.Done()) {
		if !ok {
			return fmt.Errorf("listing %v: %w", kind, context.Cause(ctx))
		}
	}
	return nil
}

// jobOf names the Job that an object is or belongs to.
func jobOf(obj any) types.NamespacedName {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	switch o := obj.(type) {
	case *batchv1.Job:
		return types.NamespacedName{Namespace: o.Namespace, Name: o.Name}
	case *corev1.Pod:
		return types.NamespacedName{Namespace: o.Namespace, Name: o.Labels[batchv1.JobNameLabel]}
	}
	return types.NamespacedName{}
}

func (h *hub) notify(obj any) {
	name := jobOf(obj)
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.waits[name] {
		select {
		case c <- struct{}{}:
		default: // it has not looked since the last time
		}
	}
}

// watch returns a channel that gets a value whenever the Job or its pods may have changed.
func (h *hub) watch(name types.NamespacedName) (changed <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waits[name] == nil {
		h.waits[name] = map[chan struct{}]struct{}{}
	}
	h.waits[name][c] = struct{}{}
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.waits[name], c)
		if len(h.waits[name]) == 0 {
			delete(h.waits, name)
		}
	}
}

// look returns the Job and its pod as last seen; nil for what is not there. Of several pods
// it is the youngest.
func (h *hub) look(name types.NamespacedName) (*batchv1.Job, *corev1.Pod) {
	var job *batchv1.Job
	if obj, ok, _ := h.jobs.GetStore().GetByKey(name.String()); ok {
		job, _ = obj.(*batchv1.Job)
	}
	pods, err := h.pods.GetIndexer().ByIndex(byJob, name.String())
	if err != nil {
		return job, nil // there is no such index: not after newHub
	}
	var pod *corev1.Pod
	for _, obj := range pods {
		if p, ok := obj.(*corev1.Pod); ok && (pod == nil || pod.CreationTimestamp.Before(&p.CreationTimestamp)) {
			pod = p
		}
	}
	return job, pod
}
