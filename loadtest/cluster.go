package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// cluster is a namespace of its own on Kubernetes, and what is seen of its pods.
type cluster struct {
	client     kubernetes.Interface
	kubeconfig string

	mu      sync.Mutex
	present map[types.UID]bool // those that exist; true when it has been counted
	ended   int                // pods that were seen to succeed
	failed  string             // one that did not
	changed chan struct{}      // closed with the next change
}

// withCluster measures in a namespace of its own, which is removed afterwards.
func withCluster(ctx context.Context, measure func(*cluster) error) (err error) {
	kubeconfig := os.Getenv("KUBECONFIG")
	if kubeconfig == "" {
		return errors.New("there is no cluster: run `make cluster-up` and `eval \"$(bin/devcluster env)\"`")
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("reading %s: %w", kubeconfig, err)
	}
	config.QPS = -1 // a bare Job does not wait for its own client
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf+","+runtime.ContentTypeJSON
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("reaching the cluster: %w", err)
	}
	c := &cluster{client: client, kubeconfig: kubeconfig, present: map[types.UID]bool{}, changed: make(chan struct{})}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	err = wait.PollUntilContextTimeout(ctx, time.Second, 2*time.Minute, true, func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) { // an earlier row's is still being removed
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("making namespace %s: %w", namespace, err)
	}
	defer func() {
		err = errors.Join(err, client.CoreV1().Namespaces().Delete(context.WithoutCancel(ctx), namespace, metav1.DeleteOptions{}))
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := c.watch(ctx); err != nil {
		return err
	}
	return measure(c)
}

// watch counts the ends of pods as they are seen.
func (c *cluster) watch(ctx context.Context) error {
	factory := informers.NewSharedInformerFactoryWithOptions(c.client, 0, informers.WithNamespace(namespace))
	pods := factory.Core().V1().Pods().Informer()
	_, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { c.saw(o.(*corev1.Pod)) },
		UpdateFunc: func(_, o any) { c.saw(o.(*corev1.Pod)) },
		DeleteFunc: func(o any) {
			if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = gone.Obj
			}
			c.lost(o.(*corev1.Pod))
		},
	})
	if err != nil {
		return fmt.Errorf("watching pods: %w", err)
	}
	factory.StartWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), pods.HasSynced) {
		return fmt.Errorf("watching pods: %w", context.Cause(ctx))
	}
	return nil
}

func (c *cluster) saw(p *corev1.Pod) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch p.Status.Phase {
	case corev1.PodSucceeded:
		if !c.present[p.UID] {
			c.ended++
		}
		c.present[p.UID] = true
	case corev1.PodFailed:
		c.failed = p.Name + ": " + p.Status.Message
	default:
		c.present[p.UID] = false
	}
	c.change()
}

func (c *cluster) lost(p *corev1.Pod) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.present, p.UID)
	c.change()
}

func (c *cluster) change() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// await waits until what is seen is enough, long enough for a thousand pods on a slow day.
func (c *cluster) await(ctx context.Context, enough func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for {
		c.mu.Lock()
		done, failed, changed := enough(), c.failed, c.changed
		c.mu.Unlock()
		switch {
		case failed != "":
			return fmt.Errorf("pod %s", failed)
		case done:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for pods: %w", ctx.Err())
		}
	}
}

// toPodsEnd takes the time from a start until n more pods have been seen to end.
func (c *cluster) toPodsEnd(ctx context.Context, n int, start func() error) (time.Duration, error) {
	c.mu.Lock()
	before := c.ended
	c.mu.Unlock()
	from := time.Now()
	if err := start(); err != nil {
		return 0, err
	}
	err := c.await(ctx, func() bool { return c.ended >= before+n })
	return time.Since(from), err
}

// clear removes all Jobs and waits until their pods are gone, so that the next ones have the node.
func (c *cluster) clear(ctx context.Context) error {
	background := metav1.DeletePropagationBackground
	err := c.client.BatchV1().Jobs(namespace).DeleteCollection(ctx, metav1.DeleteOptions{PropagationPolicy: &background}, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("removing Jobs: %w", err)
	}
	return c.await(ctx, func() bool { return len(c.present) == 0 })
}
