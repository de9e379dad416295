package workflow

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// checkStart ends a run that nothing can come of before its first step.
func (t *turn) checkStart() error {
	if err := t.checkArguments(); err != nil {
		return err
	}
	return t.checkClaims()
}

// checkClaims refuses claims as Kubernetes would. They are made for the first step that mounts them,
// which is too late to tell: in Argo they come before all steps, and a run without them is an Error.
func (t *turn) checkClaims() error {
	if len(t.v.Plan.Spec.VolumeClaimTemplates) == 0 {
		return nil
	}
	s, err := t.v.Plan.PodSpec(t.v.Run)
	if err != nil {
		return err
	}
	for i := range s.VolumeClaimTemplates {
		c := &s.VolumeClaimTemplates[i]
		for _, mode := range c.Spec.AccessModes {
			switch mode {
			case corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOnce, corev1.ReadWriteOncePod:
			default:
				return fmt.Errorf("pvc create error: PersistentVolumeClaim %q is invalid: spec.accessModes: Unsupported value: %q: supported values: %q, %q, %q, %q",
					t.v.Run.Name+"-"+c.Name, mode, corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOnce, corev1.ReadWriteOncePod)
			}
		}
	}
	return nil
}
