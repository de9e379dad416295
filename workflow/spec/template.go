package spec

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Template is a reusable unit of work. Exactly one of its type fields is set.
type Template struct {
	Name    string  `json:"name,omitempty"`
	Inputs  Inputs  `json:"inputs,omitempty"`
	Outputs Outputs `json:"outputs,omitempty"`

	Container    *corev1.Container     `json:"container,omitempty"`
	ContainerSet *ContainerSetTemplate `json:"containerSet,omitempty"`
	Script       *ScriptTemplate       `json:"script,omitempty"`
	Resource     *ResourceTemplate     `json:"resource,omitempty"`
	DAG          *DAGTemplate          `json:"dag,omitempty"`
	Suspend      *SuspendTemplate      `json:"suspend,omitempty"`
	Data         *Data                 `json:"data,omitempty"`
	HTTP         *HTTP                 `json:"http,omitempty"`
	Plugin       *Plugin               `json:"plugin,omitempty"`
	Steps        []ParallelSteps       `json:"steps,omitempty"`

	Daemon                *bool               `json:"daemon,omitempty"`
	ActiveDeadlineSeconds *intstr.IntOrString `json:"activeDeadlineSeconds,omitempty"`
	Timeout               string              `json:"timeout,omitempty"`
	PendingTimeout        string              `json:"pendingTimeout,omitempty"`
	RetryStrategy         *RetryStrategy      `json:"retryStrategy,omitempty"`
	Parallelism           *int64              `json:"parallelism,omitempty"`
	FailFast              *bool               `json:"failFast,omitempty"`
	Synchronization       *Synchronization    `json:"synchronization,omitempty"`
	Memoize               *Memoize            `json:"memoize,omitempty"`
	Metrics               *Metrics            `json:"metrics,omitempty"`
	ArchiveLocation       *ArtifactLocation   `json:"archiveLocation,omitempty"`
	Annotations           map[string]string   `json:"annotations,omitempty"`

	Metadata                     Metadata                     `json:"metadata,omitempty"`
	NodeSelector                 map[string]string            `json:"nodeSelector,omitempty"`
	Affinity                     *corev1.Affinity             `json:"affinity,omitempty"`
	Volumes                      []corev1.Volume              `json:"volumes,omitempty" patchStrategy:"merge" patchMergeKey:"name"`
	InitContainers               []UserContainer              `json:"initContainers,omitempty" patchStrategy:"merge" patchMergeKey:"name"`
	Sidecars                     []UserContainer              `json:"sidecars,omitempty" patchStrategy:"merge" patchMergeKey:"name"`
	Tolerations                  []corev1.Toleration          `json:"tolerations,omitempty" patchStrategy:"merge" patchMergeKey:"key"`
	SchedulerName                string                       `json:"schedulerName,omitempty"`
	PriorityClassName            string                       `json:"priorityClassName,omitempty"`
	ServiceAccountName           string                       `json:"serviceAccountName,omitempty"`
	AutomountServiceAccountToken *bool                        `json:"automountServiceAccountToken,omitempty"`
	Executor                     *ExecutorConfig              `json:"executor,omitempty"`
	HostAliases                  []corev1.HostAlias           `json:"hostAliases,omitempty" patchStrategy:"merge" patchMergeKey:"ip"`
	SecurityContext              *corev1.PodSecurityContext   `json:"securityContext,omitempty"`
	PodSpecPatch                 string                       `json:"podSpecPatch,omitempty"`
	PodResources                 *corev1.ResourceRequirements `json:"podResources,omitempty"`
	ResourceClaims               []corev1.PodResourceClaim    `json:"resourceClaims,omitempty"`
}

// TemplateType is the kind of work that a template does.
type TemplateType string

// The template types.
const (
	TemplateTypeContainer    TemplateType = "Container"
	TemplateTypeContainerSet TemplateType = "ContainerSet"
	TemplateTypeSteps        TemplateType = "Steps"
	TemplateTypeScript       TemplateType = "Script"
	TemplateTypeResource     TemplateType = "Resource"
	TemplateTypeDAG          TemplateType = "DAG"
	TemplateTypeSuspend      TemplateType = "Suspend"
	TemplateTypeData         TemplateType = "Data"
	TemplateTypeHTTP         TemplateType = "HTTP"
	TemplateTypePlugin       TemplateType = "Plugin"
	TemplateTypeUnknown      TemplateType = "Unknown"
)

// GetType returns the template's type: the first of its type fields that is set.
func (t *Template) GetType() TemplateType {
	if types := t.types(); len(types) > 0 {
		return types[0]
	}
	return TemplateTypeUnknown
}

// types lists the type fields that are set; a valid template has exactly one.
func (t *Template) types() []TemplateType {
	var out []TemplateType
	for _, f := range []struct {
		set  bool
		name TemplateType
	}{
		{t.Container != nil, TemplateTypeContainer},
		{t.ContainerSet != nil, TemplateTypeContainerSet},
		{t.Steps != nil, TemplateTypeSteps},
		{t.Script != nil, TemplateTypeScript},
		{t.Resource != nil, TemplateTypeResource},
		{t.DAG != nil, TemplateTypeDAG},
		{t.Suspend != nil, TemplateTypeSuspend},
		{t.Data != nil, TemplateTypeData},
		{t.HTTP != nil, TemplateTypeHTTP},
		{t.Plugin != nil, TemplateTypePlugin},
	} {
		if f.set {
			out = append(out, f.name)
		}
	}
	return out
}

// IsLeaf says that the template runs something itself instead of calling other templates.
func (t *Template) IsLeaf() bool { return t.DAG == nil && t.Steps == nil }

// hasResult says that the template has a result and an exit code.
func (t *Template) hasResult() bool {
	switch t.GetType() {
	case TemplateTypeContainer, TemplateTypeScript, TemplateTypeData, TemplateTypeHTTP, TemplateTypePlugin:
		return true
	case TemplateTypeContainerSet:
		return slices.ContainsFunc(t.ContainerSet.Containers, func(c ContainerNode) bool { return c.Name == "main" })
	}
	return false
}

// IsPodType says that Argo would run the template in a pod of its own.
func (t *Template) IsPodType() bool {
	switch t.GetType() {
	case TemplateTypeContainer, TemplateTypeContainerSet, TemplateTypeScript, TemplateTypeResource, TemplateTypeData:
		return true
	}
	return false
}

// IsDaemon says that the step is done once it is ready, and ends with its scope.
func (t *Template) IsDaemon() bool { return t.Daemon != nil && *t.Daemon }

// UserContainer is a sidecar or init container.
type UserContainer struct {
	corev1.Container   `json:",inline"`
	MirrorVolumeMounts *bool `json:"mirrorVolumeMounts,omitempty"`
}

// ScriptTemplate runs a piece of source code in a container.
type ScriptTemplate struct {
	corev1.Container `json:",inline"`
	Source           string `json:"source,omitempty"`
}
