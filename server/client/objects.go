package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"argosy/workflow/spec"
)

// resource says where a server keeps objects of a kind, and under which field a request
// holds one.
func resource(kind, namespace string) (at, field string, err error) {
	switch kind {
	case spec.KindWorkflowTemplate:
		return path("workflow-templates", namespace), "template", nil
	case spec.KindClusterWorkflowTemplate:
		return path("cluster-workflow-templates"), "template", nil
	case spec.KindCronWorkflow:
		return path("cron-workflows", namespace), "cronWorkflow", nil
	case spec.KindWorkflowEventBinding:
		return path("workflow-event-bindings", namespace), "workflowEventBinding", nil
	case spec.KindConfigMap:
		return path("configmaps", namespace), "configMap", nil
	case spec.KindSecret:
		return path("secrets", namespace), "secret", nil
	}
	return "", "", fmt.Errorf("a server does not store objects of kind %q", kind)
}

// Create stores an object that workflows refer to, given as JSON. The namespace is that of
// the kinds that have one.
func (c *Client) Create(ctx context.Context, kind, namespace string, object json.RawMessage) error {
	at, field, err := resource(kind, namespace)
	if err != nil {
		return err
	}
	body := map[string]any{"namespace": namespace, field: object}
	return c.call(ctx, http.MethodPost, at, nil, body, &struct{}{})
}

// Update replaces a stored object.
func (c *Client) Update(ctx context.Context, kind, namespace, name string, object json.RawMessage) error {
	at, field, err := resource(kind, namespace)
	if err != nil {
		return err
	}
	body := map[string]any{"namespace": namespace, "name": name, field: object}
	return c.call(ctx, http.MethodPut, at+"/"+escape(name), nil, body, &struct{}{})
}

// Object returns a stored object.
func (c *Client) Object(ctx context.Context, kind, namespace, name string) (json.RawMessage, error) {
	at, _, err := resource(kind, namespace)
	if err != nil {
		return nil, err
	}
	var out json.RawMessage
	err = c.call(ctx, http.MethodGet, at+"/"+escape(name), nil, nil, &out)
	return out, err
}

// Objects returns the stored objects of a kind and namespace, or of all if it is empty.
func (c *Client) Objects(ctx context.Context, kind, namespace string, o ListOptions) ([]json.RawMessage, error) {
	at, _, err := resource(kind, namespace)
	if err != nil {
		return nil, err
	}
	var out struct {
		Items []json.RawMessage `json:"items"`
	}
	err = c.call(ctx, http.MethodGet, at, o.query(), nil, &out)
	return out.Items, err
}

// Remove deletes a stored object.
func (c *Client) Remove(ctx context.Context, kind, namespace, name string) error {
	at, _, err := resource(kind, namespace)
	if err != nil {
		return err
	}
	return c.call(ctx, http.MethodDelete, at+"/"+escape(name), nil, nil, &struct{}{})
}

// SuspendCron has a cron workflow fire no more, or again.
func (c *Client) SuspendCron(ctx context.Context, namespace, name string, suspend bool) error {
	verb := "resume"
	if suspend {
		verb = "suspend"
	}
	return c.call(ctx, http.MethodPut, path("cron-workflows", namespace, name, verb), nil, map[string]any{}, &struct{}{})
}

// FromOptions change the workflow that SubmitFrom makes.
type FromOptions struct {
	Name           string   `json:"name,omitempty"`
	GenerateName   string   `json:"generateName,omitempty"`
	EntryPoint     string   `json:"entryPoint,omitempty"`
	Parameters     []string `json:"parameters,omitempty"` // name=value
	ServiceAccount string   `json:"serviceAccount,omitempty"`
	Labels         string   `json:"labels,omitempty"` // a=b,c=d
	Annotations    string   `json:"annotations,omitempty"`
	ServerDryRun   bool     `json:"serverDryRun,omitempty"`
	Priority       *int32   `json:"priority,omitempty"`
}

// SubmitFrom submits what is stored under a kind and name.
func (c *Client) SubmitFrom(ctx context.Context, namespace, kind, name string, o FromOptions) (*spec.Workflow, error) {
	body := map[string]any{"namespace": namespace, "resourceKind": kind, "resourceName": name, "submitOptions": o}
	var out spec.Workflow
	return &out, c.call(ctx, http.MethodPost, path("workflows", namespace, "submit"), nil, body, &out)
}
