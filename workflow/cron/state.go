package cron

import (
	"slices"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// State is what is kept of a CronWorkflow beside its spec.
type State struct {
	UID       string          `json:"u"`           // of the object that all this is of
	Schedule  string          `json:"s,omitempty"` // the schedules that Ticked is of
	Since     workflow.Millis `json:"f,omitempty"` // they are known since
	Ticked    workflow.Millis `json:"t,omitempty"` // ticks up to here are dealt with
	Suspended bool            `json:"z,omitempty"`

	Scheduled  workflow.Millis        `json:"l,omitempty"` // the last tick that had a run
	Succeeded  int64                  `json:"ok,omitempty"`
	Failed     int64                  `json:"ko,omitempty"`
	Phase      spec.CronWorkflowPhase `json:"p,omitempty"`
	Conditions spec.Conditions        `json:"c,omitempty"`

	Active []Child `json:"a,omitempty"`
	Done   []Child `json:"d,omitempty"` // those that are kept, in the order of their ends

	// Out is to be done before the next decision.
	Out *Out `json:"out,omitempty"`
}

// Child is a run of a CronWorkflow.
type Child struct {
	ID        string             `json:"id"`
	Name      string             `json:"n"`
	Scheduled workflow.Millis    `json:"t"`
	Phase     spec.WorkflowPhase `json:"p,omitempty"`
	Finished  workflow.Millis    `json:"f,omitempty"`
}

// Out is what a decision wants done, each of it once or more often.
type Out struct {
	Terminate []string `json:"t,omitempty"` // runs
	// Delete are runs, also some that never were, and must not come.
	Delete []string `json:"d,omitempty"`
	Submit *Child   `json:"s,omitempty"`
}

// Knows says that a run is one of those that are kept, or goes on.
func (s *State) Knows(run string) bool {
	is := func(c Child) bool { return c.ID == run }
	return slices.ContainsFunc(s.Active, is) || slices.ContainsFunc(s.Done, is)
}

// Names of what Argo's children carry.
const (
	LabelCronWorkflow       = "workflows.argoproj.io/cron-workflow"
	LabelCompleted          = "workflows.argoproj.io/cron-workflow-completed"
	AnnotationScheduledTime = "workflows.argoproj.io/scheduled-time"
)

// childID is the same for the same tick of the same object, so that a run which is submitted
// twice is one.
func childID(uid string, tick time.Time) string {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(uid+"/"+tick.UTC().Format(time.RFC3339))).String()
}

// Status is the state as clients see it.
func (s *State) Status(namespace string) spec.CronWorkflowStatus {
	out := spec.CronWorkflowStatus{
		Succeeded: s.Succeeded, Failed: s.Failed, Phase: s.Phase, Conditions: s.Conditions,
	}
	if s.Scheduled != 0 {
		out.LastScheduledTime = &metav1.Time{Time: s.Scheduled.Time()}
	}
	for _, c := range s.Active {
		out.Active = append(out.Active, corev1.ObjectReference{
			Kind: spec.KindWorkflow, APIVersion: spec.APIVersion, Namespace: namespace, Name: c.Name, UID: types.UID(c.ID),
		})
	}
	return out
}

// condition sets or, with no message, removes a condition.
func (s *State) condition(kind spec.ConditionType, message string) {
	var kept spec.Conditions
	for _, c := range s.Conditions {
		if c.Type != kind {
			kept = append(kept, c)
		}
	}
	if message != "" {
		kept = append(kept, spec.Condition{Type: kind, Status: metav1.ConditionTrue, Message: message})
	}
	s.Conditions = kept
}

// Workflow makes what a CronWorkflow submits for a tick.
func Workflow(c *spec.CronWorkflow, tick time.Time) *spec.Workflow {
	wf := &spec.Workflow{
		TypeMeta: metav1.TypeMeta{APIVersion: spec.APIVersion, Kind: spec.KindWorkflow},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: c.Namespace, Labels: map[string]string{},
			Annotations: map[string]string{AnnotationScheduledTime: tick.UTC().Format(time.RFC3339)},
		},
		Spec: c.Spec.WorkflowSpec,
	}
	for _, name := range []string{"creator", "creator-email", "creator-preferred-username", "controller-instanceid"} {
		if v, ok := c.Labels["workflows.argoproj.io/"+name]; ok {
			wf.Labels["workflows.argoproj.io/"+name] = v
		}
	}
	if md := c.Spec.WorkflowMetadata; md != nil {
		for k, v := range md.Labels {
			wf.Labels[k] = v
		}
		for k, v := range md.Annotations {
			wf.Annotations[k] = v
		}
	}
	wf.Labels[LabelCronWorkflow] = c.Name
	return wf
}
