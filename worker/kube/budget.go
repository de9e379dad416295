package kube

import (
	"context"
	"errors"
	"fmt"

	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"argosy/worker"
)

// A run's podDisruptionBudget is made before the first of its pods, and goes when the run has
// ended. It has the run's name, as in Argo.

// provideBudget makes the run's podDisruptionBudget, unless it is there.
func (e *Executor) provideBudget(ctx context.Context, s *worker.Step) error {
	want := s.Spec.PodDisruptionBudget
	if want == nil {
		return nil
	}
	if _, there := e.budgets.Load(s.Run.ID); there {
		return nil
	}
	budget := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{
			Name: s.Run.Name, Namespace: s.Run.Namespace,
			Labels: map[string]string{labelManaged: e.cfg.Install, labelOwner: e.cfg.Owner, labelRun: s.Run.ID},
		},
		Spec: *want.DeepCopy(),
	}
	if budget.Spec.Selector == nil {
		budget.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{labelRun: s.Run.ID}}
	}
	err := e.patiently(ctx, func() error {
		_, err := e.client.PolicyV1().PodDisruptionBudgets(s.Run.Namespace).Create(ctx, budget, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) { // another step's worker was faster
			return nil
		}
		return err
	})
	switch {
	case err == nil:
		e.budgets.Store(s.Run.ID, true)
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("starting the step: %w", context.Cause(ctx))
	}
	return worker.Faultf(worker.ClassExecutor, "unable to create PDB resource for workflow %s: %w", s.Run.Name, err)
}

// SweepBudgets removes the podDisruptionBudgets of runs that have ended.
func (e *Executor) SweepBudgets(ctx context.Context, stands Stands) error {
	list, err := e.client.PolicyV1().PodDisruptionBudgets(e.cfg.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labelOwner + "=" + e.cfg.Owner})
	if err != nil {
		return fmt.Errorf("looking for podDisruptionBudgets: %w", err)
	}
	var errs []error
	for i := range list.Items {
		b := &list.Items[i]
		run := b.Labels[labelRun]
		s, err := stands(ctx, run, nil)
		if err != nil {
			return fmt.Errorf("looking at run %s, which has a podDisruptionBudget: %w", run, err)
		}
		if !s.over() {
			continue
		}
		err = e.client.PolicyV1().PodDisruptionBudgets(b.Namespace).Delete(ctx, b.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(b.UID))})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			errs = append(errs, fmt.Errorf("removing podDisruptionBudget %s: %w", b.Name, err))
			continue
		}
		e.budgets.Delete(run) // the run may be taken up again
	}
	return errors.Join(errs...)
}
