package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// Where the limit of a semaphore may be: in a config map, or in what Argo calls its database.
// JSON has the number, and nothing for the first.
const (
	SyncConfigMap = 0
	SyncDatabase  = 1
)

// SyncLimit is the limit of a semaphore.
type SyncLimit struct {
	Namespace string `json:"namespace,omitempty"`
	Key       string `json:"key,omitempty"`
	Limit     int    `json:"limit,omitempty"`
	Type      int    `json:"type,omitempty"`
	ConfigMap string `json:"cmName,omitempty"`
}

// syncTries bounds how often a config map is read again that others change meanwhile.
const syncTries = 10

func (l *SyncLimit) check(limited bool) error {
	switch {
	case l.Key == "":
		return errorf(CodeInvalid, "key is required")
	case l.Type != SyncConfigMap && l.Type != SyncDatabase:
		return errorf(CodeInvalid, "unsupported sync config type: %d", l.Type)
	case l.Type == SyncConfigMap && l.ConfigMap == "":
		return errorf(CodeInvalid, "cmName is required")
	case limited && l.Limit <= 0:
		return errorf(CodeInvalid, "limit must be greater than zero")
	}
	return nil
}

// CreateSyncLimit stores a limit that must not exist yet.
func (s *Service) CreateSyncLimit(ctx context.Context, l SyncLimit) (*SyncLimit, error) {
	if err := l.check(true); err != nil {
		return nil, err
	}
	if l.Type == SyncDatabase {
		return s.putDatabaseLimit(ctx, l, 0)
	}
	return &l, s.changeConfigMap(ctx, &l, true, func(data map[string]any) error {
		if _, ok := data[l.Key]; ok {
			return errorf(CodeExists, "sync limit cannot be created as it already exists")
		}
		data[l.Key] = strconv.Itoa(l.Limit)
		return nil
	})
}

// UpdateSyncLimit changes a limit. Who waits goes by it at once.
func (s *Service) UpdateSyncLimit(ctx context.Context, l SyncLimit) (*SyncLimit, error) {
	if err := l.check(true); err != nil {
		return nil, err
	}
	if l.Type == SyncDatabase {
		return s.putDatabaseLimit(ctx, l, -1)
	}
	return &l, s.changeConfigMap(ctx, &l, false, func(data map[string]any) error {
		if _, ok := data[l.Key]; !ok {
			return errorf(CodeNotFound, "key %s not found in configmap %s/%s - please create it first", l.Key, l.Namespace, l.ConfigMap)
		}
		data[l.Key] = strconv.Itoa(l.Limit)
		return nil
	})
}

// GetSyncLimit reads a limit.
func (s *Service) GetSyncLimit(ctx context.Context, l SyncLimit) (*SyncLimit, error) {
	if err := l.check(false); err != nil {
		return nil, err
	}
	if l.Type == SyncDatabase {
		stored, err := s.objects.Get(ctx, workflow.KindSyncLimit, l.Namespace, l.Key)
		if err != nil {
			return nil, l.trouble(err)
		}
		limit, err := workflow.DecodeSyncLimit(stored.JSON, stored.Version)
		if err != nil {
			return nil, err
		}
		l.Limit = limit.Limit
		return &l, nil
	}
	k := kindOf(spec.KindConfigMap)
	stored, err := s.objects.Get(ctx, k.Kind, l.Namespace, l.ConfigMap)
	if err != nil {
		return nil, k.trouble(err, l.ConfigMap)
	}
	m, err := workflow.DecodeConfigMap(stored.JSON)
	if err != nil {
		return nil, err
	}
	if _, ok := m.Data[l.Key]; !ok {
		return nil, errorf(CodeNotFound, "key %s not found in configmap %s/%s", l.Key, l.Namespace, l.ConfigMap)
	}
	if l.Limit = m.Limit(l.Key); l.Limit == 0 {
		return nil, errorf(CodeInvalid, "invalid limit format for key %s in configmap %s/%s", l.Key, l.Namespace, l.ConfigMap)
	}
	return &l, nil
}

// DeleteSyncLimit removes a limit. Who waits for it waits until there is one again.
func (s *Service) DeleteSyncLimit(ctx context.Context, l SyncLimit) error {
	if err := l.check(false); err != nil {
		return err
	}
	if l.Type == SyncDatabase {
		if err := s.objects.Delete(ctx, workflow.KindSyncLimit, l.Namespace, l.Key); err != nil {
			return l.trouble(err)
		}
		return nil
	}
	return s.changeConfigMap(ctx, &l, false, func(data map[string]any) error {
		delete(data, l.Key)
		return nil
	})
}

func (s *Service) putDatabaseLimit(ctx context.Context, l SyncLimit, version int64) (*SyncLimit, error) {
	data, err := json.Marshal(workflow.SyncLimit{Limit: l.Limit})
	if err != nil {
		return nil, fmt.Errorf("encoding a limit: %w", err)
	}
	if _, err := s.objects.Put(ctx, workflow.KindSyncLimit, l.Namespace, l.Key, data, version); err != nil {
		return nil, l.trouble(err)
	}
	return &l, nil
}

func (l *SyncLimit) trouble(err error) error {
	switch {
	case errors.Is(err, ErrNotFound):
		return errorf(CodeNotFound, "Database sync limit not found in namespace %q.", l.Namespace)
	case errors.Is(err, ErrExists):
		return errorf(CodeExists, "Database sync limit already exists in namespace %q.", l.Namespace)
	}
	return fmt.Errorf("the limit %s/%s: %w", l.Namespace, l.Key, err)
}

// changeConfigMap changes the data of a limit's config map, which it makes if it may.
func (s *Service) changeConfigMap(ctx context.Context, l *SyncLimit, makes bool, change func(data map[string]any) error) error {
	k := kindOf(spec.KindConfigMap)
	for range syncTries {
		o, err := s.GetObject(ctx, k, l.Namespace, l.ConfigMap)
		var e *Error
		missing := errors.As(err, &e) && e.Code == CodeNotFound
		switch {
		case missing && makes:
			o = Object{"apiVersion": k.apiVersion(), "kind": k.Kind, "metadata": map[string]any{"name": l.ConfigMap}}
		case err != nil:
			return err
		}
		data, ok := o["data"].(map[string]any)
		if !ok {
			data = map[string]any{}
			o["data"] = data
		}
		if err := change(data); err != nil {
			return err
		}
		doc, err := json.Marshal(o)
		if err != nil {
			return fmt.Errorf("encoding the config map: %w", err)
		}
		if missing {
			_, err = s.CreateObject(ctx, k, l.Namespace, doc, false)
		} else {
			_, err = s.UpdateObject(ctx, k, l.Namespace, l.ConfigMap, doc)
		}
		if errors.As(err, &e) && e.Code == CodeExists {
			continue // changed meanwhile, see ObjectKind.trouble
		}
		return err
	}
	return errorf(CodeExists, "config map %s/%s is changed by others all the time; try again", l.Namespace, l.ConfigMap)
}

// syncRoutes are Argo's paths for limits.
func (h *HTTP) syncRoutes() map[string]func(*http.Request) (any, error) {
	body := func(do func(context.Context, SyncLimit) (*SyncLimit, error)) func(*http.Request) (any, error) {
		return func(r *http.Request) (any, error) {
			var l SyncLimit
			if err := readBody(r, &l); err != nil {
				return nil, err
			}
			l.Namespace = r.PathValue("namespace")
			if key := r.PathValue("key"); key != "" {
				l.Key = key
			}
			return do(r.Context(), l)
		}
	}
	query := func(r *http.Request) (SyncLimit, error) {
		q := r.URL.Query()
		l := SyncLimit{Namespace: r.PathValue("namespace"), Key: r.PathValue("key"), ConfigMap: q.Get("cmName")}
		switch text := q.Get("type"); text {
		case "", "0", "CONFIGMAP":
		case "1", "DATABASE":
			l.Type = SyncDatabase
		default:
			return l, errorf(CodeInvalid, "unsupported sync config type: %s", text)
		}
		return l, nil
	}
	const at = "/api/v1/sync/{namespace}"
	return map[string]func(*http.Request) (any, error){
		"POST " + at:           body(h.Service.CreateSyncLimit),
		"PUT " + at + "/{key}": body(h.Service.UpdateSyncLimit),
		"GET " + at + "/{key}": func(r *http.Request) (any, error) {
			l, err := query(r)
			if err != nil {
				return nil, err
			}
			return h.Service.GetSyncLimit(r.Context(), l)
		},
		"DELETE " + at + "/{key}": func(r *http.Request) (any, error) {
			l, err := query(r)
			if err != nil {
				return nil, err
			}
			return struct{}{}, h.Service.DeleteSyncLimit(r.Context(), l)
		},
	}
}
