package kube

import (
	"encoding/json"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"argosy/worker"
	"argosy/worker/handover"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// A set's containers are those of one pod. Where one waits for another, or is to be tried again,
// or has files to stage, each of them has the runner around its command; they share a directory
// to tell each other how they ended.

// setDir is where the containers of a set tell how they ended.
const (
	setVolume = "argosy-set"
	setDir    = "/var/run/argosy-set"
)

// containersOf are the user's own containers of a template, as its pod has them.
func containersOf(t *spec.Template) []corev1.Container {
	if t.ContainerSet == nil {
		c := worker.Container(t).DeepCopy()
		c.Name = mainContainer
		return []corev1.Container{*c}
	}
	var out []corev1.Container
	for i := range t.ContainerSet.Containers {
		c := t.ContainerSet.Containers[i].Container.DeepCopy()
		c.VolumeMounts = slices.Concat(t.ContainerSet.VolumeMounts, c.VolumeMounts)
		out = append(out, *c)
	}
	return out
}

// setNeedsRunner says that the containers of a set cannot be left to themselves.
func setNeedsRunner(t *spec.Template) bool {
	set := t.ContainerSet
	return set != nil && (set.RetryStrategy != nil ||
		slices.ContainsFunc(set.Containers, func(c spec.ContainerNode) bool { return len(c.Dependencies) > 0 }))
}

// wrapSet puts the runner around each container's command.
func wrapSet(cfg Config, pod *corev1.PodSpec, t *spec.Template, r *runner) error {
	tries, pause, err := worker.SetRetries(t.ContainerSet.RetryStrategy)
	if err != nil {
		return err
	}
	mount := corev1.VolumeMount{Name: setVolume, MountPath: setDir}
	for i := range t.ContainerSet.Containers {
		node := &t.ContainerSet.Containers[i]
		at := slices.IndexFunc(pod.Containers, func(c corev1.Container) bool { return c.Name == node.Name })
		if at < 0 {
			return fmt.Errorf("applying podSpecPatch: it removes the container %q", node.Name)
		}
		place := handover.Set{Name: node.Name, Dir: setDir, After: node.Dependencies, Tries: tries, Pause: pause.Milliseconds()}
		of := &runner{plan: &handover.Plan{}}
		if node.Name == mainContainer {
			of = r
			for k := range t.ContainerSet.Containers {
				if k != i {
					place.Others = append(place.Others, t.ContainerSet.Containers[k].Name)
				}
			}
		}
		text, err := json.Marshal(place)
		if err != nil {
			return fmt.Errorf("encoding the place of container %q: %w", node.Name, err)
		}
		c := &pod.Containers[at]
		if err := wrapContainer(cfg, c, t, of); err != nil {
			return err
		}
		c.Env = append(c.Env, corev1.EnvVar{Name: handover.EnvSet, Value: escapeDollars(string(text))})
		c.VolumeMounts = append(c.VolumeMounts, mount)
	}
	pod.Volumes = append(pod.Volumes, corev1.Volume{Name: setVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
	installRunner(cfg, pod)
	mountPauses(pod)
	return nil
}

// classifySet is classify for the pod of a set, which ends when all of its containers have.
func classifySet(job *batchv1.Job, pod *corev1.Pod, set *spec.ContainerSetTemplate) verdict {
	if pod == nil {
		return classifyJob(job)
	}
	started, over := false, 0
	var mains []corev1.ContainerStatus
	for i := range set.Containers {
		status := containerStatus(pod.Status.ContainerStatuses, set.Containers[i].Name)
		if status == nil {
			continue
		}
		mains = append(mains, *status)
		if status.State.Terminated != nil {
			over++
		}
		started = started || status.State.Terminated != nil || status.State.Running != nil
	}
	switch {
	case pod.Status.Reason == "DeadlineExceeded":
		return ended(nil, workflow.Result{Phase: spec.NodeFailed, Message: firstText(pod.Status.Message, worker.DeadlineMessage)}, nil)
	case over == len(set.Containers):
		return classifySetEnd(pod, set)
	case pod.Status.Phase == corev1.PodFailed:
		v := classifyUnstarted(pod, nil)
		v.unstarted = v.unstarted && !started
		return v
	case pod.DeletionTimestamp != nil:
		return verdict{stage: stageRunning, waiting: "the pod is being deleted"}
	case jobEnded(job) != nil:
		return verdict{stage: stageUnclear}
	}
	v := classifyWaiting(pod, mains)
	if started && v.stage == stagePending {
		v.stage = stageRunning
	}
	return v
}

// classifySetEnd is for a set whose containers have all ended: it Failed if any of them did.
func classifySetEnd(pod *corev1.Pod, set *spec.ContainerSetTemplate) verdict {
	all := verdict{stage: stageEnded, result: workflow.Result{Phase: spec.NodeSucceeded}}
	r := &all.result
	var failed *workflow.Result // main's if that failed, or else the first that did by itself
	for i := range set.Containers {
		name := set.Containers[i].Name
		one := classifyEnd(pod, containerStatus(pod.Status.ContainerStatuses, name))
		waited := false
		if o := one.outcome; o != nil {
			waited = o.Waited
			result := worker.Exited(o.Code, o.Message)
			result.Started, result.Finished = one.result.Started, one.result.Finished
			one.result = result
			if o.Fault != nil && one.fault == nil {
				one.fault = worker.Faultf(o.Fault.Class, "%s: %s", name, o.Fault.Message)
			}
			if name == mainContainer {
				all.outcome = o
			}
		}
		result := worker.Named(name, one.result)
		if one.fault != nil && all.fault == nil {
			all.fault = one.fault
		}
		if name == mainContainer {
			r.Outputs = result.Outputs
		}
		if result.Phase != spec.NodeSucceeded && !waited && (failed == nil || name == mainContainer) {
			failed = &result
		}
		if r.Started == 0 || result.Started != 0 && result.Started < r.Started {
			r.Started = result.Started
		}
		r.Finished = max(r.Finished, result.Finished)
		r.Containers = append(r.Containers, workflow.Container{
			Name: name, Phase: result.Phase, Message: result.Message, Started: result.Started, Finished: result.Finished,
		})
	}
	if failed != nil {
		r.Phase, r.Message = failed.Phase, failed.Message
	}
	return all
}
