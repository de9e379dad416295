package server

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"argosy/workflow/cron"
	"argosy/workflow/spec"
)

// FromOptions change the workflow that is made of something stored.
type FromOptions struct {
	Name           string   `json:"name"`
	GenerateName   string   `json:"generateName"`
	EntryPoint     string   `json:"entryPoint"`
	Parameters     []string `json:"parameters"` // name=value
	ServiceAccount string   `json:"serviceAccount"`
	Labels         string   `json:"labels"` // a=b,c=d
	Annotations    string   `json:"annotations"`
	DryRun         bool     `json:"dryRun"`
	ServerDryRun   bool     `json:"serverDryRun"`
	Priority       *int32   `json:"priority"`
	PodPriority    string   `json:"podPriorityClassName"`
}

// SubmitFrom submits what is stored under a kind and name: the kinds of templates and schedules, by any of
// the names that Argo's command takes for them.
func (s *Service) SubmitFrom(ctx context.Context, namespace, kind, name string, o FromOptions) (*spec.Workflow, error) {
	k, err := fromKind(kind)
	if err != nil {
		return nil, err
	}
	stored, err := s.objects.Get(ctx, k.Kind, k.space(namespace), name)
	if err != nil {
		return nil, k.trouble(err, name)
	}
	wf := &spec.Workflow{}
	if k.Kind == spec.KindCronWorkflow {
		var c spec.CronWorkflow
		if err := json.Unmarshal(stored.JSON, &c); err != nil {
			return nil, fmt.Errorf("reading %s %q: %w", k.resource, name, err)
		}
		wf = cron.Workflow(&c, s.now())
	} else {
		wf.Spec.WorkflowTemplateRef = &spec.WorkflowTemplateRef{Name: name, ClusterScope: k.cluster}
	}
	wf.APIVersion, wf.Kind, wf.Namespace = spec.APIVersion, spec.KindWorkflow, namespace
	wf.GenerateName = name + "-"
	if err := o.apply(wf); err != nil {
		return nil, err
	}
	doc, err := json.Marshal(wf)
	if err != nil {
		return nil, fmt.Errorf("encoding the workflow: %w", err)
	}
	return s.Submit(ctx, namespace, doc, SubmitOptions{DryRun: o.DryRun || o.ServerDryRun})
}

func fromKind(kind string) (ObjectKind, error) {
	switch strings.ToLower(kind) {
	case "workflowtemplate", "workflowtemplates", "wftmpl":
		return kindOf(spec.KindWorkflowTemplate), nil
	case "clusterworkflowtemplate", "clusterworkflowtemplates", "cwft":
		return kindOf(spec.KindClusterWorkflowTemplate), nil
	case "cronworkflow", "cronworkflows", "cronwf", "cwf":
		return kindOf(spec.KindCronWorkflow), nil
	}
	return ObjectKind{}, errorf(CodeInvalid, "resource kind '%s' is not supported for submitting", kind)
}

func (o FromOptions) apply(wf *spec.Workflow) error {
	switch {
	case o.Name != "":
		wf.Name, wf.GenerateName = o.Name, ""
	case o.GenerateName != "":
		wf.GenerateName = o.GenerateName
	}
	wf.Spec.Entrypoint = cmp.Or(o.EntryPoint, wf.Spec.Entrypoint)
	wf.Spec.ServiceAccountName = cmp.Or(o.ServiceAccount, wf.Spec.ServiceAccountName)
	wf.Spec.Priority = cmp.Or(o.Priority, wf.Spec.Priority)
	wf.Spec.PodPriorityClassName = cmp.Or(o.PodPriority, wf.Spec.PodPriorityClassName)
	for _, f := range []struct {
		name, text string
		into       *map[string]string
	}{{"labels", o.Labels, &wf.Labels}, {"annotations", o.Annotations, &wf.Annotations}} {
		if f.text == "" {
			continue
		}
		set, err := labels.ConvertSelectorToLabelsMap(f.text)
		if err != nil {
			return errorf(CodeInvalid, "submitOptions.%s: %v", f.name, err)
		}
		if *f.into == nil {
			*f.into = map[string]string{}
		}
		maps.Copy(*f.into, set)
	}
	for _, p := range o.Parameters {
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			return errorf(CodeInvalid, "expected parameter of the form: NAME=VALUE. Received: %s", p)
		}
		given := spec.Parameter{Name: name, Value: spec.AnyStringPtr(value)}
		if own := wf.Spec.Arguments.GetParameterByName(name); own != nil {
			*own = given
			continue
		}
		wf.Spec.Arguments.Parameters = append(wf.Spec.Arguments.Parameters, given)
	}
	return nil
}
