package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"argosy/worker"
	"argosy/workflow/spec"
)

// A run's volumeClaimTemplates become claims when the first of its steps mounts them. They are
// labelled with whose they are, and swept when their run needs them no more.
const (
	labelOwner        = "argosy.dev/owner"           // Config.Owner
	annotationClaimGC = "argosy.dev/volume-claim-gc" // when the claim goes
)

// claimName is the name of a run's claim, which is Argo's.
func claimName(s *worker.Step, template string) string { return s.Run.Name + "-" + template }

// mounted are the volumes that the step's containers mount.
func mounted(s *worker.Step) map[string]bool {
	names := map[string]bool{}
	add := func(mounts []corev1.VolumeMount, devices []corev1.VolumeDevice) {
		for i := range mounts {
			names[mounts[i].Name] = true
		}
		for i := range devices {
			names[devices[i].Name] = true
		}
	}
	for _, c := range containersOf(s.Template) {
		add(c.VolumeMounts, c.VolumeDevices)
	}
	for _, list := range [][]spec.UserContainer{s.Template.InitContainers, s.Template.Sidecars} {
		for i := range list {
			add(list[i].VolumeMounts, list[i].VolumeDevices)
		}
	}
	return names
}

// claimsOf are the volumeClaimTemplates that the step mounts.
func claimsOf(s *worker.Step) []*corev1.PersistentVolumeClaim {
	if len(s.Spec.VolumeClaimTemplates) == 0 {
		return nil
	}
	var out []*corev1.PersistentVolumeClaim
	mounts := mounted(s)
	for i := range s.Spec.VolumeClaimTemplates {
		if c := &s.Spec.VolumeClaimTemplates[i]; mounts[c.Name] {
			out = append(out, c)
		}
	}
	return out
}

// claimVolumes are the pod's volumes for them.
func claimVolumes(s *worker.Step) []corev1.Volume {
	var out []corev1.Volume
	for _, c := range claimsOf(s) {
		out = append(out, corev1.Volume{Name: c.Name, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claimName(s, c.Name)},
		}})
	}
	return out
}

// provideClaims makes the claims that the step mounts, unless they are there.
func (e *Executor) provideClaims(ctx context.Context, s *worker.Step) error {
	for _, template := range claimsOf(s) {
		if err := e.provideClaim(ctx, s, template); err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("starting the step: %w", context.Cause(ctx))
			}
			if fault, ok := errors.AsType[*worker.Fault](err); ok {
				return fault
			}
			return worker.Faultf(worker.ClassExecutor, "pvc create error: %w", err)
		}
	}
	return nil
}

func (e *Executor) provideClaim(ctx context.Context, s *worker.Step, template *corev1.PersistentVolumeClaim) error {
	name := types.NamespacedName{Namespace: s.Run.Namespace, Name: claimName(s, template.Name)}
	claims := e.client.CoreV1().PersistentVolumeClaims(name.Namespace)
	return e.patiently(ctx, func() error {
		there, err := claims.Get(ctx, name.Name, metav1.GetOptions{})
		if err == nil && there.Labels[labelRun] != s.Run.ID {
			return worker.Faultf(worker.ClassExecutor, "pvc create error: there is a claim %s that belongs to something else", name)
		}
		if err == nil && there.DeletionTimestamp != nil { // swept, and its run was taken up again
			return errLeaving
		}
		if !apierrors.IsNotFound(err) {
			return err
		}
		_, err = claims.Create(ctx, e.claim(s, name, template), metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			err = errLeaving // another step's worker was faster: look whose it is
		}
		return err
	})
}

func (e *Executor) claim(s *worker.Step, name types.NamespacedName, template *corev1.PersistentVolumeClaim) *corev1.PersistentVolumeClaim {
	c := template.DeepCopy()
	c.Name, c.Namespace, c.ResourceVersion, c.UID = name.Name, name.Namespace, "", ""
	c.Status = corev1.PersistentVolumeClaimStatus{}
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	if c.Annotations == nil {
		c.Annotations = map[string]string{}
	}
	c.Labels[labelManaged], c.Labels[labelOwner], c.Labels[labelRun] = e.cfg.Install, e.cfg.Owner, s.Run.ID
	strategy := spec.VolumeClaimGCOnSuccess
	if gc := s.Spec.VolumeClaimGC; gc != nil && gc.Strategy != "" {
		strategy = gc.Strategy
	}
	c.Annotations[annotationClaimGC] = string(strategy)
	return c
}

// SweepVolumes removes the claims of runs that need them no more. phase is how a run ended, ""
// if it goes on; gone says that it is not there.
func (e *Executor) SweepVolumes(ctx context.Context, phase func(ctx context.Context, run string) (p spec.WorkflowPhase, gone bool, err error)) error {
	list, err := e.client.CoreV1().PersistentVolumeClaims(e.cfg.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labelOwner + "=" + e.cfg.Owner})
	if err != nil {
		return fmt.Errorf("looking for claims: %w", err)
	}
	var errs []error
	for i := range list.Items {
		c := &list.Items[i]
		if c.DeletionTimestamp != nil {
			continue
		}
		p, gone, err := phase(ctx, c.Labels[labelRun])
		if err != nil {
			return fmt.Errorf("looking at run %s, which has claims: %w", c.Labels[labelRun], err)
		}
		always := c.Annotations[annotationClaimGC] == string(spec.VolumeClaimGCOnCompletion)
		if !gone && p != spec.WorkflowSucceeded && (p == "" || !always) {
			continue
		}
		err = e.removeHolders(ctx, c)
		if err != nil {
			errs = append(errs, err)
		}
		err = e.client.CoreV1().PersistentVolumeClaims(c.Namespace).Delete(ctx, c.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(c.UID))})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			errs = append(errs, fmt.Errorf("removing claim %s: %w", c.Name, err))
		}
	}
	return errors.Join(errs...)
}

// removeHolders removes the Jobs that mount a claim: as long as their pods are there, ended or
// not, Kubernetes keeps the claim. Their run has ended, and all that they had to tell is read.
func (e *Executor) removeHolders(ctx context.Context, c *corev1.PersistentVolumeClaim) error {
	for _, obj := range e.hub.jobs.GetStore().List() {
		job, ok := obj.(*batchv1.Job)
		if !ok || job.Namespace != c.Namespace || job.Labels[labelRun] != c.Labels[labelRun] || !mountsClaim(&job.Spec.Template.Spec, c.Name) {
			continue
		}
		err := e.client.BatchV1().Jobs(job.Namespace).Delete(ctx, job.Name, metav1.DeleteOptions{
			PropagationPolicy: new(metav1.DeletePropagationBackground), Preconditions: metav1.NewUIDPreconditions(string(job.UID)),
		})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return fmt.Errorf("removing a Job that holds claim %s: %w", c.Name, err)
		}
	}
	return nil
}

func mountsClaim(pod *corev1.PodSpec, name string) bool {
	return slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool {
		return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == name
	})
}
