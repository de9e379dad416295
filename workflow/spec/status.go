package spec

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// WorkflowStatus is how far a run got.
type WorkflowStatus struct {
	Phase                       WorkflowPhase                `json:"phase,omitempty"`
	StartedAt                   metav1.Time                  `json:"startedAt,omitempty"`
	FinishedAt                  metav1.Time                  `json:"finishedAt,omitempty"`
	EstimatedDuration           EstimatedDuration            `json:"estimatedDuration,omitempty"`
	Progress                    Progress                     `json:"progress,omitempty"`
	Message                     string                       `json:"message,omitempty"`
	CompressedNodes             string                       `json:"compressedNodes,omitempty"`
	Nodes                       Nodes                        `json:"nodes,omitempty"`
	OffloadNodeStatusVersion    string                       `json:"offloadNodeStatusVersion,omitempty"`
	StoredTemplates             map[string]Template          `json:"storedTemplates,omitempty"`
	PersistentVolumeClaims      []corev1.Volume              `json:"persistentVolumeClaims,omitempty"`
	Outputs                     *Outputs                     `json:"outputs,omitempty"`
	Conditions                  Conditions                   `json:"conditions,omitempty"`
	ResourcesDuration           ResourcesDuration            `json:"resourcesDuration,omitempty"`
	StoredWorkflowSpec          *WorkflowSpec                `json:"storedWorkflowTemplateSpec,omitempty"`
	Synchronization             *SynchronizationStatus       `json:"synchronization,omitempty"`
	ArtifactRepositoryRef       *ArtifactRepositoryRefStatus `json:"artifactRepositoryRef,omitempty"`
	ArtifactGCStatus            *ArtGCStatus                 `json:"artifactGCStatus,omitempty"`
	TaskResultsCompletionStatus map[string]bool              `json:"taskResultsCompletionStatus,omitempty"`
}

// WorkflowPhase is the state of a run.
type WorkflowPhase string

// The phases of a run.
const (
	WorkflowUnknown   WorkflowPhase = ""
	WorkflowPending   WorkflowPhase = "Pending"
	WorkflowRunning   WorkflowPhase = "Running"
	WorkflowSucceeded WorkflowPhase = "Succeeded"
	WorkflowFailed    WorkflowPhase = "Failed"
	WorkflowError     WorkflowPhase = "Error"
)

// Completed says that the run has ended.
func (p WorkflowPhase) Completed() bool {
	return p == WorkflowSucceeded || p == WorkflowFailed || p == WorkflowError
}

// Nodes are the nodes of a run by id.
type Nodes map[string]NodeStatus

// NodeStatus is how far one node got.
type NodeStatus struct {
	ID                    string                     `json:"id"`
	Name                  string                     `json:"name"`
	DisplayName           string                     `json:"displayName,omitempty"`
	Type                  NodeType                   `json:"type"`
	TemplateName          string                     `json:"templateName,omitempty"`
	TemplateRef           *TemplateRef               `json:"templateRef,omitempty"`
	TemplateScope         string                     `json:"templateScope,omitempty"`
	Phase                 NodePhase                  `json:"phase,omitempty"`
	BoundaryID            string                     `json:"boundaryID,omitempty"`
	Message               string                     `json:"message,omitempty"`
	StartedAt             metav1.Time                `json:"startedAt,omitempty"`
	FinishedAt            metav1.Time                `json:"finishedAt,omitempty"`
	EstimatedDuration     EstimatedDuration          `json:"estimatedDuration,omitempty"`
	Progress              Progress                   `json:"progress,omitempty"`
	ResourcesDuration     ResourcesDuration          `json:"resourcesDuration,omitempty"`
	PodIP                 string                     `json:"podIP,omitempty"`
	Daemoned              *bool                      `json:"daemoned,omitempty"`
	NodeFlag              *NodeFlag                  `json:"nodeFlag,omitempty"`
	Inputs                *Inputs                    `json:"inputs,omitempty"`
	Outputs               *Outputs                   `json:"outputs,omitempty"`
	Children              []string                   `json:"children,omitempty"`
	OutboundNodes         []string                   `json:"outboundNodes,omitempty"`
	HostNodeName          string                     `json:"hostNodeName,omitempty"`
	MemoizationStatus     *MemoizationStatus         `json:"memoizationStatus,omitempty"`
	SynchronizationStatus *NodeSynchronizationStatus `json:"synchronizationStatus,omitempty"`
	TaskResultSynced      *bool                      `json:"taskResultSynced,omitempty"`
	FailedPodRestarts     int32                      `json:"failedPodRestarts,omitempty"`
	RestartingPodUID      string                     `json:"restartingPodUID,omitempty"`
}

// NodePhase is the state of a node.
type NodePhase string

// The phases of a node.
const (
	NodePending   NodePhase = "Pending"
	NodeRunning   NodePhase = "Running"
	NodeSucceeded NodePhase = "Succeeded"
	NodeSkipped   NodePhase = "Skipped"
	NodeFailed    NodePhase = "Failed"
	NodeError     NodePhase = "Error"
	NodeOmitted   NodePhase = "Omitted"
)

// Fulfilled says that nothing more will happen to the node.
func (p NodePhase) Fulfilled() bool {
	switch p {
	case NodeSucceeded, NodeSkipped, NodeFailed, NodeError, NodeOmitted:
		return true
	}
	return false
}

// FailedOrError says that the node ended badly.
func (p NodePhase) FailedOrError() bool { return p == NodeFailed || p == NodeError }

// NodeType is what a node stands for.
type NodeType string

// The types of nodes.
const (
	NodeTypePod       NodeType = "Pod"
	NodeTypeContainer NodeType = "Container"
	NodeTypeSteps     NodeType = "Steps"
	NodeTypeStepGroup NodeType = "StepGroup"
	NodeTypeDAG       NodeType = "DAG"
	NodeTypeTaskGroup NodeType = "TaskGroup"
	NodeTypeRetry     NodeType = "Retry"
	NodeTypeSkipped   NodeType = "Skipped"
	NodeTypeSuspend   NodeType = "Suspend"
	NodeTypeHTTP      NodeType = "HTTP"
	NodeTypePlugin    NodeType = "Plugin"
)

// NodeFlag says how a node came about.
type NodeFlag struct {
	Hooked  bool `json:"hooked,omitempty"`
	Retried bool `json:"retried,omitempty"`
}

// EstimatedDuration is in seconds.
type EstimatedDuration int

// ResourcesDuration is resource seconds by resource.
type ResourcesDuration map[corev1.ResourceName]ResourceDuration

// ResourceDuration is in seconds.
type ResourceDuration int64

// Conditions are the conditions of a run.
type Conditions []Condition

// Condition is one observation about a run.
type Condition struct {
	Type    ConditionType          `json:"type,omitempty"`
	Status  metav1.ConditionStatus `json:"status,omitempty"`
	Message string                 `json:"message,omitempty"`
}

// ConditionType names a condition.
type ConditionType string

// The conditions of a run.
const (
	ConditionTypeCompleted       ConditionType = "Completed"
	ConditionTypeSpecWarning     ConditionType = "SpecWarning"
	ConditionTypePodRunning      ConditionType = "PodRunning"
	ConditionTypeSpecError       ConditionType = "SpecError"
	ConditionTypeMetricsError    ConditionType = "MetricsError"
	ConditionTypeArtifactGCError ConditionType = "ArtifactGCError"
)

// ArtGCStatus is how far the deletion of a run's artifacts got.
type ArtGCStatus struct {
	StrategiesProcessed map[ArtifactGCStrategy]bool `json:"strategiesProcessed,omitempty"`
	PodsRecouped        map[string]bool             `json:"podsRecouped,omitempty"`
	NotSpecified        bool                        `json:"notSpecified,omitempty"`
}
