package spec

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Annotations of a template's metadata that have its steps run one after the other in pods that
// stay; see docs/adr/0013-warm-step-pods.md.
const (
	AnnotationWarm         = "argosy.dev/warm"           // "true"
	AnnotationWarmMaxPods  = "argosy.dev/warm-max-pods"  // at most at once
	AnnotationWarmMaxItems = "argosy.dev/warm-max-items" // steps after which a pod is replaced
	AnnotationWarmIdle     = "argosy.dev/warm-idle"      // time without a step after which a pod ends
)

var warmAnnotations = []string{AnnotationWarm, AnnotationWarmMaxPods, AnnotationWarmMaxItems, AnnotationWarmIdle}

// Warm is how the pods are kept that steps of a template run in, one after the other.
type Warm struct {
	MaxPods  int
	MaxItems int
	Idle     time.Duration
}

// Defaults of Warm, and what it may be at most.
const (
	warmPods, maxWarmPods   = 10, 1000
	warmItems, maxWarmItems = 1000, 1_000_000
	warmIdle, maxWarmIdle   = 30 * time.Second, 24 * time.Hour
)

// Warm says how the template's steps run in pods that stay; nil if each has a pod of its own. The
// error says what keeps them from running so.
func (t *Template) Warm() (*Warm, error) {
	w, bad := t.warm()
	if len(bad) > 0 {
		return nil, fmt.Errorf("template %q cannot run in warm pods: %s", t.Name, bad[0].text)
	}
	return w, nil
}

// warmFault is what is wrong with a warm template, at a path below it.
type warmFault struct{ path, text, hint string }

func (t *Template) warm() (w *Warm, bad []warmFault) {
	asked := false
	for name, value := range t.Metadata.Annotations {
		if !strings.HasPrefix(name, AnnotationWarm) || name != AnnotationWarm && !strings.HasPrefix(name, AnnotationWarm+"-") {
			continue
		}
		if !slices.Contains(warmAnnotations, name) {
			bad = append(bad, warmFault{annotationPath(name), fmt.Sprintf("there is no annotation %s", name), didYouMean(name, warmAnnotations)})
		}
		asked = asked || name == AnnotationWarm && value != "false"
	}
	switch {
	case !asked && len(bad) == 0:
		return nil, nil
	case !asked:
		return nil, bad
	}
	w = &Warm{MaxPods: warmPods, MaxItems: warmItems, Idle: warmIdle}
	bad = append(bad, t.warmNumbers(w)...)
	bad = append(bad, t.notWarm()...)
	slices.SortStableFunc(bad, func(a, b warmFault) int { return strings.Compare(a.path, b.path) })
	return w, bad
}

func annotationPath(name string) string { return keyPath(".metadata.annotations", name) }

// warmNumbers reads the annotations. What is filled in later is read then.
func (t *Template) warmNumbers(w *Warm) (bad []warmFault) {
	read := func(name string, ok func(text string) bool, want string) {
		text, there := t.Metadata.Annotations[name]
		if there && !strings.Contains(text, "{{") && !ok(text) {
			bad = append(bad, warmFault{path: annotationPath(name), text: fmt.Sprintf("%s is %q, which is not %s", name, text, want)})
		}
	}
	number := func(into *int, most int) func(string) bool {
		return func(text string) bool {
			n, err := strconv.Atoi(text)
			*into = n
			return err == nil && n > 0 && n <= most
		}
	}
	read(AnnotationWarm, func(text string) bool { return text == "true" }, `"true" or "false"`)
	read(AnnotationWarmMaxPods, number(&w.MaxPods, maxWarmPods), fmt.Sprintf("a number from 1 to %d", maxWarmPods))
	read(AnnotationWarmMaxItems, number(&w.MaxItems, maxWarmItems), fmt.Sprintf("a number from 1 to %d", maxWarmItems))
	read(AnnotationWarmIdle, func(text string) bool {
		d, err := time.ParseDuration(text)
		w.Idle = d
		return err == nil && d >= time.Second && d <= maxWarmIdle
	}, "a duration from 1s to 24h")
	return bad
}

// notWarm is all that would make a step in a warm pod end otherwise than in a pod of its own.
func (t *Template) notWarm() (bad []warmFault) {
	refuse := func(when bool, path, text string) {
		if when {
			bad = append(bad, warmFault{path: path, text: text})
		}
	}
	c, at := t.Container, ".container"
	if t.Script != nil {
		c, at = &t.Script.Container, ".script"
	}
	if c == nil {
		return []warmFault{{path: annotationPath(AnnotationWarm), text: fmt.Sprintf("only container and script templates run in warm pods, and not %s templates", t.GetType())}}
	}
	refuse(t.IsDaemon(), ".daemon", "a daemon has its pod for itself")
	refuse(len(t.InitContainers) > 0, ".initContainers", "init containers run once for a pod, and not before each step")
	refuse(len(t.Sidecars) > 0, ".sidecars", "sidecars end with a pod, and not with each step")
	refuse(c.Lifecycle != nil, at+".lifecycle", "lifecycle hooks run once for a pod, and not for each step")
	refuse(c.LivenessProbe != nil, at+".livenessProbe", "a probe would look at the pod also between two steps")
	refuse(c.StartupProbe != nil, at+".startupProbe", "a probe would look at the pod also between two steps")
	refuse(c.ReadinessProbe != nil, at+".readinessProbe", "a probe would look at the pod also between two steps")
	refuse(c.SecurityContext != nil && c.SecurityContext.Privileged != nil && *c.SecurityContext.Privileged, at+".securityContext.privileged",
		"what a privileged step changes would outlive it")
	for i := range t.Volumes {
		refuse(FreshVolume(&t.Volumes[i]), fmt.Sprintf(".volumes[%d]", i), fmt.Sprintf("volume %q is new for each pod, and not for each step", t.Volumes[i].Name))
	}
	return append(bad, t.differs()...)
}

// FreshVolume says that a volume begins empty with its pod.
func FreshVolume(v *corev1.Volume) bool { return v.EmptyDir != nil || v.Ephemeral != nil }

// differs finds what shapes the pod and is not the same for all steps of a run. Only commands,
// arguments, sources and the values of variables may differ.
func (t *Template) differs() (bad []warmFault) {
	pod := *t
	pod.Inputs, pod.Outputs, pod.ArchiveLocation, pod.Name = Inputs{}, Outputs{}, nil, ""
	pod.RetryStrategy, pod.Synchronization, pod.Memoize, pod.Metrics, pod.Annotations = nil, nil, nil, nil, nil
	pod.ActiveDeadlineSeconds, pod.Timeout, pod.PendingTimeout = nil, "", ""
	plain := func(c corev1.Container) corev1.Container {
		c.Command, c.Args, c.WorkingDir = nil, nil, ""
		c.Env = slices.Clone(c.Env)
		for i := range c.Env {
			c.Env[i].Value = ""
		}
		return c
	}
	if pod.Script != nil {
		pod.Script = &ScriptTemplate{Container: plain(pod.Script.Container)}
	} else {
		pod.Container = new(plain(*pod.Container))
	}
	var tree any
	data, err := json.Marshal(&pod)
	if err == nil {
		err = json.Unmarshal(data, &tree)
	}
	if err != nil {
		return []warmFault{{text: err.Error()}}
	}
	var walk func(v any, path string)
	walk = func(v any, path string) {
		switch v := v.(type) {
		case string:
			if tag := stepTag(v); tag != "" {
				bad = append(bad, warmFault{path: path, text: fmt.Sprintf(
					"%s may differ from step to step, and this shapes the pod that they share: only command, args, source and values of env may", tag)})
			}
		case []any:
			for i := range v {
				walk(v[i], fmt.Sprintf("%s[%d]", path, i))
			}
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				walk(v[k], keyPath(path, k))
			}
		}
	}
	walk(tree, "")
	return bad
}

// stepTag is the first tag of a text that is not the same for all steps of a run.
func stepTag(text string) string {
	for {
		_, rest, found := strings.Cut(text, "{{")
		if !found {
			return ""
		}
		tag, after, _ := strings.Cut(rest, "}}")
		if !strings.HasPrefix(strings.TrimSpace(tag), "workflow.") {
			return "{{" + tag + "}}"
		}
		text = after
	}
}

// warm checks a template that is to run in warm pods.
func (v *validator) warm(t *Template, path, where string) {
	if len(t.Metadata.Annotations) == 0 {
		return
	}
	w, bad := t.warm()
	var mounts []corev1.VolumeMount
	switch {
	case w != nil && t.Container != nil:
		mounts = t.Container.VolumeMounts
	case w != nil && t.Script != nil:
		mounts = t.Script.VolumeMounts
	}
	for _, m := range mounts {
		for i := range v.spec.Volumes {
			if of := &v.spec.Volumes[i]; of.Name == m.Name && FreshVolume(of) {
				v.fail(fmt.Sprintf("%s.volumes[%d]", v.at, i), "%s cannot run in warm pods: it mounts volume %q, which is new for each pod, and not for each step", where, m.Name)
			}
		}
	}
	for _, b := range bad {
		v.fail(path+b.path, "%s cannot run in warm pods: %s", where, b.text).Hint = b.hint
	}
}
