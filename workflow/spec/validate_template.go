package spec

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"
)

const templateTypes = "container, containerSet, steps, script, resource, dag, suspend, data, http, plugin"

// template checks one template. where names it as Argo's messages do; outer is the scope of
// the step or task that an inline template belongs to.
func (v *validator) template(t *Template, path, where string, outer *scope) {
	switch types := t.types(); len(types) {
	case 0:
		v.fail(path, "%s template type unspecified. choose one of: %s", where, templateTypes)
		return
	case 1:
	default:
		v.fail(path, "%s multiple template types specified. choose one of: %s", where, templateTypes)
		return
	}
	v.parameterNames(t.Inputs.Parameters, path+".inputs.parameters")
	v.parameterNames(t.Outputs.Parameters, path+".outputs.parameters")
	v.artifactNames(t.Inputs.Artifacts, path+".inputs.artifacts")
	v.artifactNames(t.Outputs.Artifacts, path+".outputs.artifacts")
	v.inputs(t, path, where)
	v.outputs(t, path, where)

	s := &scope{v: v, template: t, outer: outer}
	switch {
	case t.Steps != nil:
		v.steps(t, path, where, s)
	case t.DAG != nil:
		v.dag(t, path, where, s)
	default:
		v.leaf(t, path, where)
	}
	// What remains of a template sees all its steps or tasks.
	own := *t
	own.Steps, own.DAG = nil, nil
	v.tags(s, own, path, where)

	v.retry(t.RetryStrategy, path+".retryStrategy")
	v.metrics(t.Metrics, path+".metrics", where)
	v.containers(t, path, where)
	v.account(t, path, where)
	v.deadlines(t, path, where)
	if t.Parallelism != nil && t.IsLeaf() {
		v.fail(path+".parallelism", "%s.parallelism is only valid for steps and dag templates", where)
	}
	if t.Parallelism != nil && *t.Parallelism < 0 {
		v.fail(path+".parallelism", "%s.parallelism cannot be negative", where)
	}
	v.memoize(t.Memoize, path+".memoize", where)
	v.locks(t.Synchronization, path+".synchronization", where)
	v.warm(t, path, where)
}

func (v *validator) inputs(t *Template, path, where string) {
	for i := range t.Inputs.Parameters {
		p := &t.Inputs.Parameters[i]
		at := fmt.Sprintf("%s.inputs.parameters[%d]", path, i)
		v.offers(p, p.Value, at)
		v.offers(p, p.Default, at)
		if p.ValueFrom != nil {
			v.valueFrom(p.ValueFrom, at+".valueFrom", where+".inputs.parameters."+p.Name)
		}
	}
	for i := range t.Inputs.Artifacts {
		a := &t.Inputs.Artifacts[i]
		at, name := fmt.Sprintf("%s.inputs.artifacts[%d]", path, i), where+".inputs.artifacts."+a.Name
		switch {
		case t.IsLeaf() && a.Path == "":
			v.fail(at, "%s.path not specified", name)
		case t.IsLeaf() && climbs(a.Path):
			v.fail(at+".path", "%s attempted to use a path containing '..'. Directory traversal is not permitted", name)
		case !t.IsLeaf() && a.Path != "":
			v.fail(at+".path", "%s.path only valid in container/script templates", name)
		case a.From != "":
			v.fail(at+".from", "%s.from not valid in inputs", name)
		}
		v.location(a, at, name)
	}
}

func (v *validator) outputs(t *Template, path, where string) {
	for i := range t.Outputs.Parameters {
		p := &t.Outputs.Parameters[i]
		at, name := fmt.Sprintf("%s.outputs.parameters[%d]", path, i), where+".outputs.parameters."+p.Name
		v.globalName(p.GlobalName, at, name)
		if p.ValueFrom == nil {
			if p.Value == nil {
				v.fail(at, "%s does not have valueFrom or value specified", name)
			}
			continue
		}
		if p.Value != nil {
			v.fail(at, "%s has both valueFrom and value specified, choose one", name)
		}
		v.valueFrom(p.ValueFrom, at+".valueFrom", name)
		f := p.ValueFrom
		switch {
		case f.Event != "":
			v.fail(at+".valueFrom", "valueFrom type unspecified. choose one of: path, jqFilter, jsonPath, parameter, raw, expression")
		case !t.IsLeaf() && f.Parameter == "" && f.Expression == "":
			v.fail(at+".valueFrom", "%s.valueFrom must have parameter or expression set", name)
		case (t.Container != nil || t.Script != nil || t.ContainerSet != nil) && f.Path == "":
			v.fail(at+".valueFrom", "%s.valueFrom.path must be specified for %s templates", name, t.GetType())
		case t.Resource != nil && f.JSONPath == "" && f.JQFilter == "":
			v.fail(at+".valueFrom", "%s.valueFrom must have jsonPath or jqFilter set for Resource templates", name)
		case t.Suspend != nil && f.Supplied == nil:
			v.fail(at+".valueFrom", "%s.valueFrom.supplied must be specified for Suspend templates", name)
		}
	}
	for i := range t.Outputs.Artifacts {
		a := &t.Outputs.Artifacts[i]
		at, name := fmt.Sprintf("%s.outputs.artifacts[%d]", path, i), where+".outputs.artifacts."+a.Name
		switch {
		case t.IsLeaf() && a.Path == "":
			v.fail(at, "%s.path not specified", name)
		case t.IsLeaf() && climbs(a.Path):
			v.fail(at+".path", "%s attempted to use a path containing '..'. Directory traversal is not permitted", name)
		case !t.IsLeaf() && a.Path != "":
			v.fail(at+".path", "%s.path only valid in container/script templates", name)
		case !t.IsLeaf() && a.From == "" && a.FromExpression == "":
			v.fail(at, "%s.from or fromExpression is required in steps and dag templates", name)
		case a.From != "" && a.FromExpression != "":
			v.fail(at, "%s shouldn't have both `from` and `fromExpression` in Artifact", name)
		}
		v.globalName(a.GlobalName, at, name)
		v.artifactGC(a.ArtifactGC, at+".artifactGC")
		v.expression(at+".fromExpression", a.FromExpression)
		v.location(a, at, name)
	}
}

// climbs says that a path leads out of a directory which it names before "..": what stands
// there may come from somebody else.
func climbs(p string) bool {
	before, _, found := strings.Cut(p+"/", "/../")
	return found && !strings.HasPrefix(path.Clean(p), before)
}

// globalName checks the name that an output exports its value by.
func (v *validator) globalName(global, path, name string) {
	if global != "" && !valueNamePattern.MatchString(global) && !strings.Contains(global, "{{") {
		v.fail(path+".globalName", "%s.globalName '%s' is invalid: it must consist of alpha-numeric characters, '_' or '-'", name, global)
	}
}

func (v *validator) valueFrom(f *ValueFrom, path, name string) {
	n := 0
	for _, set := range []bool{f.Path != "", f.JSONPath != "", f.JQFilter != "", f.Event != "", f.Parameter != "",
		f.Supplied != nil, f.ConfigMapKeyRef != nil, f.Expression != ""} {
		if set {
			n++
		}
	}
	switch {
	case n == 0 && f.Default == nil:
		v.fail(path, "%s.valueFrom names no source", name)
	case n > 1:
		v.fail(path, "%s.valueFrom names more than one source", name)
	}
	v.expression(path+".expression", f.Expression)
}

func (v *validator) location(a *Artifact, path, name string) {
	if s := a.Archive; s != nil {
		if (s.None != nil && s.Tar != nil) || (s.None != nil && s.Zip != nil) || (s.Tar != nil && s.Zip != nil) {
			v.fail(path+".archive", "%s.archive must be one of none, tar and zip", name)
		}
	}
	if stores := a.stores(); len(stores) > 1 {
		v.fail(path, "%s has more than one location: %s", name, strings.Join(stores, ", "))
	}
	if a.Git != nil && a.Git.Repo == "" {
		v.fail(path+".git", "%s.git.repo is required", name)
	}
}

// hasChoice checks that an enum names something.
func (v *validator) hasChoice(p *Parameter, path string) {
	if p.Enum != nil && len(p.Enum) == 0 {
		v.fail(path+".enum", "spec.arguments.%s.enum should contain at least one value", p.Name)
	}
}

// enum checks a value that is known now against the values that a parameter allows.
func (v *validator) enum(p *Parameter, value *AnyString, path, name string) {
	if allowed := missing(p, value); allowed != "" {
		v.fail(path, "%s.value should be present in %s.enum list: %s", name, name, allowed)
	}
}

// offers warns of a value that an input does not offer. The enum of an input is for whoever is
// asked for a value; it bounds nothing.
func (v *validator) offers(p *Parameter, value *AnyString, path string) {
	if allowed := missing(p, value); allowed != "" && len(v.warnings) < maxErrors {
		v.warn(path, "the value '%s' of parameter %s is not in its enum: %s", shorten(value.String()), p.Name, allowed)
	}
}

// missing lists what a parameter allows if a value that is known now is none of it.
func missing(p *Parameter, value *AnyString) string {
	if value == nil || len(p.Enum) == 0 || strings.Contains(value.String(), "{{") {
		return ""
	}
	var allowed []string
	for _, e := range p.Enum {
		if e == *value {
			return ""
		}
		allowed = append(allowed, e.String())
	}
	return strings.Join(allowed, ", ")
}

func (v *validator) leaf(t *Template, path, where string) {
	defaults := v.spec.TemplateDefaults
	switch {
	case t.Container != nil:
		if t.Container.Image == "" && (defaults == nil || defaults.Container == nil || defaults.Container.Image == "") {
			v.fail(path+".container", "%s.container.image may not be empty", where)
		}
	case t.Script != nil:
		if t.Script.Image == "" && (defaults == nil || defaults.Script == nil || defaults.Script.Image == "") {
			v.fail(path+".script", "%s.script.image may not be empty", where)
		}
	case t.ContainerSet != nil:
		v.containerSet(t, path+".containerSet", where)
	case t.Resource != nil:
		v.resource(t.Resource, path+".resource", where)
		v.manifest(t, path+".resource", where)
	case t.Suspend != nil:
		if d := t.Suspend.Duration; d != "" && !isDuration(d, true) {
			v.fail(path+".suspend.duration", "%s.suspend.duration '%s' is neither seconds nor a duration", where, d)
		}
	case t.HTTP != nil:
		if t.HTTP.URL == "" {
			v.fail(path+".http", "%s.http.url is required", where)
		}
		v.expression(path+".http.successCondition", t.HTTP.SuccessCondition)
	case t.Plugin != nil:
		if n := t.Plugin.keys(); n != 1 {
			v.fail(path+".plugin", "%s.plugin: expected exactly one key, got %d", where, n)
		}
	case t.Data != nil:
		for i, step := range t.Data.Transformation {
			v.expression(fmt.Sprintf("%s.data.transformation[%d].expression", path, i), step.Expression)
		}
	}
}

func (v *validator) resource(r *ResourceTemplate, path, where string) {
	switch r.Action {
	case "get", "create", "apply", "delete", "replace", "patch":
	case "":
		v.fail(path, "%s.resource.action may not be empty", where)
	default:
		if !strings.Contains(r.Action, "{{") {
			v.fail(path+".action", "%s.resource.action must be one of: get, create, apply, delete, replace, patch", where).
				Hint = v.near(r.Action, []string{"get", "create", "apply", "delete", "replace", "patch"})
		}
	}
}

func (v *validator) containerSet(t *Template, path, where string) {
	set := t.ContainerSet
	g := newGraph(len(set.Containers))
	for i := range set.Containers {
		g.add(set.Containers[i].Name)
	}
	if len(set.Containers) == 0 {
		v.fail(path, "%s.containerSet.containers must have at least one container", where)
	}
	for i := range set.Containers {
		c := &set.Containers[i]
		at := fmt.Sprintf("%s.containers[%d]", path, i)
		if c.Name == "" {
			v.fail(at, "%s.containerSet.containers[%d] has no name", where, i)
		} else if j := g.index[c.Name]; j != i {
			v.fail(at+".name", "%s.containerSet.containers name '%s' is not unique", where, c.Name)
		}
		for k, dep := range c.Dependencies {
			j, ok := g.index[dep]
			if !ok {
				v.fail(fmt.Sprintf("%s.dependencies[%d]", at, k), "%s.containerSet.containers.%s dependency '%s' not defined", where, c.Name, dep).
					Hint = v.near(dep, g.names)
				continue
			}
			g.depend(i, j)
		}
	}
	if cycle := g.cycle(); cycle != "" {
		v.fail(path, "%s.containerSet dependency cycle detected: %s", where, cycle)
	}
	if _, ok := g.index["main"]; !ok && (len(t.Inputs.Artifacts) > 0 || len(t.Outputs.Parameters) > 0 || len(t.Outputs.Artifacts) > 0) {
		v.fail(path, "%s.containerSet.containers must have a container named \"main\" for input or output", where)
	}
}

func (v *validator) retry(r *RetryStrategy, path string) {
	if r == nil {
		return
	}
	if l := r.Limit; l != nil {
		if text := l.String(); !strings.Contains(text, "{{") {
			if n, err := strconv.Atoi(text); err != nil || n < 0 {
				v.fail(path+".limit", "retryStrategy.limit '%s' is not a whole number of 0 or more", text)
			}
		}
	}
	switch r.RetryPolicy {
	case "", RetryPolicyAlways, RetryPolicyOnFailure, RetryPolicyOnError, RetryPolicyOnTransientError:
	default:
		if !strings.Contains(string(r.RetryPolicy), "{{") {
			v.fail(path+".retryPolicy", "'%s' is not a valid RetryPolicy", r.RetryPolicy).
				Hint = "use Always, OnFailure, OnError or OnTransientError"
		}
	}
	if b := r.Backoff; b != nil {
		for _, f := range []struct{ name, value string }{{"duration", b.Duration}, {"maxDuration", b.MaxDuration}, {"cap", b.Cap}} {
			if f.value != "" && !isDuration(f.value, true) {
				v.fail(path+".backoff."+f.name, "retryStrategy.backoff.%s '%s' is neither seconds nor a duration", f.name, f.value)
			}
		}
	}
	v.expression(path+".expression", r.Expression)
}

func (v *validator) deadlines(t *Template, path, where string) {
	if d := t.ActiveDeadlineSeconds; d != nil {
		switch text := d.String(); {
		case !t.IsLeaf():
			v.fail(path+".activeDeadlineSeconds", "%s.activeDeadlineSeconds is only valid for leaf templates", where)
		case !positive(d):
			v.fail(path+".activeDeadlineSeconds", "%s.activeDeadlineSeconds must be a positive integer > 0 or an argument, not '%s'", where, text)
		}
	}
	if d := t.PendingTimeout; d != "" && !isDuration(d, true) {
		v.fail(path+".pendingTimeout", "%s.pendingTimeout '%s' is neither seconds nor a duration", where, d)
	}
	if t.Timeout != "" {
		if !t.IsLeaf() || t.Suspend != nil {
			v.fail(path+".timeout", "%s: %s template doesn't support timeout field", where, t.GetType())
		} else if !isDuration(t.Timeout, false) {
			v.fail(path+".timeout", "%s has invalid duration format in timeout: '%s' is not such as 30s", where, t.Timeout)
		}
	}
}

func (v *validator) memoize(m *Memoize, path, where string) {
	if m == nil {
		return
	}
	if m.MaxAge != "" && !isDuration(m.MaxAge, false) {
		v.fail(path+".maxAge", "%s maxAge '%s' is not a duration", where, m.MaxAge)
	}
	if m.Key == "" {
		v.fail(path, "%s.memoize.key is required", where)
	}
	if m.Cache == nil || m.Cache.ConfigMap == nil || m.Cache.ConfigMap.Name == "" {
		v.fail(path, "%s.memoize.cache.configMap.name is required", where)
	}
}

// locks checks that each lock is one.
func (v *validator) locks(s *Synchronization, path, where string) {
	if s == nil {
		return
	}
	for i, m := range s.Mutexes {
		if m == nil || m.Name == "" {
			v.fail(fmt.Sprintf("%s.mutexes[%d]", path, i), "%s.synchronization.mutexes[%d] has no name", where, i)
		}
	}
	for i, sem := range s.Semaphores {
		if sem == nil || (sem.ConfigMapKeyRef == nil) == (sem.Database == nil) {
			v.fail(fmt.Sprintf("%s.semaphores[%d]", path, i), "%s.synchronization.semaphores[%d] needs either configMapKeyRef or database", where, i)
		}
	}
}

// positive says that a number is, or may turn out to be, more than 0.
func positive(n *intstr.IntOrString) bool {
	text := n.String()
	if strings.Contains(text, "{{") {
		return true
	}
	i, err := strconv.ParseInt(text, 10, 64)
	return err == nil && i > 0
}

// isDuration says that s is a Go duration, a tag, or, if allowed, a number of seconds.
func isDuration(s string, seconds bool) bool {
	if strings.Contains(s, "{{") {
		return true
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return seconds
	}
	_, err := time.ParseDuration(s)
	return err == nil
}
