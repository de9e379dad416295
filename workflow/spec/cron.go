package spec

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CronWorkflow submits a workflow on a schedule.
type CronWorkflow struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              CronWorkflowSpec   `json:"spec"`
	Status            CronWorkflowStatus `json:"status,omitempty"`
}

// CronWorkflowList is a page of cron workflows.
type CronWorkflowList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []CronWorkflow `json:"items"`
}

// CronWorkflowSpec is when and what a CronWorkflow submits.
type CronWorkflowSpec struct {
	WorkflowSpec               WorkflowSpec       `json:"workflowSpec"`
	ConcurrencyPolicy          ConcurrencyPolicy  `json:"concurrencyPolicy,omitempty"`
	Suspend                    bool               `json:"suspend,omitempty"`
	StartingDeadlineSeconds    *int64             `json:"startingDeadlineSeconds,omitempty"`
	SuccessfulJobsHistoryLimit *int32             `json:"successfulJobsHistoryLimit,omitempty"`
	FailedJobsHistoryLimit     *int32             `json:"failedJobsHistoryLimit,omitempty"`
	Timezone                   string             `json:"timezone,omitempty"`
	WorkflowMetadata           *metav1.ObjectMeta `json:"workflowMetadata,omitempty"`
	StopStrategy               *StopStrategy      `json:"stopStrategy,omitempty"`
	Schedules                  []string           `json:"schedules,omitempty"`
	When                       string             `json:"when,omitempty"`
}

// ConcurrencyPolicy says what a tick does while an earlier run is still going.
type ConcurrencyPolicy string

// The concurrency policies; the empty one means Allow.
const (
	AllowConcurrent   ConcurrencyPolicy = "Allow"
	ForbidConcurrent  ConcurrencyPolicy = "Forbid"
	ReplaceConcurrent ConcurrencyPolicy = "Replace"
)

// StopStrategy ends a CronWorkflow for good.
type StopStrategy struct {
	Expression string `json:"expression"`
}

// CronWorkflowStatus is what a CronWorkflow did so far.
type CronWorkflowStatus struct {
	Active            []corev1.ObjectReference `json:"active,omitempty"`
	LastScheduledTime *metav1.Time             `json:"lastScheduledTime,omitempty"`
	Conditions        Conditions               `json:"conditions,omitempty"`
	Succeeded         int64                    `json:"succeeded,omitempty"`
	Failed            int64                    `json:"failed,omitempty"`
	Phase             CronWorkflowPhase        `json:"phase,omitempty"`
}

// CronWorkflowPhase says whether a CronWorkflow still fires.
type CronWorkflowPhase string

// The phases of a CronWorkflow.
const (
	CronWorkflowActive  CronWorkflowPhase = "Active"
	CronWorkflowStopped CronWorkflowPhase = "Stopped"
)
