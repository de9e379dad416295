package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"argosy/workflow/spec"
)

// Create stores an object that workflows refer to, given as JSON. The namespace is that of
// the kinds that have one.
func (c *Client) Create(ctx context.Context, kind, namespace string, object json.RawMessage) error {
	var at, field string
	switch kind {
	case spec.KindWorkflowTemplate:
		at, field = path("workflow-templates", namespace), "template"
	case spec.KindClusterWorkflowTemplate:
		at, field = path("cluster-workflow-templates"), "template"
	case spec.KindCronWorkflow:
		at, field = path("cron-workflows", namespace), "cronWorkflow"
	case spec.KindConfigMap:
		at, field = path("configmaps", namespace), "configMap"
	default:
		return fmt.Errorf("a server does not store objects of kind %q", kind)
	}
	body := map[string]any{"namespace": namespace, field: object}
	return c.call(ctx, http.MethodPost, at, nil, body, &struct{}{})
}
