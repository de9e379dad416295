package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// SyncLimit is the limit of a semaphore: in a config map, or, of type 1, in the database.
type SyncLimit struct {
	Namespace string `json:"namespace,omitempty"`
	Key       string `json:"key,omitempty"`
	Limit     int    `json:"limit,omitempty"`
	Type      int    `json:"type,omitempty"`
	ConfigMap string `json:"cmName,omitempty"`
}

func (l *SyncLimit) query() url.Values {
	q := url.Values{"type": {strconv.Itoa(l.Type)}}
	if l.ConfigMap != "" {
		q.Set("cmName", l.ConfigMap)
	}
	return q
}

// CreateSyncLimit stores a limit.
func (c *Client) CreateSyncLimit(ctx context.Context, l SyncLimit) (*SyncLimit, error) {
	var out SyncLimit
	return &out, c.call(ctx, http.MethodPost, path("sync", l.Namespace), nil, l, &out)
}

// UpdateSyncLimit changes a limit.
func (c *Client) UpdateSyncLimit(ctx context.Context, l SyncLimit) (*SyncLimit, error) {
	var out SyncLimit
	return &out, c.call(ctx, http.MethodPut, path("sync", l.Namespace, l.Key), nil, l, &out)
}

// SyncLimit reads a limit.
func (c *Client) SyncLimit(ctx context.Context, l SyncLimit) (*SyncLimit, error) {
	var out SyncLimit
	return &out, c.call(ctx, http.MethodGet, path("sync", l.Namespace, l.Key), l.query(), nil, &out)
}

// DeleteSyncLimit removes a limit.
func (c *Client) DeleteSyncLimit(ctx context.Context, l SyncLimit) error {
	return c.call(ctx, http.MethodDelete, path("sync", l.Namespace, l.Key), l.query(), nil, &struct{}{})
}
