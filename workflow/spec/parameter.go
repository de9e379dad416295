package spec

import corev1 "k8s.io/api/core/v1"

// Arguments are what a caller passes.
type Arguments struct {
	Parameters []Parameter `json:"parameters,omitempty" patchStrategy:"merge" patchMergeKey:"name"`
	Artifacts  []Artifact  `json:"artifacts,omitempty" patchStrategy:"merge" patchMergeKey:"name"`
}

// GetParameterByName returns the parameter of that name, nil if there is none.
func (a *Arguments) GetParameterByName(name string) *Parameter { return parameter(a.Parameters, name) }

// GetArtifactByName returns the artifact of that name, nil if there is none.
func (a *Arguments) GetArtifactByName(name string) *Artifact { return artifact(a.Artifacts, name) }

// Inputs are what a template takes.
type Inputs struct {
	Parameters []Parameter `json:"parameters,omitempty" patchStrategy:"merge" patchMergeKey:"name"`
	Artifacts  []Artifact  `json:"artifacts,omitempty" patchStrategy:"merge" patchMergeKey:"name"`
}

// GetParameterByName returns the parameter of that name, nil if there is none.
func (i *Inputs) GetParameterByName(name string) *Parameter { return parameter(i.Parameters, name) }

// GetArtifactByName returns the artifact of that name, nil if there is none.
func (i *Inputs) GetArtifactByName(name string) *Artifact { return artifact(i.Artifacts, name) }

// Outputs are what a template gives.
type Outputs struct {
	Parameters []Parameter `json:"parameters,omitempty" patchStrategy:"merge" patchMergeKey:"name"`
	Artifacts  []Artifact  `json:"artifacts,omitempty" patchStrategy:"merge" patchMergeKey:"name"`
	Result     *string     `json:"result,omitempty"`
	ExitCode   *string     `json:"exitCode,omitempty"`
}

// GetParameterByName returns the parameter of that name, nil if there is none.
func (o *Outputs) GetParameterByName(name string) *Parameter { return parameter(o.Parameters, name) }

// GetArtifactByName returns the artifact of that name, nil if there is none.
func (o *Outputs) GetArtifactByName(name string) *Artifact { return artifact(o.Artifacts, name) }

// Parameter is a named string.
type Parameter struct {
	Name        string      `json:"name"`
	Default     *AnyString  `json:"default,omitempty"`
	Value       *AnyString  `json:"value,omitempty"`
	ValueFrom   *ValueFrom  `json:"valueFrom,omitempty"`
	GlobalName  string      `json:"globalName,omitempty"`
	Enum        []AnyString `json:"enum,omitempty"`
	Description *AnyString  `json:"description,omitempty"`
}

// HasValue says that the parameter needs nothing from its caller.
func (p *Parameter) HasValue() bool { return p.Value != nil || p.Default != nil || p.ValueFrom != nil }

// GetValue returns the value, or else the default, or else the empty string.
func (p *Parameter) GetValue() string {
	switch {
	case p.Value != nil:
		return p.Value.String()
	case p.Default != nil:
		return p.Default.String()
	}
	return ""
}

// ValueFrom is where a parameter gets its value.
type ValueFrom struct {
	Path            string                       `json:"path,omitempty"`
	JSONPath        string                       `json:"jsonPath,omitempty"`
	JQFilter        string                       `json:"jqFilter,omitempty"`
	Event           string                       `json:"event,omitempty"`
	Parameter       string                       `json:"parameter,omitempty"`
	Supplied        *SuppliedValueFrom           `json:"supplied,omitempty"`
	ConfigMapKeyRef *corev1.ConfigMapKeySelector `json:"configMapKeyRef,omitempty"`
	Default         *AnyString                   `json:"default,omitempty"`
	Expression      string                       `json:"expression,omitempty"`
}

// SuppliedValueFrom marks a value that somebody hands in while the run waits.
type SuppliedValueFrom struct{}

func parameter(list []Parameter, name string) *Parameter {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}

func artifact(list []Artifact, name string) *Artifact {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}
