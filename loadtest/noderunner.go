package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/yaml"
)

// nodeRunnerFile is what installs the runner of steps on every node, into nodeRunnerDir here.
const (
	nodeRunnerFile = "deploy/node-runner/daemonset.yaml"
	nodeRunnerDir  = "/var/lib/argosy-loadtest"
)

// withNodeRunner measures with the runner installed on every node, and a fleet that uses it. What it
// left there is removed where the node is this machine.
func (c *cluster) withNodeRunner(ctx context.Context, b bench, measure func(*fleet) error) (err error) {
	text, err := os.ReadFile(nodeRunnerFile)
	if err != nil {
		return fmt.Errorf("reading the node runner: %w", err)
	}
	first, second, _ := bytes.Cut(text, []byte("\n---\n"))
	var ns corev1.Namespace
	var set appsv1.DaemonSet
	if err := errors.Join(yaml.UnmarshalStrict(first, &ns), yaml.UnmarshalStrict(second, &set)); err != nil {
		return fmt.Errorf("reading %s: %w", nodeRunnerFile, err)
	}
	ns.Name = namespace + "-nodes"
	pod := &set.Spec.Template.Spec
	if image := os.Getenv("ARGOSY_RUNNER_IMAGE"); image != "" {
		pod.Containers[0].Image = image
	}
	pod.Volumes[0].HostPath.Path = nodeRunnerDir
	if _, err := c.client.CoreV1().Namespaces().Create(ctx, &ns, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("making namespace %s: %w", ns.Name, err)
	}
	defer func() {
		gone := c.client.CoreV1().Namespaces().Delete(context.WithoutCancel(ctx), ns.Name, metav1.DeleteOptions{})
		err = errors.Join(err, gone, os.RemoveAll(nodeRunnerDir))
	}()
	sets := c.client.AppsV1().DaemonSets(ns.Name)
	set.Namespace = ns.Name
	if _, err := sets.Create(ctx, &set, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("making the node runner: %w", err)
	}
	err = wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, 2*time.Minute, true, func(ctx context.Context) (bool, error) {
		now, err := sets.Get(ctx, set.Name, metav1.GetOptions{})
		return err == nil && now.Status.DesiredNumberScheduled > 0 && now.Status.NumberReady == now.Status.DesiredNumberScheduled, err
	})
	if err != nil {
		return fmt.Errorf("waiting for the node runner: %w", err)
	}
	sh, err := onCluster(c.kubeconfig, podsAtOnce)
	if err != nil {
		return err
	}
	sh.worker = append(sh.worker, "--install", ns.Name, "--node-runner", nodeRunnerDir)
	return withFleet(ctx, b, sh, measure)
}
