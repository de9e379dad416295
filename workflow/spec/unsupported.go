package spec

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Unsupported finds the fields that the engine does not carry out yet. A field that would
// change what a run does is an error: a run that silently ignored it would do the wrong
// thing. A field that only shapes a pod is a warning. The tables below shrink as the engine
// grows.
func Unsupported(doc *Document) ([]Warning, error) {
	var s *WorkflowSpec
	at := "spec"
	switch obj := doc.Object.(type) {
	case *Workflow:
		s = &obj.Spec
	case *WorkflowTemplate:
		s = &obj.Spec
	case *ClusterWorkflowTemplate:
		s = &obj.Spec
	case *CronWorkflow:
		s, at = &obj.Spec.WorkflowSpec, "spec.workflowSpec"
	default:
		return nil, nil
	}
	u := &unsupported{doc: doc}
	u.spec(s, at)
	slices.SortStableFunc(u.errs, byPlace)
	slices.SortStableFunc(u.warnings, func(a, b Warning) int { return byPlace((*Error)(&a), (*Error)(&b)) })
	return u.warnings, u.errs.err()
}

// UnsupportedFrozen is Unsupported for what Freeze has added to a workflow.
func UnsupportedFrozen(w *Workflow) error {
	u := &unsupported{doc: &Document{}}
	u.frozen(w)
	return u.errs.err()
}

func (u *unsupported) frozen(w *Workflow) {
	if s := w.Status.StoredWorkflowSpec; s != nil {
		u.spec(s, "status.storedWorkflowTemplateSpec")
	}
	for _, name := range slices.Sorted(maps.Keys(w.Status.StoredTemplates)) {
		t := w.Status.StoredTemplates[name]
		u.template(&t, "status.storedTemplates["+name+"]")
	}
}

// NoPlugin says that there is no artifact driver plugin of a name.
const NoPlugin = "artifact driver plugin %q is not configured: start workers and servers with --artifact-plugin and where its socket is"

const noExecutor = "no executor plugin is configured: start workers and servers with --executor-plugin and where it listens"

// Plugins are the programs of others that the workers have beside them.
type Plugins struct {
	Drivers  func(name string) bool // artifact driver plugins
	Executor bool                   // there are executor plugins: which of them takes a template shows when they are asked
}

// UnknownPlugins finds what needs plugins that are not there: artifact driver plugins that a workflow
// names, and plugin templates, also in what Freeze has added to it.
func UnknownPlugins(doc *Document, w *Workflow, known *Plugins) error {
	u := &unsupported{doc: doc, plugins: known}
	u.spec(&w.Spec, "spec")
	u.frozen(w)
	slices.SortStableFunc(u.errs, byPlace)
	return u.errs.err()
}

// fieldTable has the fields that are refused, those that have no effect and those that have one
// in Kubernetes Jobs only; and those that need plugins. They are named
// relative to a workflow spec, a template, or a step or task. [] stands for every element of a list.
type fieldTable struct{ refused, none, jobs, plugins []tableField }

// tableField is a field of a table; its path is without [].
type tableField struct {
	name string
	path []segment
}

// The tables, read once.
var (
	specTable     = specFields()
	templateTable = templateFields()
	daemonTable   = daemonFields()
	callTable     = callFields()
)

func specFields() fieldTable {
	return fieldTable{
		refused: words(`
			executorPlugins`,
			"arguments.parameters[].valueFrom", parameterSources, "arguments.artifacts[]", inputStores),
		none: words(`executor artifactGC.serviceAccountName artifactGC.podMetadata artifactGC.podSpecPatch`),
		jobs: words(`serviceAccountName automountServiceAccountToken nodeSelector affinity tolerations
			imagePullSecrets hostNetwork dnsPolicy dnsConfig schedulerName podPriorityClassName hostAliases
			securityContext podMetadata podGC podDisruptionBudget podResources resourceClaims`),
		plugins: words("", "arguments.artifacts[]", "plugin"),
	}
}

func templateFields() fieldTable {
	return fieldTable{
		refused: words("",
			"inputs.parameters[].valueFrom", parameterSources, "inputs.artifacts[]", inputStores, "outputs.artifacts[]", inputStores+" git http.saveStreamViaFile",
			"archiveLocation", inputStores+" git", "data.source.artifactPaths", inputStores+" git http artifactory"),
		none: words(`executor`,
			"outputs.artifacts[]", "artifactGC.serviceAccountName artifactGC.podMetadata"),
		jobs: words(`pendingTimeout retryStrategy.affinity podResources resourceClaims metadata nodeSelector affinity tolerations schedulerName priorityClassName serviceAccountName
			automountServiceAccountToken hostAliases securityContext
			container.resources container.livenessProbe container.readinessProbe container.startupProbe
			container.lifecycle container.securityContext container.ports
			script.resources script.livenessProbe script.readinessProbe script.startupProbe
			script.lifecycle script.securityContext script.ports`),
		plugins: words("plugin", "inputs.artifacts[]", "plugin", "outputs.artifacts[]", "plugin", "archiveLocation", "plugin", "data.source.artifactPaths", "plugin"),
	}
}

// daemonFields are those of a daemon, whose probe local processes ask, too.
func daemonFields() fieldTable {
	t := templateFields()
	t.jobs = slices.DeleteFunc(t.jobs, func(f tableField) bool {
		return strings.HasSuffix(f.name, ".readinessProbe") || strings.HasSuffix(f.name, ".ports")
	})
	return t
}

func callFields() fieldTable {
	return fieldTable{
		refused: words(``,
			"arguments.parameters[].valueFrom", parameterSources, "arguments.artifacts[]", inputStores),
		plugins: words("", "arguments.artifacts[]", "plugin"),
	}
}

const (
	parameterSources = "jsonPath jqFilter event supplied"
	inputStores      = "hdfs"
)

// NoHDFS says why there is no driver for HDFS, and what to use.
const NoHDFS = "hdfs is not supported: its protocol and Kerberos would have to live in every worker; use s3, gcs, azure or oss, or http with HDFS's own gateway (WebHDFS, HttpFS)"

// noOwnExecutors says what to do instead of having plugins start with a workflow.
const noOwnExecutors = "executor plugins are not started with a workflow: start the program beside the workers, and these with --executor-plugin"

// words splits a list of field names. Further pairs are a parent and fields below it.
func words(fields string, below ...string) []tableField {
	var out []tableField
	add := func(field string) {
		name := strings.ReplaceAll(field, "[]", "")
		out = append(out, tableField{name: name, path: parsePath(name)})
	}
	for _, f := range strings.Fields(fields) {
		add(f)
	}
	for i := 0; i < len(below); i += 2 {
		for _, f := range strings.Fields(below[i+1]) {
			add(below[i] + "." + f)
		}
	}
	return out
}

type unsupported struct {
	doc      *Document
	errs     ErrorList
	warnings []Warning
	plugins  *Plugins // those that there are, where they alone are looked at
}

func (u *unsupported) spec(s *WorkflowSpec, at string) {
	u.report(reflect.ValueOf(s).Elem(), at, specTable)
	for i := range s.Templates {
		u.template(&s.Templates[i], fmt.Sprintf("%s.templates[%d]", at, i))
	}
	if s.TemplateDefaults != nil {
		u.template(s.TemplateDefaults, at+".templateDefaults")
	}
}

func (u *unsupported) template(t *Template, path string) {
	table := templateTable
	if t.IsDaemon() {
		table = daemonTable
	}
	u.report(reflect.ValueOf(t).Elem(), path, table)
	for g := range t.Steps {
		for i := range t.Steps[g].Steps {
			s, at := &t.Steps[g].Steps[i], fmt.Sprintf("%s.steps[%d][%d]", path, g, i)
			u.report(reflect.ValueOf(s).Elem(), at, callTable)
			if s.Inline != nil {
				u.template(s.Inline, at+".inline")
			}
		}
	}
	if t.DAG != nil {
		for i := range t.DAG.Tasks {
			k, at := &t.DAG.Tasks[i], fmt.Sprintf("%s.dag.tasks[%d]", path, i)
			u.report(reflect.ValueOf(k).Elem(), at, callTable)
			if k.Inline != nil {
				u.template(k.Inline, at+".inline")
			}
		}
	}
}

func (u *unsupported) report(v reflect.Value, path string, table fieldTable) {
	if u.plugins != nil {
		for _, f := range table.plugins {
			u.find(v, path, f.path, func(at string, found reflect.Value) {
				if len(u.errs) >= maxErrors {
					return
				}
				if p, ok := reflect.TypeAssert[*PluginArtifact](found); ok && p.Name != "" && !u.plugins.Drivers(p.Name) {
					u.errs = append(u.errs, u.doc.Errorf(at+".name", NoPlugin, p.Name))
				}
				if _, ok := reflect.TypeAssert[*Plugin](found); ok && !u.plugins.Executor {
					u.errs = append(u.errs, u.doc.Errorf(at, noExecutor))
				}
			})
		}
		return
	}
	for _, f := range table.refused {
		u.find(v, path, f.path, func(at string, _ reflect.Value) {
			if len(u.errs) < maxErrors {
				message := "not supported yet: %s"
				if strings.HasSuffix(f.name, ".event") {
					message = "only the arguments of a WorkflowEventBinding have an event: %s"
				}
				if f.name == "executorPlugins" {
					message = noOwnExecutors + ": %s"
				}
				if strings.HasSuffix(f.name, "hdfs") {
					message = NoHDFS + ": %s"
				}
				u.errs = append(u.errs, u.doc.Errorf(at, message, f.name))
			}
		})
	}
	warn := func(fields []tableField, message string) {
		for _, f := range fields {
			u.find(v, path, f.path, func(at string, _ reflect.Value) {
				u.warnings = append(u.warnings, Warning(*u.doc.Errorf(at, message, f.name)))
			})
		}
	}
	warn(table.none, "has no effect yet: %s")
	warn(table.jobs, "has an effect in Kubernetes Jobs only: %s")
}

// find calls found with the path of every set field that matches.
func (u *unsupported) find(v reflect.Value, at string, field []segment, found func(at string, v reflect.Value)) {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	if v.Kind() == reflect.Slice && len(field) > 0 {
		for i := range v.Len() {
			u.find(v.Index(i), fmt.Sprintf("%s[%d]", at, i), field, found)
		}
		return
	}
	if len(field) == 0 {
		if !v.IsZero() {
			found(at, v)
		}
		return
	}
	f := fieldsOf(v.Type()).fields[strings.ToLower(field[0].key)]
	next := v.FieldByIndex(f.index)
	if next.IsZero() {
		return
	}
	if len(field) == 1 && next.Kind() == reflect.Pointer && !next.IsNil() && next.Elem().Kind() != reflect.Bool {
		found(at+"."+field[0].key, next) // present, even if all its fields are empty
		return
	}
	u.find(next, at+"."+f.name, field[1:], found)
}
