package join

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"argosy/queue"
	"argosy/workflow/spec"
)

// Objects lets workers read what the queue keeps.
type Objects struct{ *queue.Objects }

// Secret is part of worker.Objects.
func (o Objects) Secret(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	var s corev1.Secret
	if found, err := o.read(ctx, spec.KindSecret, namespace, name, &s); !found || err != nil {
		return nil, err
	}
	data := make(map[string][]byte, len(s.Data)+len(s.StringData))
	for k, v := range s.Data {
		data[k] = v
	}
	for k, v := range s.StringData {
		data[k] = []byte(v)
	}
	return data, nil
}

// ConfigMap is part of worker.Objects.
func (o Objects) ConfigMap(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	var m corev1.ConfigMap
	if found, err := o.read(ctx, spec.KindConfigMap, namespace, name, &m); !found || err != nil {
		return nil, err
	}
	data := make(map[string][]byte, len(m.Data)+len(m.BinaryData))
	for k, v := range m.BinaryData {
		data[k] = v
	}
	for k, v := range m.Data {
		data[k] = []byte(v)
	}
	return data, nil
}

func (o Objects) read(ctx context.Context, kind, namespace, name string, into any) (found bool, err error) {
	stored, err := o.Get(ctx, kind, namespace, name)
	if errors.Is(err, queue.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(stored.JSON, into); err != nil {
		return false, fmt.Errorf("decoding %s %s/%s: %w", kind, namespace, name, err)
	}
	return true, nil
}
