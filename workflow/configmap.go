package workflow

import (
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// ConfigMap is what a run's namespace has under a name.
type ConfigMap struct {
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Data        map[string]string `json:"data,omitempty"`
	// Version grows with every change.
	Version int64 `json:"-"`
}

// A config map gives parameters only if it says that it is meant to.
const (
	labelConfigMapType = "workflows.argoproj.io/configmap-type"
	typeParameter      = "Parameter"
)

// errNoConfig marks a config map or a key that does not exist, for which a default stands in.
var errNoConfig = errors.New("")

// Parameter is the value of a key, for a parameter. m is nil for a config map that does not
// exist.
func (m *ConfigMap) Parameter(ref *corev1.ConfigMapKeySelector) (string, error) {
	if m == nil {
		return "", fmt.Errorf("ConfigMap '%s' does not exist. Please make sure it has the label %s: %s to be detectable by the controller%w",
			ref.Name, labelConfigMapType, typeParameter, errNoConfig)
	}
	if m.Labels[labelConfigMapType] != typeParameter {
		return "", fmt.Errorf("ConfigMap '%s' needs to have the label %s: %s to load parameters", ref.Name, labelConfigMapType, typeParameter)
	}
	value, ok := m.Data[ref.Key]
	if !ok {
		return "", fmt.Errorf("ConfigMap '%s' does not have the key '%s'%w", ref.Name, ref.Key, errNoConfig)
	}
	return value, nil
}

// FromConfigMap is the value of a parameter that comes from a config map: its default, if
// there is no such value.
func FromConfigMap(from *spec.ValueFrom, m *ConfigMap) (string, error) {
	value, err := m.Parameter(from.ConfigMapKeyRef)
	if errors.Is(err, errNoConfig) && from.Default != nil {
		return from.Default.String(), nil
	}
	return value, err
}

// configMap asks for a config map of the run's namespace, nil if it does not exist.
func (t *turn) configMap(name string) *ConfigMap {
	m, ok := t.v.ConfigMaps[name]
	if !ok {
		panic(&MissingError{ConfigMap: name}) // recovered in Advance
	}
	return m
}

func fromConfigMap(p *spec.Parameter) bool {
	return p.ValueFrom != nil && p.ValueFrom.ConfigMapKeyRef != nil
}

// fromConfigMap resolves the source of an input; its names may hold tags.
func (o *opener) fromConfigMap(from *spec.ValueFrom, scope expr.Scope) (string, error) {
	resolved := *from
	ref := *from.ConfigMapKeyRef
	resolved.ConfigMapKeyRef = &ref
	for _, name := range []*string{&ref.Name, &ref.Key} {
		var err error
		if *name, err = expr.Substitute(*name, scope, expr.Strict); err != nil {
			return "", err
		}
	}
	return FromConfigMap(&resolved, o.configMap(ref.Name))
}

// checkArguments ends a run whose own arguments lack the value that a config map should have
// given them when the run was submitted.
func (t *turn) checkArguments() error {
	for i := range t.v.Run.Arguments.Parameters {
		p := &t.v.Run.Arguments.Parameters[i]
		if p.Value != nil || p.ValueFrom == nil || p.ValueFrom.ConfigMapKeyRef == nil {
			continue
		}
		ref := p.ValueFrom.ConfigMapKeyRef
		_, err := t.configMap(ref.Name).Parameter(ref)
		if err == nil {
			err = errors.New("it was not there when the workflow was submitted")
		}
		return fmt.Errorf("failed to set global parameter %s from configmap with name %s and key %s: %w", p.Name, ref.Name, ref.Key, err)
	}
	return nil
}

// DecodeConfigMap reads one from its JSON, as Kubernetes has it.
func DecodeConfigMap(data []byte) (*ConfigMap, error) {
	var m corev1.ConfigMap
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("decoding a config map: %w", err)
	}
	return &ConfigMap{Labels: m.Labels, Annotations: m.Annotations, Data: m.Data}, nil
}
