package autoscale

import (
	"context"
	"fmt"
	"log/slog"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"
)

// Kube scales a Deployment through its /scale subresource, which is all the
// right over it that it needs.
type Kube struct {
	client     kubernetes.Interface
	namespace  string
	deployment string
	log        *slog.Logger
	warned     bool
}

// NewKube scales the Deployment of that name.
func NewKube(client kubernetes.Interface, namespace, deployment string, log *slog.Logger) *Kube {
	return &Kube{client: client, namespace: namespace, deployment: deployment, log: log}
}

// Replicas implements Scaler: the number asked for, not the number that runs,
// so that workers on their way are not asked for twice.
func (k *Kube) Replicas(ctx context.Context) (int, error) {
	scale, err := k.client.AppsV1().Deployments(k.namespace).GetScale(ctx, k.deployment, metav1.GetOptions{})
	if err != nil {
		return 0, fmt.Errorf("reading the scale of %s/%s: %w", k.namespace, k.deployment, err)
	}
	return int(scale.Spec.Replicas), nil
}

// Scale implements Scaler.
func (k *Kube) Scale(ctx context.Context, replicas int) error {
	if err := k.alone(ctx); err != nil {
		return err
	}
	deployments := k.client.AppsV1().Deployments(k.namespace)
	// The resource version that was read goes back with the update: whoever
	// wrote in between makes it a conflict.
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		scale, err := deployments.GetScale(ctx, k.deployment, metav1.GetOptions{})
		if err != nil || int(scale.Spec.Replicas) == replicas {
			return err
		}
		scale.Spec.Replicas = int32(replicas)
		_, err = deployments.UpdateScale(ctx, k.deployment, scale, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("scaling %s/%s to %d: %w", k.namespace, k.deployment, replicas, err)
	}
	return nil
}

// alone refuses to pull at a Deployment that an HPA pulls at too (KEDA makes
// one as well). Without the right to look, it says so once and goes on.
func (k *Kube) alone(ctx context.Context) error {
	hpas, err := k.client.AutoscalingV2().HorizontalPodAutoscalers(k.namespace).List(ctx, metav1.ListOptions{})
	switch {
	case apierrors.IsForbidden(err):
		if !k.warned {
			k.warned = true
			k.log.WarnContext(ctx, "cannot see whether an HPA manages the workers too", slog.Any("error", err))
		}
		return nil
	case err != nil:
		return fmt.Errorf("looking for HPAs in %s: %w", k.namespace, err)
	}
	for _, hpa := range hpas.Items {
		target := hpa.Spec.ScaleTargetRef
		if target.Kind == "Deployment" && target.Name == k.deployment {
			return fmt.Errorf("HPA %s/%s: %w", k.namespace, hpa.Name, ErrManaged)
		}
	}
	return nil
}
