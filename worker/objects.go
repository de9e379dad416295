package worker

import (
	"context"

	corev1 "k8s.io/api/core/v1"
)

// Objects are what steps may refer to: the config maps and secrets of their run's own
// namespace, and of no other. A method returns nil for what does not exist.
type Objects interface {
	Secret(ctx context.Context, namespace, name string) (map[string][]byte, error)
	ConfigMap(ctx context.Context, namespace, name string) (map[string][]byte, error)
}

// SecretValue is the value of a secret's key. A missing one is a Fault, or not ok if the
// selector says that it is optional.
func SecretValue(ctx context.Context, of Objects, namespace string, ref *corev1.SecretKeySelector) (value []byte, ok bool, err error) {
	data, err := of.Secret(ctx, namespace, ref.Name)
	if err != nil {
		return nil, false, Faultf(ClassExecutor, "reading secret %q of namespace %q: %w", ref.Name, namespace, err)
	}
	return keyOf("secret", namespace, ref.Name, ref.Key, data, ref.Optional)
}

// ConfigMapValue is the value of a config map's key, as SecretValue is of a secret's.
func ConfigMapValue(ctx context.Context, of Objects, namespace string, ref *corev1.ConfigMapKeySelector) (value []byte, ok bool, err error) {
	data, err := of.ConfigMap(ctx, namespace, ref.Name)
	if err != nil {
		return nil, false, Faultf(ClassExecutor, "reading config map %q of namespace %q: %w", ref.Name, namespace, err)
	}
	return keyOf("config map", namespace, ref.Name, ref.Key, data, ref.Optional)
}

func keyOf(kind, namespace, name, key string, data map[string][]byte, optional *bool) ([]byte, bool, error) {
	value, ok := data[key]
	switch {
	case ok:
		return value, true, nil
	case optional != nil && *optional:
		return nil, false, nil
	case data == nil:
		return nil, false, Faultf(ClassInvalid, "there is no %s %q in namespace %q", kind, name, namespace)
	}
	return nil, false, Faultf(ClassInvalid, "%s %q of namespace %q has no key %q", kind, name, namespace, key)
}
