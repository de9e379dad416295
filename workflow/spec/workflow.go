package spec

import (
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// APIVersion is the group and version of Argo's kinds.
const APIVersion = "argoproj.io/v1alpha1"

// The kinds that Parse gives a type of their own.
const (
	KindWorkflow                = "Workflow"
	KindWorkflowTemplate        = "WorkflowTemplate"
	KindClusterWorkflowTemplate = "ClusterWorkflowTemplate"
	KindCronWorkflow            = "CronWorkflow"
	KindWorkflowEventBinding    = "WorkflowEventBinding"
	KindConfigMap               = "ConfigMap"
	KindSecret                  = "Secret"
)

// Workflow is one run: what to do and how far it got.
type Workflow struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              WorkflowSpec   `json:"spec"`
	Status            WorkflowStatus `json:"status,omitempty"`
}

// WorkflowList is a page of workflows as the REST API gives it.
type WorkflowList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []Workflow `json:"items"`
}

// WorkflowSpec says what a run does. WorkflowTemplates hold the same.
type WorkflowSpec struct {
	Templates                    []Template                        `json:"templates,omitempty" patchStrategy:"merge" patchMergeKey:"name"`
	Entrypoint                   string                            `json:"entrypoint,omitempty"`
	Arguments                    Arguments                         `json:"arguments,omitempty"`
	ServiceAccountName           string                            `json:"serviceAccountName,omitempty"`
	AutomountServiceAccountToken *bool                             `json:"automountServiceAccountToken,omitempty"`
	Executor                     *ExecutorConfig                   `json:"executor,omitempty"`
	Volumes                      []corev1.Volume                   `json:"volumes,omitempty" patchStrategy:"merge" patchMergeKey:"name"`
	VolumeClaimTemplates         []corev1.PersistentVolumeClaim    `json:"volumeClaimTemplates,omitempty" patchStrategy:"merge" patchMergeKey:"name"`
	Parallelism                  *int64                            `json:"parallelism,omitempty"`
	ArtifactRepositoryRef        *ArtifactRepositoryRef            `json:"artifactRepositoryRef,omitempty"`
	Suspend                      *bool                             `json:"suspend,omitempty"`
	NodeSelector                 map[string]string                 `json:"nodeSelector,omitempty"`
	Affinity                     *corev1.Affinity                  `json:"affinity,omitempty"`
	Tolerations                  []corev1.Toleration               `json:"tolerations,omitempty" patchStrategy:"merge" patchMergeKey:"key"`
	ImagePullSecrets             []corev1.LocalObjectReference     `json:"imagePullSecrets,omitempty" patchStrategy:"merge" patchMergeKey:"name"`
	HostNetwork                  *bool                             `json:"hostNetwork,omitempty"`
	DNSPolicy                    *corev1.DNSPolicy                 `json:"dnsPolicy,omitempty"`
	DNSConfig                    *corev1.PodDNSConfig              `json:"dnsConfig,omitempty"`
	OnExit                       string                            `json:"onExit,omitempty"`
	TTLStrategy                  *TTLStrategy                      `json:"ttlStrategy,omitempty"`
	ActiveDeadlineSeconds        *int64                            `json:"activeDeadlineSeconds,omitempty"`
	Priority                     *int32                            `json:"priority,omitempty"`
	SchedulerName                string                            `json:"schedulerName,omitempty"`
	PodGC                        *PodGC                            `json:"podGC,omitempty"`
	PodPriorityClassName         string                            `json:"podPriorityClassName,omitempty"`
	HostAliases                  []corev1.HostAlias                `json:"hostAliases,omitempty" patchStrategy:"merge" patchMergeKey:"ip"`
	SecurityContext              *corev1.PodSecurityContext        `json:"securityContext,omitempty"`
	PodSpecPatch                 string                            `json:"podSpecPatch,omitempty"`
	PodDisruptionBudget          *policyv1.PodDisruptionBudgetSpec `json:"podDisruptionBudget,omitempty"`
	Metrics                      *Metrics                          `json:"metrics,omitempty"`
	Shutdown                     ShutdownStrategy                  `json:"shutdown,omitempty"`
	WorkflowTemplateRef          *WorkflowTemplateRef              `json:"workflowTemplateRef,omitempty"`
	Synchronization              *Synchronization                  `json:"synchronization,omitempty"`
	VolumeClaimGC                *VolumeClaimGC                    `json:"volumeClaimGC,omitempty"`
	RetryStrategy                *RetryStrategy                    `json:"retryStrategy,omitempty"`
	PodMetadata                  *Metadata                         `json:"podMetadata,omitempty"`
	TemplateDefaults             *Template                         `json:"templateDefaults,omitempty"`
	ArchiveLogs                  *bool                             `json:"archiveLogs,omitempty"`
	Hooks                        LifecycleHooks                    `json:"hooks,omitempty"`
	WorkflowMetadata             *WorkflowMetadata                 `json:"workflowMetadata,omitempty"`
	ArtifactGC                   *WorkflowLevelArtifactGC          `json:"artifactGC,omitempty"`
	PodResources                 *corev1.ResourceRequirements      `json:"podResources,omitempty"`
	ResourceClaims               []corev1.PodResourceClaim         `json:"resourceClaims,omitempty"`
	ExecutorPlugins              []Object                          `json:"executorPlugins,omitempty"`
}

// Template returns the template of that name, nil if there is none.
func (s *WorkflowSpec) Template(name string) *Template {
	for i := range s.Templates {
		if s.Templates[i].Name == name {
			return &s.Templates[i]
		}
	}
	return nil
}

// GetTemplateByName returns the template of that name, nil if there is none.
func (w *Workflow) GetTemplateByName(name string) *Template { return w.Spec.Template(name) }

// ShutdownStrategy says how a run that is being ended treats its exit handlers.
type ShutdownStrategy string

// The ways to end a run early.
const (
	ShutdownStrategyNone      ShutdownStrategy = ""
	ShutdownStrategyStop      ShutdownStrategy = "Stop"
	ShutdownStrategyTerminate ShutdownStrategy = "Terminate"
)

// ExecutorConfig names the service account of the executor container.
type ExecutorConfig struct {
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
}

// Metadata is the labels and annotations of a pod.
type Metadata struct {
	Annotations map[string]string `json:"annotations,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
}

// WorkflowMetadata is added to the metadata of a run made from a template.
type WorkflowMetadata struct {
	Labels      map[string]string         `json:"labels,omitempty"`
	Annotations map[string]string         `json:"annotations,omitempty"`
	LabelsFrom  map[string]LabelValueFrom `json:"labelsFrom,omitempty"`
}

// LabelValueFrom computes a label.
type LabelValueFrom struct {
	Expression string `json:"expression"`
}

// TTLStrategy says when a finished run is deleted.
type TTLStrategy struct {
	SecondsAfterCompletion *int32 `json:"secondsAfterCompletion,omitempty"`
	SecondsAfterSuccess    *int32 `json:"secondsAfterSuccess,omitempty"`
	SecondsAfterFailure    *int32 `json:"secondsAfterFailure,omitempty"`
}

// PodGC says when a run's pods are deleted.
type PodGC struct {
	Strategy            PodGCStrategy         `json:"strategy,omitempty"`
	LabelSelector       *metav1.LabelSelector `json:"labelSelector,omitempty"`
	DeleteDelayDuration string                `json:"deleteDelayDuration,omitempty"`
}

// PodGCStrategy is the event that deletes pods.
type PodGCStrategy string

// The events that delete pods.
const (
	PodGCOnPodNone            PodGCStrategy = ""
	PodGCOnPodCompletion      PodGCStrategy = "OnPodCompletion"
	PodGCOnPodSuccess         PodGCStrategy = "OnPodSuccess"
	PodGCOnWorkflowCompletion PodGCStrategy = "OnWorkflowCompletion"
	PodGCOnWorkflowSuccess    PodGCStrategy = "OnWorkflowSuccess"
)

// VolumeClaimGC says when a run's claims are deleted.
type VolumeClaimGC struct {
	Strategy VolumeClaimGCStrategy `json:"strategy,omitempty"`
}

// VolumeClaimGCStrategy is the event that deletes claims.
type VolumeClaimGCStrategy string

// The events that delete claims.
const (
	VolumeClaimGCOnCompletion VolumeClaimGCStrategy = "OnWorkflowCompletion"
	VolumeClaimGCOnSuccess    VolumeClaimGCStrategy = "OnWorkflowSuccess"
)
