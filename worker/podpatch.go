package worker

import (
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/yaml"

	"argosy/workflow/spec"
)

// MainContainer is the name of the user's container, which podSpecPatch knows it by.
const MainContainer = "main"

// argoContainers are Argo's own, which a patch may size. No pod of ours has them.
var argoContainers = []string{"wait", "init"}

// Patched returns the step with its podSpecPatches applied to a pod: first the workflow's, then
// the template's, each a strategic merge in YAML or JSON. The pod has a container named main,
// which is the template's, before anything is wrapped around its command.
func Patched(s *Step, pod *corev1.PodSpec) (*Step, error) {
	if err := PatchPod(s, pod); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(pod.Containers, func(c corev1.Container) bool { return c.Name == MainContainer })
	if i < 0 {
		return nil, fmt.Errorf("applying podSpecPatch: it removes the container %q", MainContainer)
	}
	return s.withContainer(&pod.Containers[i]), nil
}

// PatchPod applies the step's podSpecPatches to a pod, whatever containers it has.
func PatchPod(s *Step, pod *corev1.PodSpec) error {
	var patches []string
	if s.Spec != nil && s.Spec.PodSpecPatch != "" {
		patches = append(patches, s.Spec.PodSpecPatch)
	}
	if s.Template.PodSpecPatch != "" {
		patches = append(patches, s.Template.PodSpecPatch)
	}
	if len(patches) == 0 {
		return nil
	}
	had := slices.Concat(pod.InitContainers, pod.Containers)
	for _, text := range patches {
		if err := patch(pod, text); err != nil {
			return fmt.Errorf("applying podSpecPatch: %w", err)
		}
	}
	foreign := func(c corev1.Container) bool {
		return c.Image == "" && slices.Contains(argoContainers, c.Name) &&
			!slices.ContainsFunc(had, func(h corev1.Container) bool { return h.Name == c.Name })
	}
	pod.Containers = slices.DeleteFunc(pod.Containers, foreign)
	pod.InitContainers = slices.DeleteFunc(pod.InitContainers, foreign)
	return nil
}

func patch(pod *corev1.PodSpec, text string) error {
	change, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return fmt.Errorf("%q is neither YAML nor JSON: %w", text, err)
	}
	before, err := json.Marshal(pod)
	if err != nil {
		return fmt.Errorf("encoding the pod: %w", err)
	}
	after, err := strategicpatch.StrategicMergePatch(before, change, corev1.PodSpec{})
	if err != nil {
		return fmt.Errorf("merging %q: %w", text, err)
	}
	patched := corev1.PodSpec{}
	if err := json.Unmarshal(after, &patched); err != nil {
		return fmt.Errorf("the pod cannot have what %q sets: %w", text, err)
	}
	*pod = patched
	return nil
}

// Container is the container of a template that has one; nil: it has none.
func Container(t *spec.Template) *corev1.Container {
	switch {
	case t.Container != nil:
		return t.Container
	case t.Script != nil:
		return &t.Script.Container
	}
	return nil
}

// withContainer is the step with another container in its template.
func (s *Step) withContainer(c *corev1.Container) *Step {
	step, tmpl := *s, *s.Template
	if tmpl.Container != nil {
		tmpl.Container = c
	} else {
		script := *tmpl.Script
		script.Container, tmpl.Script = *c, &script
	}
	step.Template = &tmpl
	return &step
}
