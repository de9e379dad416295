package client

import (
	"context"
	"net/http"
	"net/url"

	"argosy/workflow/spec"
)

const archived = "archived-workflows"

// ListArchived returns a page of the archived runs of a namespace, or of all if it is empty.
func (c *Client) ListArchived(ctx context.Context, namespace string, o ListOptions) (*spec.WorkflowList, error) {
	q := o.query()
	if namespace != "" {
		q.Set("namespace", namespace)
	}
	var out spec.WorkflowList
	return &out, c.call(ctx, http.MethodGet, path(archived), q, nil, &out)
}

// GetArchived returns an archived run.
func (c *Client) GetArchived(ctx context.Context, uid string) (*spec.Workflow, error) {
	var out spec.Workflow
	return &out, c.call(ctx, http.MethodGet, path(archived, uid), nil, nil, &out)
}

// DeleteArchived removes a run from the archive.
func (c *Client) DeleteArchived(ctx context.Context, uid string) error {
	return c.call(ctx, http.MethodDelete, path(archived, uid), nil, nil, &struct{}{})
}

// RetryArchived takes up an archived run again.
func (c *Client) RetryArchived(ctx context.Context, namespace, uid string, o RetryOptions) (*spec.Workflow, error) {
	body := struct {
		UID       string `json:"uid"`
		Namespace string `json:"namespace"`
		RetryOptions
	}{uid, namespace, o}
	var out spec.Workflow
	return &out, c.call(ctx, http.MethodPut, path(archived, uid, "retry"), nil, body, &out)
}

// ResubmitArchived submits the workflow of an archived run once more.
func (c *Client) ResubmitArchived(ctx context.Context, namespace, uid string, memoized bool, parameters []string) (*spec.Workflow, error) {
	body := map[string]any{"uid": uid, "namespace": namespace, "memoized": memoized, "parameters": parameters}
	var out spec.Workflow
	return &out, c.call(ctx, http.MethodPut, path(archived, uid, "resubmit"), nil, body, &out)
}

// ArchivedLabelKeys lists the labels of archived runs.
func (c *Client) ArchivedLabelKeys(ctx context.Context) ([]string, error) {
	return c.labels(ctx, archived+"-label-keys", nil)
}

// ArchivedLabelValues lists the values of a label of archived runs.
func (c *Client) ArchivedLabelValues(ctx context.Context, selector string) ([]string, error) {
	return c.labels(ctx, archived+"-label-values", url.Values{"listOptions.labelSelector": {selector}})
}

func (c *Client) labels(ctx context.Context, at string, q url.Values) ([]string, error) {
	var out struct {
		Items []string `json:"items"`
	}
	err := c.call(ctx, http.MethodGet, path(at), q, nil, &out)
	return out.Items, err
}
