package spec

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// account checks that the executor has a token: its own, where the pod is to have none.
func (v *validator) account(t *Template, path, where string) {
	if !t.IsPodType() {
		return
	}
	mount, executor := t.AutomountServiceAccountToken, t.Executor
	if mount == nil {
		mount = v.spec.AutomountServiceAccountToken
	}
	if executor == nil {
		executor = v.spec.Executor
	}
	if mount != nil && !*mount && (executor == nil || executor.ServiceAccountName == "") {
		v.warn(path, "%s.executor.serviceAccountName must not be empty if automountServiceAccountToken is false", where)
	}
}

// containers checks what a template adds to its pod.
func (v *validator) containers(t *Template, path, where string) {
	seen := map[string]bool{}
	for _, list := range []struct {
		name string
		of   []UserContainer
	}{{"initContainers", t.InitContainers}, {"sidecars", t.Sidecars}} {
		for i := range list.of {
			name, at := list.of[i].Name, fmt.Sprintf("%s.%s[%d]", path, list.name, i)
			switch {
			case name == "":
				v.fail(at, "%s.%s must all have a container name", where, list.name)
			case seen[name] || name == "main" || name == "wait" || name == "init":
				v.fail(at+".name", "%s.%s container name '%s' is taken", where, list.name, name)
			}
			seen[name] = true
		}
	}
	var mounts []corev1.VolumeMount
	kind := "container"
	switch {
	case t.Container != nil:
		mounts = t.Container.VolumeMounts
	case t.Script != nil:
		mounts, kind = t.Script.VolumeMounts, "script"
	case t.ContainerSet != nil:
		mounts, kind = t.ContainerSet.VolumeMounts, "containerSet"
	default:
		return
	}
	v.mounts(t, mounts, kind, path, where)
}

// mounts checks that nothing is put where something else is already. An output may be where
// an input or a volume is.
func (v *validator) mounts(t *Template, mounts []corev1.VolumeMount, kind, path, where string) {
	at := map[string]string{}
	for i, m := range mounts {
		if other, taken := at[m.MountPath]; taken {
			v.fail(fmt.Sprintf("%s.%s.volumeMounts[%d].mountPath", path, kind, i),
				"%s.%s.volumeMounts[%d].mountPath '%s' already mounted in %s", where, kind, i, m.MountPath, other)
		}
		at[m.MountPath] = kind + ".volumeMounts." + m.Name
	}
	for i := range t.Inputs.Artifacts {
		a := &t.Inputs.Artifacts[i]
		if other, taken := at[a.Path]; taken && a.Path != "" {
			v.fail(fmt.Sprintf("%s.inputs.artifacts[%d].path", path, i),
				"%s.inputs.artifacts[%d].path '%s' already mounted in %s", where, i, a.Path, other)
		}
		at[a.Path] = "inputs.artifacts." + a.Name
	}
}

// manifest checks where a resource template gets its object.
func (v *validator) manifest(t *Template, path, where string) {
	r := t.Resource
	if from := r.ManifestFrom; from != nil {
		switch {
		case r.Manifest != "":
			v.fail(path, "%s.resource shouldn't have both `manifest` and `manifestFrom`", where)
		case from.Artifact == nil:
			v.fail(path+".manifestFrom", "%s.resource.manifestFrom names no artifact", where)
		case t.Inputs.GetArtifactByName(from.Artifact.Name) == nil:
			v.fail(path+".manifestFrom", "%s.resource: artifact %s in `manifestFrom` refer to a non-exist artifact of the inputs", where, from.Artifact.Name)
		}
	}
	if r.Manifest == "" && r.ManifestFrom == nil && r.Action != "get" && r.Action != "delete" && r.Action != "" {
		v.fail(path, "either %s.resource.manifest or %s.resource.manifestFrom must be specified", where, where)
	}
	if r.Manifest == "" || strings.Contains(r.Manifest, "{{") {
		return
	}
	var object any // of a JSON patch it is a list
	if err := yaml.Unmarshal([]byte(r.Manifest), &object); err != nil {
		v.fail(path+".manifest", "%s.resource.manifest must be a valid yaml: %s", where, strings.TrimPrefix(err.Error(), "yaml: "))
	}
}

// collection checks what is said of cleaning up after a run.
func (v *validator) collection() {
	if gc := v.spec.PodGC; gc != nil {
		switch gc.Strategy {
		case PodGCOnPodNone, PodGCOnPodCompletion, PodGCOnPodSuccess, PodGCOnWorkflowCompletion, PodGCOnWorkflowSuccess:
		default:
			v.fail(v.at+".podGC.strategy", "podGC.strategy unknown strategy '%s'", gc.Strategy).
				Hint = "use OnPodCompletion, OnPodSuccess, OnWorkflowCompletion or OnWorkflowSuccess"
		}
		if _, err := metav1.LabelSelectorAsSelector(gc.LabelSelector); err != nil {
			v.fail(v.at+".podGC.labelSelector", "podGC.labelSelector invalid: %s", err)
		}
		if gc.DeleteDelayDuration != "" && !isDuration(gc.DeleteDelayDuration, true) {
			v.fail(v.at+".podGC.deleteDelayDuration", "podGC.deleteDelayDuration '%s' is not a duration", gc.DeleteDelayDuration)
		}
	}
	if gc := v.spec.VolumeClaimGC; gc != nil {
		switch gc.Strategy {
		case "", VolumeClaimGCOnCompletion, VolumeClaimGCOnSuccess:
		default:
			v.fail(v.at+".volumeClaimGC.strategy", "volumeClaimGC.strategy unknown strategy '%s'", gc.Strategy).
				Hint = "use OnWorkflowCompletion or OnWorkflowSuccess"
		}
	}
	if gc := v.spec.ArtifactGC; gc != nil {
		v.artifactGC(&gc.ArtifactGC, v.at+".artifactGC")
	}
}

func (v *validator) artifactGC(gc *ArtifactGC, path string) {
	if gc == nil {
		return
	}
	switch gc.Strategy {
	case ArtifactGCStrategyUndefined, ArtifactGCNever, ArtifactGCOnWorkflowCompletion, ArtifactGCOnWorkflowDeletion:
	default:
		v.fail(path+".strategy", "artifactGC.strategy unknown strategy '%s'", gc.Strategy).
			Hint = "use OnWorkflowCompletion, OnWorkflowDeletion or Never"
	}
}
